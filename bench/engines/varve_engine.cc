// varve itself, through its public interface only; file names apart, which no interface tells.

#include <mutex>
#include <utility>

#include "base/build_info.h"
#include "bench/engines/engine.h"
#include "bench/engines/varve_calls.h"
#include "bench/engines/varve_rows.h"
#include "lsm/file_names.h"
#include "varve/varve.h"

namespace varve::bench {
namespace {

struct Shared {
  std::unique_ptr<Database> db;
  std::mutex tables_mutex;
  std::unique_ptr<Tables> tables;  // opened when they are first asked for
  ReadOptions read_options;
  WriteOptions write_options;
  ScanOptions scan_options;
};

class VarveCursor final : public EngineCursor {
 public:
  explicit VarveCursor(const Shared* shared) : shared_(shared) {}

  void open() override {
    close();
    cursor_ = take(shared_->db->scan(shared_->scan_options), "scan");
  }
  void refresh() override {
    check(cursor_.reset(shared_->scan_options), "reset");
    valid_ = false;
  }
  void close() override {
    cursor_ = Cursor();
    valid_ = false;
  }
  void seek_to_first() override {
    cursor_.seek_to_first();
    load();
  }
  void seek_to_last() override {
    cursor_.seek_to_last();
    load();
  }
  void seek(std::string_view key) override {
    cursor_.seek(key);
    load();
  }
  void next() override {
    cursor_.next();
    load();
  }
  void prev() override {
    cursor_.prev();
    load();
  }

 private:
  void load() {
    valid_ = cursor_.valid();
    if (valid_) {
      key_ = cursor_.key();
      value_ = cursor_.value();
    } else {
      check(cursor_.status(), "cursor");
    }
  }

  const Shared* shared_;
  Cursor cursor_;
};

class VarveTransaction final : public EngineTransaction {
 public:
  explicit VarveTransaction(const Shared* shared) : shared_(shared) {}

  void begin(Isolation isolation) override {
    lost_ = false;
    transaction_ = take(shared_->db->begin({.isolation = isolation,
                                            .durability = shared_->write_options.durability}),
                        "begin");
  }
  bool get(std::string_view key, std::string_view* value) override {
    if (lost_) return false;
    value_.release();
    return show(transaction_.get(key, shared_->read_options), "Transaction::get", value);
  }
  bool get_for_update(std::string_view key, std::string_view* value) override {
    if (lost_) return false;
    value_.release();
    return show(transaction_.get_for_update(key, shared_->read_options), "get_for_update", value);
  }
  void get_all_for_update(std::span<const std::string_view> keys, ReadSink* sink) override {
    if (lost_) return;
    if (values_.size() < keys.size()) values_.resize(keys.size());
    const std::span values(values_.data(), keys.size());
    check_lost(transaction_.multi_get_for_update(keys, values, shared_->read_options),
               "multi_get_for_update");
    for (size_t i = 0; i < keys.size() && !lost_; i++) {
      if (!values[i].has_value()) continue;
      sink->found(i, values[i]->view());
      values[i].reset();
    }
  }
  void put(std::string_view key, std::string_view value) override {
    if (!lost_) check_lost(transaction_.put(key, value), "Transaction::put");
  }
  void erase(std::string_view key) override {
    if (!lost_) check_lost(transaction_.erase(key), "Transaction::erase");
  }
  bool commit() override {
    value_.release();
    if (!lost_) check_lost(transaction_.commit().status(), "commit");
    if (lost_) rollback();
    return !lost_;
  }
  void rollback() override {
    value_.release();
    if (transaction_.is_open()) check(transaction_.rollback(), "rollback");
  }

 private:
  void check_lost(const Status& status, const char* call) {
    lost_ = status.code() == StatusCode::conflict;
    if (!lost_) check(status, call);
  }
  bool show(Result<std::optional<PinnedValue>> found, const char* call, std::string_view* value) {
    if (!found.ok()) check_lost(found.status(), call);
    if (!found.ok() || !found->has_value()) return false;
    value_ = std::move(**found);
    *value = value_.view();
    return true;
  }

  const Shared* shared_;
  Transaction transaction_;
  PinnedValue value_;
  std::vector<std::optional<PinnedValue>> values_;
};

class VarveSession final : public Session {
 public:
  explicit VarveSession(Shared* shared)
      : shared_(shared), cursor_(shared), transaction_(shared), batch_(*shared->db) {}

  void put(std::string_view key, std::string_view value) override {
    check(shared_->db->put(key, value, shared_->write_options), "put");
  }
  void erase(std::string_view key) override {
    check(shared_->db->erase(key, shared_->write_options), "erase");
  }
  void batch_put(std::string_view key, std::string_view value) override {
    check(batch_.put(key, value), "WriteBatch::put");
  }
  void batch_erase(std::string_view key) override { check(batch_.erase(key), "WriteBatch::erase"); }
  void batch_commit() override {
    check(shared_->db->write(batch_, shared_->write_options), "write");
    batch_.clear();
  }

  bool get(std::string_view key, std::string_view* value) override {
    value_.release();
    Result<std::optional<PinnedValue>> found = shared_->db->get(key, shared_->read_options);
    if (!found.ok()) check(found.status(), "get");
    if (!found->has_value()) return false;
    value_ = std::move(**found);
    *value = value_.view();
    return true;
  }
  void multi_get(std::span<const std::string_view> keys,
                 std::span<std::optional<std::string_view>> values) override {
    if (values_.size() < keys.size()) values_.resize(keys.size());
    for (size_t i = 0; i < keys.size(); i++) values_[i].reset();
    const std::span pinned(values_.data(), keys.size());
    check(shared_->db->multi_get(keys, pinned, shared_->read_options), "multi_get");
    for (size_t i = 0; i < keys.size(); i++) {
      values[i] = values_[i].has_value() ? std::optional(values_[i]->view()) : std::nullopt;
    }
  }
  EngineCursor& cursor() override { return cursor_; }
  EngineTransaction& transaction() override { return transaction_; }
  RowSession& rows() override {
    if (rows_ == nullptr) {
      const std::lock_guard lock(shared_->tables_mutex);
      if (shared_->tables == nullptr) {
        shared_->tables = take(Tables::open(shared_->db.get()), "Tables::open");
      }
      rows_ = make_varve_rows(shared_->db.get(), shared_->tables.get(), &shared_->write_options);
    }
    return *rows_;
  }

 private:
  Shared* const shared_;
  VarveCursor cursor_;
  VarveTransaction transaction_;
  WriteBatch batch_;
  PinnedValue value_;
  std::vector<std::optional<PinnedValue>> values_;
  std::unique_ptr<RowSession> rows_;
};

Options to_options(const EngineConfig& config) {
  Options options;
  options.durability = config.durability;
  options.history_retention = std::chrono::seconds(config.history_retention_seconds);
  options.compression = config.compression;
  if (config.memory_budget != 0) {
    options.memory_budget = config.memory_budget;
  } else {
    options.write_buffer_size = config.write_buffer_size;
    options.cache_size = config.cache_size;
    options.memory_budget = budget_of_parts(config.cache_size, config.write_buffer_size);
  }
  if (config.block_size != 0) options.block_size = config.block_size;
  options.separate_values_from = config.min_blob_size;
  options.filter_bits_per_key = static_cast<uint32_t>(config.bloom_bits);
  return options;
}

std::string level_stats(const Statistics& statistics) {
  std::string text = "keyspace level files bytes entries tombstones\n";
  for (const KeyspaceStatistics& keyspace : statistics.keyspaces) {
    for (const RunStatistics& run : keyspace.runs) {
      text += keyspace.name + " " + std::to_string(run.level) + " " + std::to_string(run.files) +
              " " + std::to_string(run.bytes) + " " + std::to_string(run.entries) + " " +
              std::to_string(run.tombstones) + "\n";
    }
  }
  return text;
}

class VarveEngine final : public Engine {
 public:
  ~VarveEngine() override { (void)close_quietly(); }
  std::string version() const override { return build_info::kVersion; }

  void open(const EngineConfig& config) override {
    notes_.clear();
    shared_.db = take(Database::open(to_options(config), config.directory), "open");
    set_durability(config.durability);
  }
  void close() override { check(close_quietly(), "close"); }
  bool owns_file(std::string_view name) const override {
    return parse_file_name(name).type != FileType::foreign;
  }

  std::unique_ptr<Session> new_session() override {
    return std::make_unique<VarveSession>(&shared_);
  }
  void set_durability(Durability durability) override {
    shared_.write_options.durability = durability;
  }

  TransactionMode transaction_mode() const override { return TransactionMode::optimistic; }
  bool supports(Isolation) const override { return true; }
  bool has_tables() const override { return true; }
  bool has_online_builds() const override { return true; }

  void flush() override { check(shared_.db->flush(), "flush"); }
  void compact() override { check(shared_.db->compact(), "compact"); }
  void wait_for_background() override {
    check(shared_.db->wait_for_background(), "wait_for_background");
  }
  void settle() override {
    compact();
    wait_for_background();
  }
  void verify_checksums() override { take(shared_.db->verify(), "verify"); }

  std::string stats_text() override { return shared_.db->statistics().to_string(); }
  std::string level_stats_text() override { return level_stats(shared_.db->statistics()); }
  std::string memory_stats_text() override { return shared_.db->memory_report().to_string(); }
  EngineFigures figures() override {
    const Statistics now = shared_.db->statistics();
    return {.written_bytes = static_cast<double>(now.log_bytes_written + now.flush_bytes_written +
                                                 now.compaction_bytes_written),
            .stall_seconds = static_cast<double>(now.write_stall_micros) / 1e6};
  }

 private:
  Status close_quietly() {
    if (shared_.db == nullptr) return {};
    shared_.tables.reset();
    Status status = shared_.db->close();
    shared_.db.reset();
    return status;
  }

  Shared shared_;
};

}  // namespace

std::unique_ptr<Engine> make_varve_engine() { return std::make_unique<VarveEngine>(); }

}  // namespace varve::bench
