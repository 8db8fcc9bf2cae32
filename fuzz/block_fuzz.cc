// Blocks (lsm/block_format.h). The first byte says what the others are.
//
// Oracle for bytes as a payload, or as decisions that make a payload with whatever in its fields:
// BlockView::parse answers corruption or not_supported, or a view whose rows, keys and values lie
// inside the payload; its bounds and finds lead to rows that exist, and when the rows are in
// version order they agree with a search of one row after the other. Oracle for bytes as rows: what
// BlockBuilder makes of them is parsed into the same rows, with the same answers, and its summary
// is true.

#include <cstring>
#include <optional>
#include <vector>

#include "base/hash.h"
#include "fuzz/check.h"
#include "fuzz/engine.h"
#include "fuzz/model.h"
#include "lsm/block_builder.h"
#include "lsm/block_reader.h"

namespace varve::fuzz {
namespace {

// A view with memory of its own, which ends where the columns end.
struct OwnedBlock {
  explicit OwnedBlock(std::string_view bytes) : payload(bytes) {}

  Status parse(uint32_t row_count, bool with_tags) {
    columns = std::make_unique<char[]>(
        BlockView::columns_size(row_count, payload.view().size(), with_tags));
    Result<BlockView> result =
        BlockView::parse(payload.view(), row_count, columns.get(), with_tags);
    if (!result.ok()) return result.status();
    view = *result;
    if (with_tags) view.fill_tags();
    return Status();
  }

  ExactCopy payload;
  std::unique_ptr<char[]> columns;
  BlockView view;
};

Model read_rows(const OwnedBlock& block) {
  const BlockView& view = block.view;
  Model model;
  FUZZ_CHECK(block.payload.view().substr(kBlockHeaderSize).starts_with(view.prefix()));
  for (uint32_t i = 0; i < view.row_count(); ++i) {
    const BlockRow row = view.row(i);
    FUZZ_CHECK(block.payload.holds(row.suffix) && block.payload.holds(row.value));
    FUZZ_CHECK(view.prefix().size() + row.suffix.size() <= kKeySizeMax);
    FUZZ_CHECK(is_known(view.kind(i)));
    FUZZ_CHECK(view.heads()[i] == key_head(row.suffix));
    model.add({.key = std::string(view.prefix()).append(row.suffix),
               .timestamp = view.timestamp(i),
               .kind = view.kind(i),
               .value = std::string(row.value)});
    FUZZ_CHECK(view.has_key(i, model.rows().back().key));
    if (i + 1 == view.row_count()) {  // nothing follows the last row
      const std::string_view payload = block.payload.view();
      FUZZ_CHECK(row.value.data() + row.value.size() == payload.data() + payload.size());
    }
  }
  return model;
}

void check_searches(const BlockView& view, const Model& model, bool with_tags, Input* input) {
  const bool in_order = model.is_in_order();
  for (const auto& [key, timestamp] : places_to_ask(model, input, 8)) {
    const VersionKey wanted{key, timestamp};
    const uint32_t lower = view.lower_bound(wanted);
    const uint32_t upper = view.upper_bound(wanted);
    FUZZ_CHECK(lower <= view.row_count() && upper <= view.row_count());
    if (in_order) {
      FUZZ_CHECK(lower == model.lower_bound(wanted));
      FUZZ_CHECK(upper == model.upper_bound(wanted));
      FUZZ_CHECK(view.find_in_order(key, timestamp) == model.find(key, timestamp));
    }
    const uint32_t there = view.find_in_order(key, timestamp);
    if (there != view.row_count()) FUZZ_CHECK(view.has_key(there, key));
    if (!with_tags) continue;
    // Even if rows are in no order it finds the first one that fits.
    FUZZ_CHECK(view.find(key, key_hash(key), timestamp) == model.find(key, timestamp));
    // A hash that is not the key's may miss it, but never finds another.
    const uint32_t found = view.find(key, ~key_hash(key), timestamp);
    FUZZ_CHECK(found <= view.row_count());
    if (found < view.row_count()) FUZZ_CHECK(model.rows()[found].key == key);
  }
}

// A payload whose parts have the sizes that its header asks for, so that what is wrong with a
// header is not hidden by what it makes of the rest.
std::string make_payload(Input* input) {
  const uint8_t shape = input->u8();
  const uint32_t rows = 1 + input->below(16);
  const uint16_t prefix_size = (shape & 1) != 0 ? input->u16() : input->u8() % 16;
  const uint8_t timestamp_width = (shape & 2) != 0 ? input->u8() : input->u8() % 10;
  const uint8_t kind = (shape & 4) != 0 ? input->u8() : input->u8() % 3;
  std::string payload;
  append_le(&payload, (shape & 8) != 0 && (shape & 0x80) != 0 ? input->u32() : rows);
  append_le(&payload, prefix_size);
  append_le(&payload, timestamp_width);
  append_le(&payload, kind);
  append_le(&payload, input->magnitude());
  payload.append(prefix_size, 'p');
  for (size_t size = size_t{rows} * timestamp_width; size > 0;) {
    const std::string_view piece = input->piece(std::min<size_t>(size, 8));
    if (piece.empty()) {
      payload.append(size, '\0');
      break;
    }
    payload.append(piece);
    size -= piece.size();
  }
  for (uint32_t i = 0; kind == 0 && i < rows; ++i) {
    payload.push_back(static_cast<char>((shape & 4) != 0 ? input->u8() : 1 + input->u8() % 2));
  }
  for (uint32_t i = 0; i < rows; ++i) {
    const uint8_t row = input->u8();
    // Right sizes, mostly; keys up to and over the limit.
    const bool long_key = (row & 0xe0) == 0xe0;
    const std::string suffix =
        long_key ? std::string(kKeySizeMax - prefix_size % kKeySizeMax + (row & 3) - 1, 's')
                 : std::string(input->piece(row & 7));
    const std::string_view value = input->piece(row >> 3 & 3);
    append_varint(&payload, (row & 0xfc) == 0xdc ? input->magnitude() : suffix.size());
    append_varint(&payload, (row & 0xfc) == 0xd8 ? input->magnitude() : value.size());
    payload.append(suffix).append(value);
  }
  return payload;
}

void check_payload(bool made_up, bool with_tags, Input* input) {
  Input probes = *input;
  OwnedBlock block(made_up ? make_payload(input) : std::string(input->rest()));
  const std::string_view payload = block.payload.view();
  const uint32_t claimed = payload.size() < 4 ? 0 : load_le<uint32_t>(payload.data());
  // open_block() admits no more rows, so that columns are bounded by the payload.
  const uint32_t rows = std::min(claimed, static_cast<uint32_t>(payload.size() / kBlockRowSizeMin));
  FUZZ_CHECK(!block.parse(rows + 1, with_tags).ok());
  const Status status = block.parse(rows, with_tags);
  if (!status.ok()) return check_refusal(status);
  FUZZ_CHECK(rows == claimed && block.view.row_count() == rows);
  check_searches(block.view, read_rows(block), with_tags, &probes);
}

void check_built(bool with_tags, Input* input) {
  MemoryManager* manager = &shared_memory();
  Model model;
  model.read(input, 300);
  BlockBuilder builder(manager, MemoryRole::sstable_builder);
  BlockSummary expected{.first_timestamp = model.rows().front().timestamp,
                        .timestamp_min = kTimestampMax,
                        .timestamp_max = kTimestampMin};
  const Row* previous = nullptr;
  for (const Row& row : model.rows()) {
    FUZZ_CHECK(builder.add(row.key, row.timestamp, row.kind, row.value));
    expected.timestamp_min = std::min(expected.timestamp_min, row.timestamp);
    expected.timestamp_max = std::max(expected.timestamp_max, row.timestamp);
    expected.tombstones += row.kind == VersionKind::tombstone;
    expected.has_equal_keys |= previous != nullptr && previous->key == row.key;
    previous = &row;
  }
  const BlockSummary summary = builder.summary();
  FUZZ_CHECK(summary.rows == model.size() && summary.tombstones == expected.tombstones);
  FUZZ_CHECK(summary.first_timestamp == expected.first_timestamp);
  FUZZ_CHECK(summary.timestamp_min == expected.timestamp_min);
  FUZZ_CHECK(summary.timestamp_max == expected.timestamp_max);
  FUZZ_CHECK(summary.has_equal_keys == expected.has_equal_keys);
  FUZZ_CHECK(builder.first_key() == model.rows().front().key);
  FUZZ_CHECK(builder.last_key() == model.rows().back().key);

  Buffer payload(manager, MemoryRole::sstable_builder);
  FUZZ_CHECK(payload.append("before") && builder.finish(&payload) && builder.empty());
  FUZZ_CHECK(payload.view().starts_with("before"));
  OwnedBlock block(payload.view().substr(6));
  const Status status = block.parse(model.size(), with_tags);
  FUZZ_CHECK_SAYING(status.ok(), status.to_string());
  const Model read = read_rows(block);
  FUZZ_CHECK(read.size() == model.size());
  for (uint32_t i = 0; i < model.size(); ++i) {
    const Row& a = model.rows()[i];
    const Row& b = read.rows()[i];
    FUZZ_CHECK(a.key == b.key && a.timestamp == b.timestamp && a.kind == b.kind &&
               a.value == b.value);
  }
  check_searches(block.view, model, with_tags, input);
}

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace varve::fuzz;
  Input input(data, size);
  const uint8_t mode = input.u8();
  const bool with_tags = (mode & 2) != 0;
  if ((mode & 1) == 0) {
    check_payload(/*made_up=*/(mode & 4) != 0, with_tags, &input);
  } else {
    check_built(with_tags, &input);
  }
  check_nothing_held();
  return 0;
}
