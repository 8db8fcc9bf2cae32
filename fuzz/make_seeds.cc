// Writes the seeds of the fuzz targets: fuzz/corpus/TARGET/NAME, one small file each. The seeds are
// kept in the repository; this is run again by hand when a format or a target's reading of its
// input changes (docs/fuzzing.md).
//
// usage: make_seeds FOLDER     FOLDER/TARGET/ is made if need be; files of the same name are
// replaced

#include <sys/stat.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "fuzz/build_sstable.h"
#include "fuzz/log_model.h"
#include "fuzz/manifest_model.h"
#include "fuzz/sstable_pieces.h"
#include "lsm/batch_format.h"
#include "lsm/block_builder.h"
#include "lsm/current_file.h"
#include "lsm/filter.h"
#include "lsm/value_writer.h"
#include "table/row_codec.h"
#include "varve/key_codec.h"

namespace varve::fuzz {
namespace {

class SeedFolder {
 public:
  explicit SeedFolder(std::string root) : root_(std::move(root)) {}

  void write(std::string_view target, std::string_view name, std::string_view bytes) const {
    const std::string folder = root_ + "/" + std::string(target);
    mkdir(folder.c_str(), 0755);  // it may be there
    const std::string path = folder + "/" + std::string(name);
    std::FILE* file = std::fopen(path.c_str(), "wb");
    FUZZ_CHECK_SAYING(file != nullptr, path);
    FUZZ_CHECK_SAYING(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size(), path);
    FUZZ_CHECK_SAYING(std::fclose(file) == 0, path);
  }

 private:
  std::string root_;
};

std::string noise(uint64_t seed, size_t size) {
  Random random(seed);
  std::string bytes;
  while (bytes.size() < size) append_le(&bytes, random.next());
  bytes.resize(size);
  return bytes;
}

std::string mode(unsigned value) { return std::string(1, static_cast<char>(value)); }

// Keys as applications have them: a common beginning, a number, some with several versions.
struct RowShape {
  uint32_t keys = 8;
  uint32_t versions_max = 1;
  uint32_t tombstone_every = 0;  // 0: none
  size_t key_size = 0;           // padded to it
  size_t value_size = 8;
  uint64_t timestamp_step = 1000;  // 0: all rows have timestamp 0
};

Model make_rows(const RowShape& shape) {
  Model model;
  uint32_t row = 0;
  for (uint32_t i = 0; i < shape.keys; ++i) {
    std::string key = "user/" + std::to_string(10000 + 7 * i);
    if (key.size() < shape.key_size) key.resize(shape.key_size, 'x');
    for (uint32_t left = 1 + i % shape.versions_max; left > 0; --left, ++row) {
      const bool is_tombstone =
          shape.tombstone_every != 0 && row % shape.tombstone_every == shape.tombstone_every - 1;
      model.add({.key = key,
                 .timestamp = {shape.timestamp_step * (left + i % 3)},
                 .kind = is_tombstone ? VersionKind::tombstone : VersionKind::value,
                 .value = is_tombstone ? "" : std::string(shape.value_size, 'a' + row % 26)});
    }
  }
  FUZZ_CHECK(shape.timestamp_step == 0 || model.is_in_order());
  return model;
}

std::string block_payload(const Model& model) {
  BlockBuilder builder(&shared_memory(), MemoryRole::control);
  for (const Row& row : model.rows()) {
    FUZZ_CHECK(builder.add(row.key, row.timestamp, row.kind, row.value));
  }
  Buffer payload(&shared_memory(), MemoryRole::control);
  FUZZ_CHECK(builder.finish(&payload));
  return std::string(payload.view());
}

void write_block_seeds(const SeedFolder& folder) {
  const struct {
    const char* name;
    RowShape shape;
  } seeds[] = {
      {"one-row", {.keys = 1}},
      {"plain", {.keys = 12}},
      {"versions", {.keys = 9, .versions_max = 4}},
      {"tombstones", {.keys = 20, .versions_max = 2, .tombstone_every = 3}},
      {"only-tombstones", {.keys = 5, .tombstone_every = 1}},
      {"wide-timestamps", {.keys = 10, .timestamp_step = uint64_t{1} << 60}},
      {"same-timestamp", {.keys = 10, .timestamp_step = 0}},
      {"long-keys", {.keys = 4, .key_size = 400}},
      {"empty-values", {.keys = 40, .value_size = 0}},
      {"long-values", {.keys = 3, .value_size = 600}},
  };
  for (const auto& seed : seeds) {
    const std::string payload = block_payload(make_rows(seed.shape));
    folder.write("block", std::string("payload-") + seed.name, mode(2) + payload);
  }
  folder.write("block", "made-up-few", mode(6) + noise(4, 60));
  folder.write("block", "made-up-many", mode(6) + noise(5, 400));
  folder.write("block", "rows-few", mode(3) + noise(1, 60));
  folder.write("block", "rows-many", mode(3) + noise(2, 1500));
  folder.write("block", "rows-no-tags", mode(1) + noise(3, 400));
}

void write_filter_seeds(const SeedFolder& folder) {
  for (const uint32_t keys : {0u, 1u, 100u, 400u}) {
    std::vector<uint64_t> hashes;
    for (uint32_t i = 0; i < keys; ++i) hashes.push_back(key_hash("key" + std::to_string(i)));
    Buffer filter(&shared_memory(), MemoryRole::control);
    FUZZ_CHECK(build_filter(hashes, 10, &filter));
    folder.write("filter", "bytes-of-" + std::to_string(keys),
                 mode(0) + std::string(filter.view()));
  }
  folder.write("filter", "hashes-few", mode(1) + noise(1, 40));
  folder.write("filter", "hashes-many", mode(1) + noise(2, 900));
}

void write_codec_seeds(const SeedFolder& folder) {
  Codec codec(&shared_memory(), MemoryRole::control);
  const std::string texts[] = {block_payload(make_rows({.keys = 60})),
                               block_payload(make_rows({.keys = 30, .value_size = 100})),
                               std::string(4000, 'z'), noise(1, 300) + std::string(2000, 'n')};
  int number = 0;
  for (const std::string& text : texts) {
    const std::string name = std::to_string(number++);
    std::string compressed(text.size(), '\0');
    const size_t size = codec.compress(text, compressed.data());
    FUZZ_CHECK(size != 0);
    std::string raw_size;
    append_le(&raw_size, static_cast<uint32_t>(text.size()));
    folder.write("codec", "frame-" + name, mode(0) + raw_size + compressed.substr(0, size));
    folder.write("codec", "text-" + name, mode(1) + noise(1, 6) + text.substr(0, 1500));
  }
}

void write_batch_seeds(const SeedFolder& folder) {
  std::string bytes = mode(0);
  const auto add = [&](const BatchEntry& entry) {
    char encoded[512];
    bytes.append(encoded, encode_batch_entry(encoded, entry));
  };
  add({.kind = VersionKind::value, .key = "ab", .value = "xyz"});
  folder.write("batch", "bytes-one", bytes);
  add({.kind = VersionKind::tombstone, .key = "ab"});
  add({.kind = VersionKind::value, .keyspace = {70000}, .key = "k", .value = ""});
  const std::string value(300, 'v');
  add({.kind = VersionKind::value, .keyspace = {1}, .key = "a longer key", .value = value});
  folder.write("batch", "bytes-several", bytes);
  folder.write("batch", "entries-few", mode(1) + noise(1, 40));
  folder.write("batch", "entries-many", mode(1) + noise(2, 800));
  folder.write("batch", "calls-few", mode(2) + noise(3, 60));
  folder.write("batch", "calls-many", mode(2) + noise(4, 800));
}

void write_values_seeds(const SeedFolder& folder) {
  constexpr ValueFileName kName{.number = {12}, .id = kFileId};
  const std::string plan(24, '\x2a');
  for (const Compression codec : {Compression::none, Compression::zstd}) {
    const std::unique_ptr<FileSystem> files = FileSystem::create_memory();
    const std::string path = path_in(kDirectory, value_file_name(kName.number));
    ValueWriter writer(&shared_memory(), create_file(files.get(), path), kName, {.codec = codec});
    for (const std::string& value : {std::string(300, 'v'), noise(6, 100), std::string("value")}) {
      FUZZ_CHECK(writer.add(value).ok());
    }
    FUZZ_CHECK(writer.finish().ok());
    folder.write("values", codec == Compression::none ? "file" : "file-compressed",
                 mode(0) + read_file(files.get(), path) + plan);
  }
  folder.write("values", "values-few", mode(1) + noise(7, 200) + plan);
  folder.write("values", "values-many", mode(1) + std::string(1500, 'v') + noise(8, 500));
}

void write_sstable_seeds(const SeedFolder& folder) {
  const struct {
    const char* name;
    SstableWriterOptions options;
    RowShape shape;
  } seeds[] = {
      {"one-row", {}, {.keys = 1}},
      {"one-block", {}, {.keys = 12, .versions_max = 2}},
      {"blocks", {.block_size = 200}, {.keys = 50, .versions_max = 3, .tombstone_every = 5}},
      {"no-filter", {.block_size = 200, .filter_bits_per_key = 0}, {.keys = 40}},
      {"compressed",
       {.block_size = 600, .codec = Compression::zstd},
       {.keys = 60, .value_size = 60}},
      {"key-across-blocks", {.block_size = 100}, {.keys = 20, .versions_max = 20}},
      {"row-a-block", {.block_size = 1}, {.keys = 20, .versions_max = 2}},
      {"partitions", {.block_size = 1, .filter_bits_per_key = 5}, {.keys = 270, .value_size = 1}},
      {"long-keys", {.block_size = 1000}, {.keys = 6, .key_size = 700}},
  };
  for (const auto& seed : seeds) {
    const std::string bytes = sstable_bytes(seed.options, make_rows(seed.shape));
    folder.write("sstable", seed.name, bytes + std::string(32, '\0'));
    if (bytes.size() > 6000) continue;
    folder.write("sstable", std::string(seed.name) + "-asked-more", bytes + noise(5, 32));
    // The same without memory at some moment: the plan's second byte.
    std::string plan(32, '\1');
    plan[1] = '\xc6';
    folder.write("sstable", std::string(seed.name) + "-no-memory", bytes + plan);
  }
  for (unsigned i = 0; i < 8; ++i) {
    // Block size, filter, codec, cache, files: the bits of the first byte.
    folder.write("sstable_model", "shape-" + std::to_string(i),
                 mode(i | i << 4) + noise(i, 200 + 300 * i));
  }
  // Blocks of one row each, filters on, one file: keys with many versions, so that one key's lie in
  // two partitions.
  std::string rows = mode(3) + mode(0) + mode(10) + mode(0) + mode(0);
  append_le(&rows, uint32_t{319});
  for (uint64_t i = 0; i < 320; ++i) {
    const bool next_key = i % 60 == 0;
    rows += next_key ? mode(1) + mode(2) + std::to_string(100 + i) : mode(0);
    rows += mode(2);  // a timestamp of two bytes, then the size of the value
    append_le(&rows, (i + 1) << 48);
    rows += mode(0);
  }
  for (uint64_t i = 0; i < 4; ++i) {
    folder.write("sstable_model", "key-across-partitions-" + std::to_string(i),
                 rows + noise(40 + i, 100));
  }
}

// Payloads of true indexes, of other files than the one that the target distorts, and decisions
// that make rows of its own.
void write_index_seeds(const SeedFolder& folder) {
  Model model = make_rows({.keys = 20, .versions_max = 2});
  std::string file = sstable_bytes({.block_size = 96}, model);
  SstablePieces pieces(&file, &shared_memory());
  const std::string claims_and_plan = std::string(4, '\0') + noise(1, 24);
  bool is_top = true;
  for (const SstablePiece& piece : pieces.walk(nullptr)) {
    if (!piece.is_index) continue;
    const std::string payload = file.substr(piece.offset, piece.stored_size);
    for (const unsigned also : {0u, 2u, 16u}) {
      folder.write("index", (is_top ? "top-" : "partition-") + std::to_string(also),
                   mode(also | (is_top ? 1 : 0)) + claims_and_plan + payload);
    }
    is_top = false;
  }
  for (unsigned top = 0; top < 2; ++top) {
    for (unsigned i = 0; i < 3; ++i) {
      folder.write("index", "rows-" + std::to_string(top) + "-" + std::to_string(i),
                   mode(8 | top) + claims_and_plan + noise(20 + i, 30 << i));
    }
  }
}

void write_log_seeds(const SeedFolder& folder) {
  for (uint64_t i = 0; i < 6; ++i) {
    const std::string decisions = noise(i, 40 << i % 5);
    folder.write("log", "damaged-" + std::to_string(i), mode(1) + decisions);
    Input input(reinterpret_cast<const uint8_t*>(decisions.data()), decisions.size());
    const Log log = make_log(&input);
    std::string framed = mode(0) + mode(static_cast<unsigned>(log.segments.size() - 1)) + mode(0);
    for (size_t s = 0; s < log.segments.size(); ++s) {
      if (s + 1 != log.segments.size()) {
        append_le(&framed, static_cast<uint32_t>(log.segments[s].size()));
      }
      framed.append(log.segments[s]);
    }
    folder.write("log", "segments-" + std::to_string(i), framed);
    if (!log.groups.empty()) {
      const LoggedGroup& group = log.groups.front();
      std::string payload = mode(2);
      append_le(&payload, group.header.commits);
      append_le(&payload, group.header.timestamp.nanos);
      folder.write("log", "payload-" + std::to_string(i), payload + group.payload);
    }
  }
}

void write_manifest_seeds(const SeedFolder& folder) {
  constexpr FileId kId{1, 2};
  for (uint64_t i = 0; i < 5; ++i) {
    const std::string decisions = noise(30 + i, 100 << i % 4);
    folder.write("manifest", "edits-" + std::to_string(i), mode(2) + decisions);
    Input input(reinterpret_cast<const uint8_t*>(decisions.data()), decisions.size());
    ManifestState state;
    std::string file(kManifestRecordsOffset, '\0');
    while (!input.empty()) {
      const LevelsEdit edit = make_edit(state, &input);
      FUZZ_CHECK(state.apply(edit).ok());
      const std::string payload = text_of(edit);
      const size_t offset = file.size();
      file.append(kManifestRecordHeaderSize, '\0').append(payload);
      store_le(file.data() + offset + 8, static_cast<uint32_t>(payload.size()));
      file.resize(padded_record_size(file.size()));
    }
    const uint64_t records = find_records(file).size();
    encode_manifest_mark(file.data() + manifest_mark_offset(records, 0),
                         {.size = file.size(), .records = records}, kId,
                         manifest_mark_offset(records, 0));
    seal_manifest(&file, &kId, nullptr);
    folder.write("manifest", "file-" + std::to_string(i), mode(0) + without_gaps(file));
    folder.write("manifest", "edit-" + std::to_string(i), mode(1) + text_of(state.as_edit()));
  }
  // An edit with the longest retention there is.
  LevelsEdit edit;
  edit.keyspaces_added.push_back({.keyspace = {3},
                                  .name = "kept for ever",
                                  .options = {.durability = Durability::os,
                                              .history_retention = std::chrono::nanoseconds::max()},
                                  .created = {1000},
                                  .flushed = {80}});
  folder.write("manifest", "edit-longest-retention", mode(1) + text_of(edit));
  folder.write("manifest", "current", mode(3) + encode_current({.number = {12}, .file = kId}));
}

// Decisions from which a target makes a history: any bytes are some.
void write_history_seeds(const SeedFolder& folder) {
  const struct {
    const char* target;
    size_t size;
  } seeds[] = {
      {"allocator", 200}, {"cache", 200},     {"crash", 120},    {"db_ops", 150},
      {"directory", 16},  {"iterators", 120}, {"memtable", 150},
  };
  for (const auto& seed : seeds) {
    for (uint64_t i = 0; i < 8; ++i) {
      folder.write(seed.target, "history-" + std::to_string(i), noise(60 + i, seed.size << i % 4));
    }
  }
}

// Two keys of a few elements each; see key_codec_fuzz.cc.
void write_key_seeds(const SeedFolder& folder) {
  for (uint64_t i = 0; i < 12; ++i) {
    char buffer[200];
    KeyWriter keys(buffer);
    const auto put = [&](Order order) {
      keys.int64(static_cast<int64_t>(i * i * i) - 100, order);
      keys.text(i % 2 == 0 ? "text" : std::string_view("nu\0l", 4), order);
      keys.decimal({static_cast<Int128>(i) * 1000 - 3000, static_cast<int32_t>(i % 5)}, order);
      keys.begin_array(order);
      keys.float64(1.5 * static_cast<double>(i));
      keys.null();
      keys.end_array();
      keys.timestamp(static_cast<int64_t>(i) << 40, order);
      keys.uuid({}, order);
      keys.boolean(i % 3 == 0, order);
    };
    put(i % 4 < 2 ? Order::ascending : Order::descending);
    const size_t first = keys.size();
    put(i % 4 < 2 ? Order::ascending : Order::descending);
    folder.write(
        "key_codec", "keys-" + std::to_string(i),
        mode(i % 4 < 2 ? 0 : 0xff) + mode(static_cast<unsigned>(first)) + std::string(keys.key()));
  }
}

// Places of columns, and a row of them; see row_codec_fuzz.cc.
void write_row_seeds(const SeedFolder& folder) {
  const std::string text = "a text";
  for (unsigned shape = 0; shape < 4; ++shape) {
    std::vector<RowPlace> places;
    std::vector<Value> values;
    const auto add = [&](ColumnType type, const Value& value) {
      places.push_back({.kind = {.type = type, .scale = 0}, .default_value = {}});
      values.push_back(places.size() % 4 == shape ? Value() : value);
    };
    add(ColumnType::int64, Value::int64(-7));
    add(ColumnType::text, Value::text(text));
    add(ColumnType::boolean, Value::boolean(true));
    add(ColumnType::decimal, Value::decimal({1234, 0}));
    add(ColumnType::bytes, Value::bytes(text));
    add(ColumnType::uuid, Value::uuid({}));
    add(ColumnType::float64, Value::float64(2.5));
    const RowLayout layout(places);
    std::string row(layout.size_of(values), '\0');
    layout.write(values, row.data());
    std::string bytes = mode(static_cast<unsigned>(places.size()));
    for (const RowPlace& place : places) bytes += mode(static_cast<unsigned>(place.kind.type) - 1);
    folder.write("row_codec", "row-" + std::to_string(shape), bytes + row);
  }
}

// A seed of rows, the length of texts among arguments, arguments (a kind and a byte each), and a
// filter; see filter_expression_fuzz.cc.
void write_filter_expression_seeds(const SeedFolder& folder) {
  static constexpr std::string_view kFilters[] = {
      "a = 1 and b > 'x' or not (c is null)",
      "a in (1, -2, 3) and b like 'x%' and d < 18446744073709551615",
      "c between -1.5 and 1e40 and \"d\" <> 0",
      "b not in ('x', 'it''s') and a not between 0 and 1 and b is not null",
      "d = 1 and a > 0",
  };
  int number = 0;
  for (const std::string_view filter : kFilters) {
    folder.write("filter_expression", "filter-" + std::to_string(number),
                 mode(static_cast<unsigned>(number)) + mode(1) + mode(0) + std::string(filter));
    ++number;
  }
  folder.write("filter_expression", "arguments",
               mode(7) + mode(1) + mode(2) + mode(0) + mode(101) + mode(3) +
                   std::string("a >= ? and b < ?"));
}

// Programs of transactions, and a schedule: the length of the former in two bytes, the pace of
// time, then both.
void write_schedule_seeds(const SeedFolder& folder) {
  for (uint64_t i = 0; i < 24; ++i) {
    const std::string programs = noise(100 + i, 60 + 20 * i);
    std::string bytes;
    append_le(&bytes, static_cast<uint16_t>(programs.size()));
    bytes += mode(static_cast<unsigned>(i));
    bytes += programs + noise(200 + i, 30 + 5 * i);
    folder.write("txn_schedule", "program-" + std::to_string(i), bytes);
  }
}

}  // namespace
}  // namespace varve::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds FOLDER\n");
    return 2;
  }
  using namespace varve::fuzz;
  const SeedFolder folder(argv[1]);
  write_block_seeds(folder);
  write_filter_seeds(folder);
  write_codec_seeds(folder);
  write_batch_seeds(folder);
  write_values_seeds(folder);
  write_sstable_seeds(folder);
  write_index_seeds(folder);
  write_log_seeds(folder);
  write_manifest_seeds(folder);
  write_history_seeds(folder);
  write_key_seeds(folder);
  write_row_seeds(folder);
  write_filter_expression_seeds(folder);
  write_schedule_seeds(folder);
  check_nothing_held();
  return 0;
}
