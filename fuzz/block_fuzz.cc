// Blocks (lsm/block_format.h). The first byte says what the others are.
//
// Oracle for bytes as a payload: BlockView::parse answers corruption or not_supported, or a view
// whose rows, keys and values lie inside the payload; its bounds and finds lead to rows that exist,
// and when the rows are in version order they agree with a search of one row after the other.
// Oracle for bytes as rows: what BlockBuilder makes of them is parsed into the same rows, with the
// same answers, and its summary is true.

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
    columns = std::make_unique<char[]>(BlockView::columns_size(row_count));
    Result<BlockView> result =
        BlockView::parse(payload.view(), row_count, columns.get(), with_tags);
    if (!result.ok()) return result.status();
    view = *result;
    return Status();
  }

  ExactCopy payload;
  std::unique_ptr<char[]> columns;
  BlockView view;
};

Model read_rows(const OwnedBlock& block) {
  const BlockView& view = block.view;
  Model model;
  FUZZ_CHECK(view.prefix().empty() || block.payload.holds(view.prefix()));
  for (uint32_t i = 0; i < view.row_count(); ++i) {
    const BlockRow row = view.row(i);
    FUZZ_CHECK(block.payload.holds(row.suffix) && block.payload.holds(row.value));
    FUZZ_CHECK(view.prefix().size() + row.suffix.size() <= kKeySizeMax);
    FUZZ_CHECK(is_known(view.kind(i)));
    FUZZ_CHECK(view.head(i) == key_head(row.suffix));
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
    }
    if (!with_tags) continue;
    // Even if rows are in no order it finds the first one that fits.
    FUZZ_CHECK(view.find(key, key_hash(key), timestamp) == model.find(key, timestamp));
    // A hash that is not the key's may miss it, but never finds another.
    const uint32_t found = view.find(key, ~key_hash(key), timestamp);
    FUZZ_CHECK(found <= view.row_count());
    if (found < view.row_count()) FUZZ_CHECK(model.rows()[found].key == key);
  }
}

void check_payload(bool with_tags, Input* input) {
  Input probes = *input;
  OwnedBlock block(input->rest());
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
    check_payload(with_tags, &input);
  } else {
    check_built(with_tags, &input);
  }
  check_nothing_held();
  return 0;
}
