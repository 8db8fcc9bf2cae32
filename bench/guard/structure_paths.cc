// Memtable, block, filter, sstable, merge: each by itself, in the processor's caches or near them.

#include <vector>

#include "bench/guard/hot_path.h"
#include "lsm/block_builder.h"
#include "lsm/filter.h"
#include "lsm/memtable.h"
#include "lsm/merge_cursor.h"
#include "lsm/run_cursor.h"

namespace varve::bench {
namespace {

constexpr uint64_t kRows = 20'000;

// -- memtable --

class MemtablePath : public HotPath {
 public:
  explicit MemtablePath(uint64_t rows)
      : samples_(make_samples(rows)),
        memtable_(Memtable::create(&manager_, &epochs_, rows, uint64_t{32} << 20)) {
    require(memtable_ != nullptr);
  }
  ~MemtablePath() override {
    memtable_->unref();
    epochs_.drain();
  }
  MemoryReport memory() override { return manager_.report(); }

 protected:
  void insert(uint64_t operation) {
    const Sample& row = samples_[shuffled(operation, samples_.size())];
    require(memtable_->reserve(Memtable::entry_size(row.key.size(), row.value.size()), 1));
    memtable_->apply(row.key, key_hash(row.key), Timestamp{1 + operation}, VersionKind::value,
                     row.value);
    memtable_->link_if_due();
  }

  MemoryManager manager_{0};
  EpochDomain epochs_;
  const std::vector<Sample> samples_;
  Memtable* const memtable_;
};

class MemtableInsert final : public MemtablePath {
 public:
  explicit MemtableInsert(uint64_t operations) : MemtablePath(2 * operations) {}
  void run(uint64_t first, uint64_t operations) override {
    for (uint64_t i = first; i < first + operations; ++i) insert(i);
  }
};

class MemtableGet final : public MemtablePath {
 public:
  explicit MemtableGet(uint64_t) : MemtablePath(kRows) {
    for (uint64_t i = 0; i < kRows; ++i) insert(i);
  }
  void run(uint64_t first, uint64_t operations) override {
    uint64_t sum = 0;
    for (uint64_t i = first; i < first + operations; ++i) {
      const std::string& key = samples_[shuffled(i, kRows)].key;
      const EpochDomain::Guard guard(epochs_);
      Memtable::Found found;
      require(memtable_->get(key, key_hash(key), kTimestampMax, &found));
      sum += found.value.size();
    }
    consume(sum);
  }
};

class MemtableNext final : public MemtablePath {
 public:
  explicit MemtableNext(uint64_t) : MemtablePath(kRows) {
    for (uint64_t i = 0; i < kRows; ++i) insert(i);
    memtable_->link_waiting();
    cursor_.reset(memtable_, kTimestampMax, false);
  }
  void run(uint64_t, uint64_t operations) override {
    uint64_t sum = 0;
    cursor_.seek_to_first();
    for (uint64_t i = 0; i < operations; ++i) {
      sum += cursor_.value().size();
      cursor_.next();
      if (!cursor_.valid()) cursor_.seek_to_first();
    }
    consume(sum);
  }

 private:
  MemtableCursor cursor_;
};

// -- block --

class BlockPath : public HotPath {
 public:
  BlockPath() : payload_(&manager_, MemoryRole::sstable_builder) {
    Samples samples;
    BlockBuilder builder(&manager_, MemoryRole::sstable_builder);
    for (uint64_t i = 0; builder.size_estimate() < kBlockSize; ++i) {
      require(builder.add(samples.key(i), Timestamp{1 + i}, VersionKind::value, samples.value(i)));
    }
    const uint32_t rows = builder.summary().rows;
    require(builder.finish(&payload_));
    columns_.resize(BlockView::columns_size(rows, payload_.size(), /*with_tags=*/true) /
                    sizeof(uint64_t));
    Result<BlockView> view = BlockView::parse(payload_.view(), rows, columns(), true);
    require(view.ok());
    view_ = *view;
    view_.fill_tags();
    samples_ = make_samples(rows);
  }
  MemoryReport memory() override { return manager_.report(); }

 protected:
  static constexpr size_t kBlockSize = 8 * 1024;

  char* columns() { return reinterpret_cast<char*>(columns_.data()); }

  MemoryManager manager_{0};
  Buffer payload_;
  std::vector<uint64_t> columns_;
  BlockView view_;
  std::vector<Sample> samples_;
};

class BlockFind final : public BlockPath {
 public:
  explicit BlockFind(uint64_t) {}
  void run(uint64_t first, uint64_t operations) override {
    uint64_t sum = 0;
    for (uint64_t i = first; i < first + operations; ++i) {
      const std::string& key = samples_[shuffled(i, samples_.size())].key;
      sum += view_.row(view_.find(key, key_hash(key), kTimestampMax)).value.size();
    }
    consume(sum);
  }
};

class BlockSeek final : public BlockPath {
 public:
  explicit BlockSeek(uint64_t) {}
  void run(uint64_t first, uint64_t operations) override {
    uint64_t sum = 0;
    for (uint64_t i = first; i < first + operations; ++i) {
      sum += view_.lower_bound({samples_[shuffled(i, samples_.size())].key, kTimestampMax});
    }
    consume(sum);
  }
};

class BlockNext final : public BlockPath {
 public:
  explicit BlockNext(uint64_t) {}
  void run(uint64_t first, uint64_t operations) override {
    uint64_t sum = 0;
    for (uint64_t i = first; i < first + operations; ++i) {
      const auto at = static_cast<uint32_t>(i % view_.row_count());
      const BlockRow row = view_.row(at);
      sum += row.suffix.size() + row.value.size() + view_.timestamp(at).nanos +
             static_cast<uint64_t>(view_.kind(at));
    }
    consume(sum);
  }
};

// Rows of whole blocks.
class BlockBuild final : public BlockPath {
 public:
  explicit BlockBuild(uint64_t) : builder_(&manager_, MemoryRole::sstable_builder) {}
  void run(uint64_t first, uint64_t operations) override {
    for (uint64_t i = first; i < first + operations; ++i) {
      const uint64_t at = i % samples_.size();
      if (at == 0 && !builder_.empty()) {
        payload_.clear();
        require(builder_.finish(&payload_));
      }
      require(builder_.add(samples_[at].key, Timestamp{1 + at}, VersionKind::value,
                           samples_[at].value));
    }
    consume(payload_.size());
  }

 private:
  BlockBuilder builder_;
};

// What a load of a block derives from its bytes. One operation is one block.
class BlockParse final : public BlockPath {
 public:
  explicit BlockParse(uint64_t) {}
  void run(uint64_t, uint64_t operations) override {
    for (uint64_t i = 0; i < operations; ++i) {
      require(BlockView::parse(payload_.view(), view_.row_count(), columns(), true).ok());
    }
  }
};

// What makes point reads of a block that is read often fast. One operation is one block.
class BlockTags final : public BlockPath {
 public:
  explicit BlockTags(uint64_t) {}
  void run(uint64_t, uint64_t operations) override {
    for (uint64_t i = 0; i < operations; ++i) view_.fill_tags();
  }
};

// -- filter --

class FilterPath : public HotPath {
 public:
  FilterPath() : payload_(&manager_, MemoryRole::filter) {
    for (uint64_t i = 0; i < kRows; ++i) hashes_.push_back(mix64(i));
  }
  MemoryReport memory() override { return manager_.report(); }

 protected:
  static constexpr uint32_t kBitsPerKey = 10;

  MemoryManager manager_{0};
  Buffer payload_;
  std::vector<uint64_t> hashes_;
};

class FilterProbe final : public FilterPath {
 public:
  explicit FilterProbe(uint64_t) {
    require(build_filter(hashes_, kBitsPerKey, &payload_));
    view_ = *FilterView::parse(payload_.view());
  }
  // Keys that are there and keys that are not take turns.
  void run(uint64_t first, uint64_t operations) override {
    uint64_t sum = 0;
    for (uint64_t i = first; i < first + operations; ++i) {
      const uint64_t hash = hashes_[i % kRows];
      sum += view_.may_contain(i % 2 == 0 ? hash : ~hash);
    }
    consume(sum);
  }

 private:
  FilterView view_;
};

// One operation is one key.
class FilterBuild final : public FilterPath {
 public:
  explicit FilterBuild(uint64_t) {}
  void run(uint64_t, uint64_t operations) override {
    payload_.clear();
    require(build_filter({hashes_.data(), operations}, kBitsPerKey, &payload_));
  }
};

// -- sstable --

class SstablePath : public HotPath {
 public:
  explicit SstablePath(uint64_t files) : samples_(make_samples(kRows)) {
    for (uint64_t i = 0; i < files; ++i) {
      files_.push_back(home_.write({.first = i, .step = files, .count = kRows / files}));
    }
  }
  ~SstablePath() override {
    for (Sstable* file : files_) file->unref();
  }
  MemoryReport memory() override { return home_.manager().report(); }

 protected:
  SampleFiles home_;
  std::vector<Sstable*> files_;
  const std::vector<Sample> samples_;
};

// Of what is in the cache.
class SstableGet final : public SstablePath {
 public:
  explicit SstableGet(uint64_t) : SstablePath(1) {
    RunCursor cursor(&home_.manager());
    cursor.reset(files_, true);
    for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    }
    for (const Sample& row : samples_) {  // partitions and filters too
      ReadAccess access;
      FoundVersion found;
      require(*files_[0]->get(row.key, key_hash(row.key), kTimestampMax, &access, &found));
    }
  }
  void run(uint64_t first, uint64_t operations) override {
    uint64_t sum = 0;
    for (uint64_t i = first; i < first + operations; ++i) {
      const std::string& key = samples_[shuffled(i, kRows)].key;
      const EpochDomain::Guard guard(home_.epochs());
      ReadAccess access{.resident_only = true};
      FoundVersion found;
      const Result<bool> got = files_[0]->get(key, key_hash(key), kTimestampMax, &access, &found);
      require(got.ok() && *got);
      sum += found.value.size();
    }
    consume(sum);
  }
};

class SstableNext final : public SstablePath {
 public:
  explicit SstableNext(uint64_t) : SstablePath(1), cursor_(&home_.manager()) {
    cursor_.reset(files_, true);
  }
  ~SstableNext() override { cursor_.clear(); }
  void run(uint64_t, uint64_t operations) override {
    uint64_t sum = 0;
    cursor_.seek_to_first();
    for (uint64_t i = 0; i < operations; ++i) {
      sum += cursor_.user_key().size() + cursor_.value().size();
      cursor_.next();
      if (!cursor_.valid()) cursor_.seek_to_first();
    }
    consume(sum);
  }

 private:
  RunCursor cursor_;
};

// Four runs whose rows take turns: the winner changes at every step.
class MergeNext final : public SstablePath {
 public:
  explicit MergeNext(uint64_t) : SstablePath(kRuns) {
    std::vector<VersionCursor*> children;
    for (Sstable*& file : files_) {
      runs_.push_back(std::make_unique<RunCursor>(&home_.manager()));
      runs_.back()->reset({&file, 1}, true);
      children.push_back(runs_.back().get());
    }
    merge_.reset(children);
  }
  ~MergeNext() override {
    for (const std::unique_ptr<RunCursor>& run : runs_) run->clear();
  }
  void run(uint64_t, uint64_t operations) override {
    uint64_t sum = 0;
    merge_.seek_to_first();
    for (uint64_t i = 0; i < operations; ++i) {
      sum += merge_.user_key().size() + merge_.value().size();
      merge_.next();
      if (!merge_.valid()) merge_.seek_to_first();
    }
    consume(sum);
  }

 private:
  static constexpr uint64_t kRuns = 4;
  std::vector<std::unique_ptr<RunCursor>> runs_;
  MergeCursor merge_;
};

template <typename Path>
std::unique_ptr<HotPath> make(uint64_t operations) {
  return std::make_unique<Path>(operations);
}

constexpr HotPathEntry kPaths[] = {
    {"memtable_insert", kRows, make<MemtableInsert>},
    {"memtable_get", kRows, make<MemtableGet>},
    {"memtable_next", kRows, make<MemtableNext>},
    {"block_find", kRows, make<BlockFind>},
    {"block_seek", kRows, make<BlockSeek>},
    {"block_next", kRows, make<BlockNext>},
    {"block_build", kRows, make<BlockBuild>},
    {"block_parse", 200, make<BlockParse>},
    {"block_tags", 200, make<BlockTags>},
    {"filter_probe", kRows, make<FilterProbe>},
    {"filter_build", kRows, make<FilterBuild>},
    {"sstable_get", kRows, make<SstableGet>},
    {"sstable_next", kRows, make<SstableNext>},
    {"merge_next", kRows, make<MergeNext>},
};

}  // namespace

std::span<const HotPathEntry> structure_paths() { return kPaths; }

}  // namespace varve::bench
