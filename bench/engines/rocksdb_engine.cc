// RocksDB. Settings: those of its own db_bench (two background jobs, pipelined writes), a shared
// LRU block cache, whole-key full Bloom filters. Its indexes and filters stay outside of the cache,
// which is its default and its fastest way; the cache is smaller by what they need.
//
// Four engines: a plain database; the same tuned as varve is by default, by what RocksDB has of it;
// one with optimistic transactions, which are checked at commit; one with pessimistic transactions,
// which lock keys, and look for deadlocks rather than wait for them to time out. Their plain reads
// and writes go through the same interface, which of the last one means that each write locks its
// key. A transaction takes its snapshot as it begins, reads as of it, and conflicts with whoever
// wrote since: varve's level `snapshot`.

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/optimistic_transaction_db.h>
#include <rocksdb/utilities/transaction.h>
#include <rocksdb/utilities/transaction_db.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "bench/engines/engine.h"

namespace varve::bench {
namespace {

void check(const rocksdb::Status& status, const char* call) {
  if (!status.ok()) throw EngineError(std::string("rocksdb: ") + call + ": " + status.ToString());
}

rocksdb::Slice to_slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view to_view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

struct Shared {
  std::unique_ptr<rocksdb::DB> db;
  // The same, where it has transactions; at most one is not null.
  rocksdb::OptimisticTransactionDB* optimistic = nullptr;
  rocksdb::TransactionDB* pessimistic = nullptr;
  rocksdb::ReadOptions read_options;
  rocksdb::WriteOptions write_options;
};

class RocksdbCursor final : public EngineCursor {
 public:
  explicit RocksdbCursor(const Shared* shared) : shared_(shared) {}

  void open() override {
    iterator_.reset();
    iterator_.reset(shared_->db->NewIterator(shared_->read_options));
    valid_ = false;
  }
  void refresh() override {
    check(iterator_->Refresh(), "Refresh");
    valid_ = false;
  }
  void close() override {
    iterator_.reset();
    valid_ = false;
  }
  void seek_to_first() override {
    iterator_->SeekToFirst();
    load();
  }
  void seek_to_last() override {
    iterator_->SeekToLast();
    load();
  }
  void seek(std::string_view key) override {
    iterator_->Seek(to_slice(key));
    load();
  }
  void next() override {
    iterator_->Next();
    load();
  }
  void prev() override {
    iterator_->Prev();
    load();
  }

 private:
  void load() {
    valid_ = iterator_->Valid();
    if (valid_) {
      key_ = to_view(iterator_->key());
      value_ = to_view(iterator_->value());
    } else {
      check(iterator_->status(), "Iterator");
    }
  }

  const Shared* shared_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

class RocksdbTransaction final : public EngineTransaction {
 public:
  explicit RocksdbTransaction(const Shared* shared)
      : shared_(shared),
        family_(shared->db->DefaultColumnFamily()),
        read_options_(shared->read_options) {
    optimistic_options_.set_snapshot = true;
    pessimistic_options_.set_snapshot = true;
    pessimistic_options_.deadlock_detect = true;
  }

  void begin(Isolation) override {
    lost_ = false;
    // With a transaction that has ended, RocksDB begins that one again.
    rocksdb::Transaction* const begun =
        shared_->optimistic != nullptr
            ? shared_->optimistic->BeginTransaction(shared_->write_options, optimistic_options_,
                                                    transaction_.get())
            : shared_->pessimistic->BeginTransaction(shared_->write_options, pessimistic_options_,
                                                     transaction_.get());
    if (begun != transaction_.get()) transaction_.reset(begun);
    read_options_.snapshot = transaction_->GetSnapshot();
    open_ = true;
  }
  bool get(std::string_view key, std::string_view* value) override {
    if (lost_) return false;
    value_.Reset();
    return show(transaction_->Get(read_options_, family_, to_slice(key), &value_), "Get", value);
  }
  bool get_for_update(std::string_view key, std::string_view* value) override {
    if (lost_) return false;
    value_.Reset();
    return show(transaction_->GetForUpdate(read_options_, family_, to_slice(key), &value_),
                "GetForUpdate", value);
  }
  void put(std::string_view key, std::string_view value) override {
    if (!lost_) check_lost(transaction_->Put(family_, to_slice(key), to_slice(value)), "Put");
  }
  void erase(std::string_view key) override {
    if (!lost_) check_lost(transaction_->Delete(family_, to_slice(key)), "Delete");
  }
  bool commit() override {
    value_.Reset();
    if (!lost_) check_lost(transaction_->Commit(), "Commit");
    if (lost_) rollback();
    open_ = false;
    return !lost_;
  }
  void rollback() override {
    value_.Reset();
    if (open_) check(transaction_->Rollback(), "Rollback");
    open_ = false;
  }

 private:
  // Busy: a conflict or a deadlock. TimedOut: a lock did not come. TryAgain: the memtables do not
  // go back far enough to tell whether there was a conflict.
  void check_lost(const rocksdb::Status& status, const char* call) {
    lost_ = status.IsBusy() || status.IsTimedOut() || status.IsTryAgain();
    if (!lost_) check(status, call);
  }
  bool show(const rocksdb::Status& status, const char* call, std::string_view* value) {
    if (status.ok()) {
      *value = to_view(value_);
      return true;
    }
    if (!status.IsNotFound()) check_lost(status, call);
    return false;
  }

  const Shared* shared_;
  rocksdb::ColumnFamilyHandle* family_;
  rocksdb::OptimisticTransactionOptions optimistic_options_;
  rocksdb::TransactionOptions pessimistic_options_;
  rocksdb::ReadOptions read_options_;  // as of the snapshot
  rocksdb::PinnableSlice value_;
  std::unique_ptr<rocksdb::Transaction> transaction_;
  bool open_ = false;
};

class RocksdbSession final : public Session {
 public:
  explicit RocksdbSession(const Shared* shared)
      : shared_(shared),
        family_(shared->db->DefaultColumnFamily()),
        cursor_(shared),
        transaction_(shared) {}

  void put(std::string_view key, std::string_view value) override {
    check(shared_->db->Put(shared_->write_options, family_, to_slice(key), to_slice(value)), "Put");
  }
  void erase(std::string_view key) override {
    check(shared_->db->Delete(shared_->write_options, family_, to_slice(key)), "Delete");
  }
  void batch_put(std::string_view key, std::string_view value) override {
    check(batch_.Put(family_, to_slice(key), to_slice(value)), "WriteBatch::Put");
  }
  void batch_erase(std::string_view key) override {
    check(batch_.Delete(family_, to_slice(key)), "WriteBatch::Delete");
  }
  void batch_commit() override {
    check(shared_->db->Write(shared_->write_options, &batch_), "Write");
    batch_.Clear();
  }

  bool get(std::string_view key, std::string_view* value) override {
    value_.Reset();
    const rocksdb::Status status =
        shared_->db->Get(shared_->read_options, family_, to_slice(key), &value_);
    if (status.ok()) {
      *value = to_view(value_);
      return true;
    }
    if (!status.IsNotFound()) check(status, "Get");
    return false;
  }
  void multi_get(std::span<const std::string_view> keys,
                 std::span<std::optional<std::string_view>> values) override {
    if (keys.size() > values_size_) {
      values_size_ = keys.size();
      keys_.resize(values_size_);
      statuses_.resize(values_size_);
      values_ = std::make_unique<rocksdb::PinnableSlice[]>(values_size_);
    }
    for (size_t i = 0; i < keys.size(); i++) {
      keys_[i] = to_slice(keys[i]);
      values_[i].Reset();
    }
    shared_->db->MultiGet(shared_->read_options, family_, keys.size(), keys_.data(), values_.get(),
                          statuses_.data());
    for (size_t i = 0; i < keys.size(); i++) {
      if (statuses_[i].ok()) {
        values[i] = to_view(values_[i]);
      } else {
        if (!statuses_[i].IsNotFound()) check(statuses_[i], "MultiGet");
        values[i] = std::nullopt;
      }
    }
  }
  EngineCursor& cursor() override { return cursor_; }
  EngineTransaction& transaction() override {
    const bool has_them = shared_->optimistic != nullptr || shared_->pessimistic != nullptr;
    return has_them ? transaction_ : Session::transaction();
  }

 private:
  const Shared* shared_;
  rocksdb::ColumnFamilyHandle* family_;
  RocksdbCursor cursor_;
  RocksdbTransaction transaction_;
  rocksdb::WriteBatch batch_;
  rocksdb::PinnableSlice value_;
  size_t values_size_ = 0;
  std::vector<rocksdb::Slice> keys_;
  std::vector<rocksdb::Status> statuses_;
  std::unique_ptr<rocksdb::PinnableSlice[]> values_;
};

enum class Tuning : uint8_t { as_db_bench, as_varve };

// What varve does by default and RocksDB can be told to do too: blocks of 8 KiB with a hash for
// point reads, a filter for memtables, no codec but for the bottom level and there the fast level
// of zstd, a cache without locks, sub-compactions on both processors, recycled logs, large values
// in files of their own.
void tune_as_varve(const EngineConfig& config, rocksdb::BlockBasedTableOptions* table,
                   rocksdb::Options* options) {
  if (config.block_size == 0) table->block_size = 8 * 1024;
  table->data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  table->format_version = 5;
  options->memtable_whole_key_filtering = true;
  options->memtable_prefix_bloom_size_ratio = 0.02;
  options->level_compaction_dynamic_level_bytes = true;
  if (options->compression == rocksdb::kZSTD) {
    options->compression = rocksdb::kNoCompression;
    options->bottommost_compression = rocksdb::kZSTD;
    options->bottommost_compression_opts.level = 1;
    options->bottommost_compression_opts.enabled = true;
  }
  options->max_subcompactions = 2;
  options->recycle_log_file_num = 4;
  if (config.min_blob_size != 0 && config.value_size >= config.min_blob_size) {
    options->enable_blob_files = true;
    options->min_blob_size = config.min_blob_size;
    options->enable_blob_garbage_collection = true;
    if (config.compression == Compression::zstd) options->blob_compression_type = rocksdb::kZSTD;
  }
}

std::shared_ptr<rocksdb::Cache> make_cache(const EngineConfig& config, uint64_t block_size,
                                           Tuning tuning) {
  const uint64_t capacity = block_cache_bytes(config, static_cast<uint32_t>(block_size));
  if (tuning == Tuning::as_db_bench) return rocksdb::NewLRUCache(capacity);
  return rocksdb::HyperClockCacheOptions(capacity, block_size).MakeSharedCache();
}

rocksdb::Options to_options(const EngineConfig& config, Tuning tuning) {
  rocksdb::BlockBasedTableOptions table;
  if (config.block_size != 0) table.block_size = config.block_size;
  rocksdb::Options options;
  options.compression =
      config.compression == Compression::none ? rocksdb::kNoCompression : rocksdb::kZSTD;
  if (tuning == Tuning::as_varve) tune_as_varve(config, &table, &options);
  table.block_cache = make_cache(config, table.block_size, tuning);
  options.blob_cache = table.block_cache;
  if (config.bloom_bits > 0) {
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(config.bloom_bits));
  }
  table.whole_key_filtering = true;

  options.create_if_missing = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = config.write_buffer_size;
  options.max_write_buffer_number = 2;  // one active, one immutable: 2 W
  options.max_background_jobs = 2;
  options.enable_pipelined_write = true;
  if (config.statistics) options.statistics = rocksdb::CreateDBStatistics();
  return options;
}

class RocksdbEngine final : public Engine {
 public:
  explicit RocksdbEngine(TransactionMode mode, Tuning tuning = Tuning::as_db_bench)
      : mode_(mode), tuning_(tuning) {}
  ~RocksdbEngine() override { close_quietly(); }
  std::string version() const override {
    return std::to_string(ROCKSDB_MAJOR) + "." + std::to_string(ROCKSDB_MINOR) + "." +
           std::to_string(ROCKSDB_PATCH);
  }

  void open(const EngineConfig& config) override {
    notes_.clear();
    if (config.durability == Durability::buffered) {
      notes_.push_back("has no bounded loss window: durability buffered becomes os");
    }
    if (config.history_retention_seconds != 0) notes_.push_back("keeps no history: ignored");
    const rocksdb::Options options = to_options(config, tuning_);
    statistics_ = options.statistics;
    open_database(options, config.directory);
    set_durability(config.durability);
  }
  void close() override { check(close_quietly(), "Close"); }
  bool owns_file(std::string_view name) const override {
    return name == "CURRENT" || name == "LOCK" || name == "IDENTITY" || name == "LOG" ||
           name.starts_with("LOG.old") ||
           (name.starts_with("MANIFEST-") && is_numbered_file(name.substr(9), "")) ||
           (name.starts_with("OPTIONS-") &&
            (is_numbered_file(name.substr(8), "") || is_numbered_file(name.substr(8), ".dbtmp"))) ||
           is_numbered_file(name, ".log") || is_numbered_file(name, ".sst") ||
           is_numbered_file(name, ".dbtmp");
  }

  std::unique_ptr<Session> new_session() override {
    return std::make_unique<RocksdbSession>(&shared_);
  }
  TransactionMode transaction_mode() const override { return mode_; }
  bool supports(Isolation isolation) const override {
    return mode_ != TransactionMode::none && isolation == Isolation::snapshot;
  }
  void set_durability(Durability durability) override {
    shared_.write_options.sync = durability == Durability::sync;
    shared_.write_options.disableWAL = durability == Durability::none;
  }

  void flush() override { check(shared_.db->Flush(rocksdb::FlushOptions()), "Flush"); }
  void compact() override {
    flush();
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    check(shared_.db->CompactRange(options, nullptr, nullptr), "CompactRange");
    wait_for_background();
  }
  void wait_for_background() override {
    const std::string activities[] = {rocksdb::DB::Properties::kMemTableFlushPending,
                                      rocksdb::DB::Properties::kNumRunningFlushes,
                                      rocksdb::DB::Properties::kCompactionPending,
                                      rocksdb::DB::Properties::kNumRunningCompactions};
    for (bool busy = true; busy;) {
      busy = false;
      for (const std::string& activity : activities) {
        uint64_t count = 0;
        busy |= shared_.db->GetIntProperty(activity, &count) && count != 0;
      }
      if (busy) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  void settle() override {
    compact();
    // Allowing deletions again looks for obsolete files.
    check(shared_.db->DisableFileDeletions(), "DisableFileDeletions");
    check(shared_.db->EnableFileDeletions(/*force=*/true), "EnableFileDeletions");
  }
  void verify_checksums() override { check(shared_.db->VerifyChecksum(), "VerifyChecksum"); }

  std::string stats_text() override {
    std::string text = property(rocksdb::DB::Properties::kStats);
    if (statistics_ != nullptr) text += "\nSTATISTICS:\n" + statistics_->ToString();
    return text;
  }
  std::string level_stats_text() override { return property(rocksdb::DB::Properties::kLevelStats); }
  std::string memory_stats_text() override {
    std::string text;
    for (const std::string& name :
         {rocksdb::DB::Properties::kCurSizeAllMemTables, rocksdb::DB::Properties::kSizeAllMemTables,
          rocksdb::DB::Properties::kBlockCacheCapacity, rocksdb::DB::Properties::kBlockCacheUsage,
          rocksdb::DB::Properties::kBlockCachePinnedUsage,
          rocksdb::DB::Properties::kEstimateTableReadersMem}) {
      text += name + ", bytes " + property(name) + "\n";
    }
    return text;
  }
  EngineFigures figures() override { return {.stall_seconds = stall_seconds()}; }

 private:
  void open_database(const rocksdb::Options& options, const std::string& directory) {
    rocksdb::DB* db = nullptr;
    switch (mode_) {
      case TransactionMode::none:
        check(rocksdb::DB::Open(options, directory, &db), "Open");
        break;
      case TransactionMode::optimistic:
        check(rocksdb::OptimisticTransactionDB::Open(options, directory, &shared_.optimistic),
              "OptimisticTransactionDB::Open");
        db = shared_.optimistic;
        break;
      case TransactionMode::pessimistic:
        check(rocksdb::TransactionDB::Open(options, rocksdb::TransactionDBOptions(), directory,
                                           &shared_.pessimistic),
              "TransactionDB::Open");
        db = shared_.pessimistic;
        break;
    }
    shared_.db.reset(db);
  }
  rocksdb::Status close_quietly() {
    if (shared_.db == nullptr) return rocksdb::Status::OK();
    rocksdb::Status status = shared_.db->Close();
    shared_.db.reset();
    shared_.optimistic = nullptr;
    shared_.pessimistic = nullptr;
    return status;
  }
  std::string property(const std::string& name) {
    std::string value;
    if (!shared_.db->GetProperty(name, &value)) return "no " + name + "\n";
    return value;
  }
  // Its only always-on measure of it is a line of text: "Cumulative stall: 00:01:12.345 H:M:S,
  // ...".
  double stall_seconds() {
    const std::string text = property(rocksdb::DB::Properties::kDBStats);
    constexpr std::string_view kLabel = "Cumulative stall: ";
    const size_t label = text.find(kLabel);
    if (label == std::string::npos) return -1;
    const char* at = text.c_str() + label + kLabel.size();
    double seconds = 0;
    for (const double unit : {3600, 60, 1}) {
      char* end = nullptr;
      seconds += unit * std::strtod(at, &end);
      if (end == at) return -1;
      at = end + (*end == ':' ? 1 : 0);
    }
    return seconds;
  }

  const TransactionMode mode_;
  const Tuning tuning_;
  Shared shared_;
  std::shared_ptr<rocksdb::Statistics> statistics_;
};

}  // namespace

std::unique_ptr<Engine> make_rocksdb_engine() {
  return std::make_unique<RocksdbEngine>(TransactionMode::none);
}
std::unique_ptr<Engine> make_rocksdb_tuned_engine() {
  return std::make_unique<RocksdbEngine>(TransactionMode::none, Tuning::as_varve);
}
std::unique_ptr<Engine> make_rocksdb_optimistic_engine() {
  return std::make_unique<RocksdbEngine>(TransactionMode::optimistic);
}
std::unique_ptr<Engine> make_rocksdb_pessimistic_engine() {
  return std::make_unique<RocksdbEngine>(TransactionMode::pessimistic);
}

}  // namespace varve::bench
