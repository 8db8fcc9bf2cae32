// A database as its users see it: commits, reads, scans, transactions; and what overwrites cost.

#include <array>
#include <optional>
#include <vector>

#include "bench/guard/guard_database.h"
#include "bench/guard/hot_path.h"

namespace varve::bench {
namespace {

constexpr uint64_t kRows = 20'000;

class DatabasePath : public HotPath {
 public:
  // With the first `loaded` rows in one run, in the cache.
  DatabasePath(uint64_t rows, uint64_t loaded) : samples_(make_samples(rows)) {
    for (uint64_t i = 0; i < loaded; ++i) put(i, loaded);
    require(database_->compact().ok());
    settle();
    Result<Cursor> cursor = database_->scan();
    require(cursor.ok());
    uint64_t found = 0;
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) ++found;
    require(found == loaded);
  }
  void settle() override { database_.settle(); }
  MemoryReport memory() override { return database_->memory_report(); }

 protected:
  void put(uint64_t operation, uint64_t rows) {
    const Sample& row = samples_[shuffled(operation, rows)];
    require(database_->put(row.key, row.value).ok());
  }
  const std::string& key(uint64_t operation) const {
    return samples_[shuffled(operation, samples_.size())].key;
  }

  const std::vector<Sample> samples_;
  GuardDatabase database_;
};

class ReadPath : public DatabasePath {
 public:
  ReadPath() : DatabasePath(kRows, kRows) {}
};

// New keys.
class Put final : public DatabasePath {
 public:
  explicit Put(uint64_t operations) : DatabasePath(2 * operations, 0) {}
  void run(uint64_t first, uint64_t operations) override {
    for (uint64_t i = first; i < first + operations; ++i) put(i, samples_.size());
  }
};

class Overwrite final : public DatabasePath {
 public:
  explicit Overwrite(uint64_t) : DatabasePath(kRows, kRows) {}
  void run(uint64_t first, uint64_t operations) override {
    for (uint64_t i = first; i < first + operations; ++i) put(i, kRows);
  }
};

// One operation is one row, of batches of 100.
class PutBatch final : public DatabasePath {
 public:
  explicit PutBatch(uint64_t operations) : DatabasePath(2 * operations, 0), batch_(*database_) {}
  void run(uint64_t first, uint64_t operations) override {
    for (uint64_t i = first; i < first + operations; ++i) {
      const Sample& row = samples_[shuffled(i, samples_.size())];
      require(batch_.put(row.key, row.value).ok());
      if ((i + 1) % kBatch != 0) continue;
      require(database_->write(batch_).ok());
      batch_.clear();
    }
  }

 private:
  static constexpr uint64_t kBatch = 100;
  WriteBatch batch_;
};

class Get final : public ReadPath {
 public:
  explicit Get(uint64_t) {}
  void run(uint64_t first, uint64_t operations) override {
    uint64_t sum = 0;
    for (uint64_t i = first; i < first + operations; ++i) {
      const Result<std::optional<PinnedValue>> value = database_->get(key(i));
      require(value.ok() && value->has_value());
      sum += (*value)->view().size();
    }
    consume(sum);
  }
};

// One operation is one key, of groups of 32.
class MultiGet final : public ReadPath {
 public:
  explicit MultiGet(uint64_t) {}
  void run(uint64_t first, uint64_t operations) override {
    std::array<std::string_view, kKeys> keys;
    std::array<std::optional<PinnedValue>, kKeys> values;
    uint64_t sum = 0;
    for (uint64_t i = first; i + kKeys <= first + operations; i += kKeys) {
      for (uint64_t k = 0; k < kKeys; ++k) keys[k] = key(i + k);
      require(database_->multi_get(keys, values).ok());
      for (std::optional<PinnedValue>& value : values) {
        require(value.has_value());
        sum += value->view().size();
        value.reset();
      }
    }
    consume(sum);
  }

 private:
  static constexpr uint64_t kKeys = 32;
};

class Seek final : public ReadPath {
 public:
  explicit Seek(uint64_t) : cursor_(std::move(*database_->scan())) {}
  void run(uint64_t first, uint64_t operations) override {
    uint64_t sum = 0;
    for (uint64_t i = first; i < first + operations; ++i) {
      cursor_.seek(key(i));
      for (uint64_t row = 0; row < kRowsRead && cursor_.valid(); ++row) {
        sum += cursor_.value().size();
        cursor_.next();
      }
    }
    consume(sum);
  }

 private:
  static constexpr uint64_t kRowsRead = 10;
  Cursor cursor_;
};

template <bool kForward>
class Walk final : public ReadPath {
 public:
  explicit Walk(uint64_t) : cursor_(std::move(*database_->scan())) {}
  void run(uint64_t, uint64_t operations) override {
    uint64_t sum = 0;
    begin();
    for (uint64_t i = 0; i < operations; ++i) {
      sum += cursor_.key().size() + cursor_.value().size();
      if constexpr (kForward) {
        cursor_.next();
      } else {
        cursor_.prev();
      }
      if (!cursor_.valid()) begin();
    }
    consume(sum);
  }

 private:
  void begin() {
    if constexpr (kForward) {
      cursor_.seek_to_first();
    } else {
      cursor_.seek_to_last();
    }
  }
  Cursor cursor_;
};

// Reads two rows for update, writes both, commits.
class Transfer final : public DatabasePath {
 public:
  explicit Transfer(uint64_t) : DatabasePath(kRows, kRows) {}
  void run(uint64_t first, uint64_t operations) override {
    for (uint64_t i = first; i < first + operations; ++i) {
      const Sample& from = samples_[shuffled(2 * i, kRows)];
      const Sample& to = samples_[shuffled(2 * i + 1, kRows)];
      Result<Transaction> transaction = database_->begin();
      require(transaction.ok());
      for (const Sample* row : {&from, &to}) {
        const Result<std::optional<PinnedValue>> value = transaction->get_for_update(row->key);
        require(value.ok() && value->has_value());
      }
      require(transaction->put(from.key, to.value).ok());
      require(transaction->put(to.key, from.value).ok());
      require(transaction->commit().ok());
    }
  }
};

template <typename Path>
std::unique_ptr<HotPath> make(uint64_t operations) {
  return std::make_unique<Path>(operations);
}

constexpr HotPathEntry kPaths[] = {
    {"put", kRows, make<Put>},
    {"overwrite", kRows, make<Overwrite>},
    {"put_batch", kRows, make<PutBatch>},
    {"get", kRows, make<Get>},
    {"multi_get", kRows, make<MultiGet>},
    {"seek_next_10", 5'000, make<Seek>},
    {"next", kRows, make<Walk<true>>},
    {"prev", kRows, make<Walk<false>>},
    {"transfer", 10'000, make<Transfer>},
};

}  // namespace

std::span<const HotPathEntry> database_paths() { return kPaths; }

double overwrite_amplification() {
  constexpr uint64_t kOverwritten = 40'000;  // rows
  constexpr uint64_t kPasses = 6;
  constexpr uint64_t kPutsBetween = 500;  // fewer than fill a memtable
  const std::vector<Sample> samples = make_samples(kOverwritten);
  GuardDatabase database(/*write_buffer_size=*/512 << 10);
  for (uint64_t i = 0; i < kPasses * kOverwritten; ++i) {
    const Sample& row = samples[shuffled(i, kOverwritten)];
    require(database->put(row.key, row.value).ok());
    if (i % kPutsBetween == 0) database.settle();
  }
  database.settle();
  return database->statistics().write_amplification();
}

}  // namespace varve::bench
