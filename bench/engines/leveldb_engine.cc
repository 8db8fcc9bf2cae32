// LevelDB 1.23. Compression is snappy where zstd is asked for. It has no flush, no wait and no
// multi-get: compaction of everything, watching the set of files, and a loop stand in.

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/options.h>
#include <leveldb/write_batch.h>

#include <chrono>
#include <thread>

#include "bench/engines/engine.h"

namespace varve::bench {
namespace {

void check(const leveldb::Status& status, const char* call) {
  if (!status.ok()) throw EngineError(std::string("leveldb: ") + call + ": " + status.ToString());
}

leveldb::Slice to_slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view to_view(const leveldb::Slice& slice) { return {slice.data(), slice.size()}; }

struct Shared {
  std::unique_ptr<leveldb::DB> db;
  leveldb::WriteOptions write_options;
};

class LeveldbCursor final : public EngineCursor {
 public:
  explicit LeveldbCursor(const Shared* shared) : shared_(shared) {}

  void open() override {
    iterator_.reset();
    iterator_.reset(shared_->db->NewIterator(leveldb::ReadOptions()));
    valid_ = false;
  }
  void refresh() override { open(); }  // an iterator cannot be moved to a newer state
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
  std::unique_ptr<leveldb::Iterator> iterator_;
};

class LeveldbSession final : public Session {
 public:
  explicit LeveldbSession(const Shared* shared) : shared_(shared), cursor_(shared) {}

  void put(std::string_view key, std::string_view value) override {
    check(shared_->db->Put(shared_->write_options, to_slice(key), to_slice(value)), "Put");
  }
  void erase(std::string_view key) override {
    check(shared_->db->Delete(shared_->write_options, to_slice(key)), "Delete");
  }
  void batch_put(std::string_view key, std::string_view value) override {
    batch_.Put(to_slice(key), to_slice(value));
  }
  void batch_erase(std::string_view key) override { batch_.Delete(to_slice(key)); }
  void batch_commit() override {
    check(shared_->db->Write(shared_->write_options, &batch_), "Write");
    batch_.Clear();
  }

  bool get(std::string_view key, std::string_view* value) override {
    if (!look_up(key, &value_)) return false;
    *value = value_;
    return true;
  }
  void multi_get(std::span<const std::string_view> keys,
                 std::span<std::optional<std::string_view>> values) override {
    if (values_.size() < keys.size()) values_.resize(keys.size());
    for (size_t i = 0; i < keys.size(); i++) {
      values[i] = look_up(keys[i], &values_[i]) ? std::optional<std::string_view>(values_[i])
                                                : std::nullopt;
    }
  }
  EngineCursor& cursor() override { return cursor_; }

 private:
  bool look_up(std::string_view key, std::string* value) {
    const leveldb::Status status = shared_->db->Get(leveldb::ReadOptions(), to_slice(key), value);
    if (status.ok()) return true;
    if (!status.IsNotFound()) check(status, "Get");
    return false;
  }

  const Shared* shared_;
  LeveldbCursor cursor_;
  leveldb::WriteBatch batch_;
  std::string value_;
  std::vector<std::string> values_;
};

class LeveldbEngine final : public Engine {
 public:
  ~LeveldbEngine() override { LeveldbEngine::close(); }
  std::string version() const override {
    return std::to_string(leveldb::kMajorVersion) + "." + std::to_string(leveldb::kMinorVersion);
  }

  void open(const EngineConfig& config) override {
    note_missing(config);
    leveldb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = config.write_buffer_size;  // one active, one immutable: 2 W
    if (config.block_size != 0) options.block_size = config.block_size;
    cache_.reset(
        leveldb::NewLRUCache(block_cache_bytes(config, static_cast<uint32_t>(options.block_size))));
    options.block_cache = cache_.get();
    if (config.bloom_bits > 0) filter_.reset(leveldb::NewBloomFilterPolicy(config.bloom_bits));
    options.filter_policy = filter_.get();
    options.compression = config.compression == Compression::none ? leveldb::kNoCompression
                                                                  : leveldb::kSnappyCompression;
    leveldb::DB* db = nullptr;
    check(leveldb::DB::Open(options, config.directory, &db), "Open");
    shared_.db.reset(db);
    set_durability(config.durability);
  }
  void close() override {
    shared_.db.reset();
    cache_.reset();
    filter_.reset();
  }
  bool owns_file(std::string_view name) const override {
    return name == "CURRENT" || name == "LOCK" || name == "LOG" || name == "LOG.old" ||
           name == "lost" ||
           (name.starts_with("MANIFEST-") && is_numbered_file(name.substr(9), "")) ||
           is_numbered_file(name, ".log") || is_numbered_file(name, ".ldb") ||
           is_numbered_file(name, ".sst") || is_numbered_file(name, ".dbtmp");
  }

  std::unique_ptr<Session> new_session() override {
    return std::make_unique<LeveldbSession>(&shared_);
  }
  void set_durability(Durability durability) override {
    shared_.write_options.sync = durability == Durability::sync;
  }

  void flush() override { compact(); }
  void compact() override { shared_.db->CompactRange(nullptr, nullptr); }
  // Nothing tells whether a compaction runs or is due; one changes the set of files when it ends.
  void wait_for_background() override {
    std::string files = property("leveldb.sstables");
    for (int unchanged = 0; unchanged < 10;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      std::string now = property("leveldb.sstables");
      unchanged = now == files ? unchanged + 1 : 0;
      files = std::move(now);
    }
  }
  void settle() override { compact(); }  // deletes obsolete logs and tables itself
  void verify_checksums() override {
    leveldb::ReadOptions options;
    options.verify_checksums = true;
    options.fill_cache = false;
    const std::unique_ptr<leveldb::Iterator> iterator(shared_.db->NewIterator(options));
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    }
    check(iterator->status(), "Iterator");
  }

  std::string stats_text() override { return property("leveldb.stats"); }
  std::string level_stats_text() override {
    std::string text = "level files\n";
    for (int level = 0; level < 7; level++) {
      text += std::to_string(level) + "     " +
              property("leveldb.num-files-at-level" + std::to_string(level)) + "\n";
    }
    return text;
  }
  std::string memory_stats_text() override {
    return "memtables and block cache, bytes " + property("leveldb.approximate-memory-usage") +
           "\n";
  }
  EngineFigures figures() override { return {}; }

 private:
  void note_missing(const EngineConfig& config) {
    notes_.clear();
    if (config.compression == Compression::zstd) notes_.push_back("has no zstd: uses snappy");
    if (config.durability == Durability::buffered || config.durability == Durability::none) {
      notes_.push_back("has no durability below os: uses os");
    }
    if (config.history_retention_seconds != 0) notes_.push_back("keeps no history: ignored");
    if (config.statistics) notes_.push_back("has no more statistics than it always prints");
  }
  std::string property(const std::string& name) {
    std::string value;
    if (!shared_.db->GetProperty(name, &value)) return "no " + name + "\n";
    return value;
  }

  Shared shared_;
  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<const leveldb::FilterPolicy> filter_;
};

}  // namespace

std::unique_ptr<Engine> make_leveldb_engine() { return std::make_unique<LeveldbEngine>(); }

}  // namespace varve::bench
