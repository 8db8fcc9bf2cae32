// What SstableWriter writes, Sstable and RunCursor read: the input is rows, options, and questions.
//
// Oracle: one to three files that together hold the rows, read as a run, give every walk, seek and
// point read as a search of one row after the other does, whatever the sizes of blocks and cache,
// the filter and the codec; properties are true; a file that the manifest did not mean is refused.

#include <string>
#include <vector>

#include "fuzz/build_sstable.h"
#include "fuzz/check.h"
#include "fuzz/version_walk.h"
#include "lsm/run_cursor.h"
#include "lsm/sstable.h"

namespace varve::fuzz {
namespace {

struct RunFile {
  Sstable* sstable;
  uint32_t first;  // rows of the model
  uint32_t last;
};

class Run {
 public:
  Run(const Model& model, const SstableWriterOptions& options, uint64_t cache_bytes, size_t files)
      : model_(model),
        file_system_(FileSystem::create_memory()),
        cache_(&shared_memory(), &shared_epochs(), cache_bytes) {
    uint32_t first = 0;
    for (size_t i = 0; i < files && first < model.size(); ++i) {
      const uint32_t share = std::max(1u, model.size() / static_cast<uint32_t>(files));
      // A key's versions stay together, so that the file before may have taken more than its share.
      uint32_t last = i + 1 == files ? model.size() : std::min(first + share, model.size());
      while (last < model.size() && model.rows()[last].key == model.rows()[last - 1].key) ++last;
      add_file(options, first, last);
      first = last;
    }
  }
  ~Run() {
    for (const RunFile& file : files_) file.sstable->unref();
  }

  void check_walks(bool fill_cache) {
    RunCursor cursor(&shared_memory());
    cursor.reset(sstables_, fill_cache);
    FUZZ_CHECK(!cursor.valid());
    cursor.seek_to_first();
    for (uint32_t i = 0; i <= model_.size(); ++i) {
      check_place(cursor, model_, i);
      if (cursor.valid()) cursor.next();
    }
    cursor.seek_to_last();
    for (uint32_t i = model_.size(); i-- > 0;) {
      check_place(cursor, model_, i);
      cursor.prev();
    }
    check_place(cursor, model_, model_.size());
  }

  void check_seek(const VersionKey& place, bool fill_cache) {
    RunCursor cursor(&shared_memory());
    cursor.reset(sstables_, fill_cache);
    const uint32_t at = model_.lower_bound(place);
    cursor.seek(place);
    check_place(cursor, model_, at);
    if (cursor.valid()) {
      cursor.next();
      check_place(cursor, model_, at + 1);
      if (cursor.valid()) cursor.prev();
    }
    cursor.seek_for_prev(place);
    const uint32_t after = model_.upper_bound(place);
    check_place(cursor, model_, after == 0 ? model_.size() : after - 1);
    if (cursor.valid()) {
      cursor.prev();
      check_place(cursor, model_, after < 2 ? model_.size() : after - 2);
    }
  }

  void check_get(std::string_view key, Timestamp snapshot, bool fill_cache) {
    const uint32_t expected = model_.find(key, snapshot);
    for (const RunFile& file : files_) {
      for (const bool resident_only : {false, true}) {
        EpochDomain::Guard* guard = nullptr;
        alignas(EpochDomain::Guard) char memory[sizeof(EpochDomain::Guard)];
        if (resident_only) guard = new (memory) EpochDomain::Guard(shared_epochs());
        ReadAccess access{.resident_only = resident_only, .fill_cache = fill_cache};
        FoundVersion found;
        const Result<bool> result =
            file.sstable->get(key, key_hash(key), snapshot, &access, &found);
        FUZZ_CHECK_SAYING(result.ok(), result.status().to_string());
        if (!access.missed) {
          FUZZ_CHECK(*result == (expected >= file.first && expected < file.last));
        }
        if (*result) {
          const Row& row = model_.rows()[expected];
          FUZZ_CHECK(found.timestamp == row.timestamp && found.kind == row.kind);
          FUZZ_CHECK(found.value == row.value);
        }
        if (guard != nullptr) guard->~Guard();
      }
    }
  }

 private:
  void add_file(const SstableWriterOptions& options, uint32_t first, uint32_t last) {
    const FileNumber number{files_.size() + 1};
    const std::string path = path_in(kDirectory, sstable_name(number));
    const FileId id{number.value, ~number.value};
    const SstableProperties properties =
        build_sstable(file_system_.get(), path, options, model_, first, last, id);
    check_properties(properties, options, first, last);
    Result<Sstable*> unknown = Sstable::open_unknown(file_system_.get(), path, &cache_);
    FUZZ_CHECK_SAYING(unknown.ok(), unknown.status().to_string());
    check_properties((*unknown)->properties(), options, first, last);
    SstableInfo info = (*unknown)->info();
    FUZZ_CHECK(info.id == id && info.file_size == file_system_->info(path)->size);
    (*unknown)->unref();

    info.number = number;
    info.id.low ^= 1;
    const Result<Sstable*> other = Sstable::open(file_system_.get(), path, &cache_, nullptr, info);
    FUZZ_CHECK(other.status().code() == StatusCode::corruption);
    info.id.low ^= 1;
    Result<Sstable*> opened = Sstable::open(file_system_.get(), path, &cache_, nullptr, info);
    FUZZ_CHECK_SAYING(opened.ok(), opened.status().to_string());
    files_.push_back({*opened, first, last});
    sstables_.push_back(*opened);
  }

  void check_properties(const SstableProperties& p, const SstableWriterOptions& options,
                        uint32_t first, uint32_t last) const {
    SstableProperties e{.versions = last - first,
                        .timestamp_min = kTimestampMax,
                        .smallest_key = model_.rows()[first].key,
                        .largest_key = model_.rows()[last - 1].key};
    for (uint32_t i = first; i < last; ++i) {
      const Row& row = model_.rows()[i];
      e.user_keys += i == first || row.key != model_.rows()[i - 1].key;
      e.tombstones += row.kind == VersionKind::tombstone;
      e.raw_bytes += row.key.size() + row.value.size();
      e.timestamp_min = std::min(e.timestamp_min, row.timestamp);
      e.timestamp_max = std::max(e.timestamp_max, row.timestamp);
    }
    FUZZ_CHECK(p.versions == e.versions && p.user_keys == e.user_keys);
    FUZZ_CHECK(p.tombstones == e.tombstones && p.raw_bytes == e.raw_bytes);
    FUZZ_CHECK(p.timestamp_min == e.timestamp_min && p.timestamp_max == e.timestamp_max);
    FUZZ_CHECK(p.smallest_key == e.smallest_key && p.largest_key == e.largest_key);
    FUZZ_CHECK(p.keyspace == options.keyspace.id && p.codec == options.codec);
    FUZZ_CHECK(p.created_nanos == options.created_nanos);
    // Only files with collapsed timestamps need to say before when.
    FUZZ_CHECK(p.collapse_horizon ==
               (p.timestamp_min == Timestamp{} ? options.collapse_horizon : Timestamp{}));
    FUZZ_CHECK(p.filter_bits_per_key == options.filter_bits_per_key);
    FUZZ_CHECK(p.data_blocks >= 1 && p.data_blocks <= p.versions);
    FUZZ_CHECK(p.partitions == (p.data_blocks + kPartitionBlocksMax - 1) / kPartitionBlocksMax);
  }

  const Model& model_;
  const std::unique_ptr<FileSystem> file_system_;
  BlockCache cache_;
  std::vector<RunFile> files_;
  std::vector<Sstable*> sstables_;
};

void run(Input* input) {
  const uint8_t shape = input->u8();
  const SstableWriterOptions options{
      .keyspace = {input->u8()},
      // The smallest makes a block of each row, so that more than one partition comes about.
      .block_size = (shape & 1) != 0 ? 1u : 64u + input->below(2048),
      .filter_bits_per_key = (shape & 2) != 0 ? input->below(20) : 0u,
      .codec = (shape & 4) != 0 ? Compression::zstd : Compression::none,
      .created_nanos = input->magnitude(),
      .collapse_horizon = {input->magnitude()}};
  const uint64_t cache_bytes = (shape & 8) != 0 ? 8 << 10 : 4 << 20;
  const size_t files = 1 + (shape >> 4) % 3;
  Model model;
  model.read(input, 320);
  Run made(model, options, cache_bytes, files);
  made.check_walks((shape & 0x80) != 0);
  for (const auto& [key, timestamp] : places_to_ask(model, input, 8)) {
    const bool fill_cache = input->flag();
    made.check_seek({key, timestamp}, fill_cache);
    made.check_get(key, timestamp, fill_cache);
    made.check_get(key, kTimestampMax, fill_cache);
  }
}

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::Input input(data, size);
  varve::fuzz::run(&input);
  varve::fuzz::check_nothing_held();
  return 0;
}
