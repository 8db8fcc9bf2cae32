// LMDB 0.9. One file mapped into memory: there is no cache, no write buffer and no filter to set,
// and no log; MDB_NOSYNC without MDB_WRITEMAP writes pages with pwrite and leaves them to the
// operating system, which is durability `os`.
//
// Read transactions are kept and renewed (mdb_txn_renew), one for gets and one for the cursor of
// each session; MDB_NOTLS makes them belong to the session rather than to the thread.
//
// Transactions are its own, of which one at a time writes: begin() waits until there is no other
// one, and so none ever loses, and all are serializable.

#include <lmdb.h>

#include <cerrno>
#include <utility>

#include "bench/engines/engine.h"

namespace varve::bench {
namespace {

void check(int code, const char* call) {
  if (code != 0) throw EngineError(std::string("lmdb: ") + call + ": " + mdb_strerror(code));
}

MDB_val to_val(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};  // LMDB does not write through it
}

std::string_view to_view(const MDB_val& val) {
  return {static_cast<const char*>(val.mv_data), val.mv_size};
}

// False: absent.
bool look_up(MDB_txn* txn, MDB_dbi dbi, std::string_view key, std::string_view* value) {
  MDB_val k = to_val(key);
  MDB_val v;
  const int code = mdb_get(txn, dbi, &k, &v);
  if (code == MDB_NOTFOUND) return false;
  check(code, "mdb_get");
  *value = to_view(v);
  return true;
}

struct Shared {
  MDB_env* env = nullptr;
  MDB_dbi dbi = 0;
  WriteOrder write_order = WriteOrder::any;

  unsigned put_flags() const {
    return write_order == WriteOrder::ascending_new_keys ? MDB_APPEND : 0;
  }
};

class ReadTransaction {
 public:
  explicit ReadTransaction(const Shared* shared) : shared_(shared) {}
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;
  ~ReadTransaction() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }
  // As of now.
  void renew() {
    if (txn_ == nullptr) {
      check(mdb_txn_begin(shared_->env, nullptr, MDB_RDONLY, &txn_), "mdb_txn_begin");
    } else {
      release();
      check(mdb_txn_renew(txn_), "mdb_txn_renew");
    }
    active_ = true;
  }
  // Lets go of the snapshot, so that its pages can be reused; keeps the reader's slot.
  void release() {
    if (active_) mdb_txn_reset(txn_);
    active_ = false;
  }
  MDB_txn* get() const { return txn_; }

 private:
  const Shared* shared_;
  MDB_txn* txn_ = nullptr;
  bool active_ = false;
};

class LmdbCursor final : public EngineCursor {
 public:
  explicit LmdbCursor(const Shared* shared) : shared_(shared), txn_(shared) {}
  ~LmdbCursor() override { LmdbCursor::close(); }

  void open() override {
    close();
    txn_.renew();
    check(mdb_cursor_open(txn_.get(), shared_->dbi, &cursor_), "mdb_cursor_open");
  }
  void refresh() override {
    txn_.renew();
    check(mdb_cursor_renew(txn_.get(), cursor_), "mdb_cursor_renew");
    valid_ = false;
  }
  void close() override {
    if (cursor_ != nullptr) mdb_cursor_close(cursor_);
    cursor_ = nullptr;
    txn_.release();
    valid_ = false;
  }
  void seek_to_first() override { move(MDB_FIRST); }
  void seek_to_last() override { move(MDB_LAST); }
  void seek(std::string_view key) override {
    found_key_ = to_val(key);
    move(MDB_SET_RANGE);
  }
  void next() override { move(MDB_NEXT); }
  void prev() override { move(MDB_PREV); }

 private:
  void move(MDB_cursor_op operation) {
    const int code = mdb_cursor_get(cursor_, &found_key_, &found_value_, operation);
    if (code == 0) {
      key_ = to_view(found_key_);
      value_ = to_view(found_value_);
      valid_ = true;
      return;
    }
    valid_ = false;
    if (code != MDB_NOTFOUND) check(code, "mdb_cursor_get");
  }

  const Shared* shared_;
  ReadTransaction txn_;
  MDB_cursor* cursor_ = nullptr;
  MDB_val found_key_{};
  MDB_val found_value_{};
};

class LmdbTransaction final : public EngineTransaction {
 public:
  explicit LmdbTransaction(const Shared* shared) : shared_(shared) {}
  LmdbTransaction(const LmdbTransaction&) = delete;
  LmdbTransaction& operator=(const LmdbTransaction&) = delete;
  ~LmdbTransaction() override { LmdbTransaction::rollback(); }

  void begin(Isolation) override {
    check(mdb_txn_begin(shared_->env, nullptr, 0, &txn_), "mdb_txn_begin");
  }
  bool get(std::string_view key, std::string_view* value) override {
    return look_up(txn_, shared_->dbi, key, value);
  }
  bool get_for_update(std::string_view key, std::string_view* value) override {
    return LmdbTransaction::get(key, value);
  }
  void put(std::string_view key, std::string_view value) override {
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    check(mdb_put(txn_, shared_->dbi, &k, &v, 0), "mdb_put");
  }
  void erase(std::string_view key) override {
    MDB_val k = to_val(key);
    const int code = mdb_del(txn_, shared_->dbi, &k, nullptr);
    if (code != MDB_NOTFOUND) check(code, "mdb_del");
  }
  bool commit() override {
    MDB_txn* const txn = std::exchange(txn_, nullptr);  // freed, also by a failure
    check(mdb_txn_commit(txn), "mdb_txn_commit");
    return true;
  }
  void rollback() override {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
    txn_ = nullptr;
  }

 private:
  const Shared* shared_;
  MDB_txn* txn_ = nullptr;
};

class LmdbSession final : public Session {
 public:
  explicit LmdbSession(const Shared* shared)
      : shared_(shared), reads_(shared), cursor_(shared), transaction_(shared) {}
  ~LmdbSession() override {
    if (batch_ != nullptr) mdb_txn_abort(batch_);
  }

  void put(std::string_view key, std::string_view value) override {
    batch_put(key, value);
    batch_commit();
  }
  void erase(std::string_view key) override {
    batch_erase(key);
    batch_commit();
  }
  void batch_put(std::string_view key, std::string_view value) override {
    begin_batch();
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    check(mdb_put(batch_, shared_->dbi, &k, &v, shared_->put_flags()), "mdb_put");
  }
  void batch_erase(std::string_view key) override {
    begin_batch();
    MDB_val k = to_val(key);
    const int code = mdb_del(batch_, shared_->dbi, &k, nullptr);
    if (code != MDB_NOTFOUND) check(code, "mdb_del");
  }
  void batch_commit() override {
    if (batch_ == nullptr) return;
    const int code = mdb_txn_commit(batch_);
    batch_ = nullptr;  // freed, also by a failure
    check(code, "mdb_txn_commit");
  }

  bool get(std::string_view key, std::string_view* value) override {
    reads_.renew();
    return look_up(reads_.get(), shared_->dbi, key, value);
  }
  void multi_get(std::span<const std::string_view> keys,
                 std::span<std::optional<std::string_view>> values) override {
    reads_.renew();
    for (size_t i = 0; i < keys.size(); i++) {
      std::string_view value;
      values[i] = look_up(reads_.get(), shared_->dbi, keys[i], &value) ? std::optional(value)
                                                                       : std::nullopt;
    }
  }
  EngineCursor& cursor() override { return cursor_; }
  EngineTransaction& transaction() override {
    reads_.release();
    return transaction_;
  }

 private:
  void begin_batch() {
    if (batch_ != nullptr) return;
    reads_.release();
    check(mdb_txn_begin(shared_->env, nullptr, 0, &batch_), "mdb_txn_begin");
  }

  const Shared* shared_;
  ReadTransaction reads_;
  MDB_txn* batch_ = nullptr;
  LmdbCursor cursor_;
  LmdbTransaction transaction_;
};

class LmdbEngine final : public Engine {
 public:
  ~LmdbEngine() override { LmdbEngine::close(); }
  std::string version() const override {
    return std::to_string(MDB_VERSION_MAJOR) + "." + std::to_string(MDB_VERSION_MINOR) + "." +
           std::to_string(MDB_VERSION_PATCH);
  }

  void open(const EngineConfig& config) override {
    note_missing(config);
    open_with_largest_map(config);
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(shared_.env, nullptr, 0, &txn), "mdb_txn_begin");
    check(mdb_dbi_open(txn, nullptr, 0, &shared_.dbi), "mdb_dbi_open");
    check(mdb_txn_commit(txn), "mdb_txn_commit");
    set_durability(config.durability);
  }
  void close() override {
    if (shared_.env == nullptr) return;
    mdb_env_close(shared_.env);
    shared_ = {};
  }
  bool owns_file(std::string_view name) const override {
    return name == "data.mdb" || name == "lock.mdb";
  }

  std::unique_ptr<Session> new_session() override {
    return std::make_unique<LmdbSession>(&shared_);
  }
  void set_durability(Durability durability) override {
    const int without_sync = durability == Durability::sync ? 0 : 1;
    check(mdb_env_set_flags(shared_.env, MDB_NOSYNC, without_sync), "mdb_env_set_flags");
  }
  void set_write_order(WriteOrder order) override { shared_.write_order = order; }

  TransactionMode transaction_mode() const override { return TransactionMode::pessimistic; }
  bool supports(Isolation) const override { return true; }

  void flush() override { check(mdb_env_sync(shared_.env, 1), "mdb_env_sync"); }
  void compact() override { flush(); }  // updates in place: there is nothing to merge
  void wait_for_background() override {}
  void settle() override { flush(); }
  void verify_checksums() override {
    notes_.push_back("has no checksums to verify: reads every row instead");
    LmdbCursor cursor(&shared_);
    cursor.open();
    for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    }
  }

  std::string stats_text() override {
    MDB_stat stat;
    MDB_envinfo info;
    check(mdb_env_stat(shared_.env, &stat), "mdb_env_stat");
    check(mdb_env_info(shared_.env, &info), "mdb_env_info");
    return "entries " + std::to_string(stat.ms_entries) + "\npage bytes " +
           std::to_string(stat.ms_psize) + "\npages used " + std::to_string(info.me_last_pgno + 1) +
           "\nlast transaction " + std::to_string(info.me_last_txnid) + "\n" + level_stats_text();
  }
  std::string level_stats_text() override {
    MDB_stat stat;
    check(mdb_env_stat(shared_.env, &stat), "mdb_env_stat");
    return "tree depth " + std::to_string(stat.ms_depth) + "\nbranch pages " +
           std::to_string(stat.ms_branch_pages) + "\nleaf pages " +
           std::to_string(stat.ms_leaf_pages) + "\noverflow pages " +
           std::to_string(stat.ms_overflow_pages) + "\n";
  }
  std::string memory_stats_text() override {
    return "the file is mapped: what is in memory is the operating system's page cache\n";
  }
  EngineFigures figures() override { return {.stall_seconds = 0}; }  // it never holds writers back

 private:
  void note_missing(const EngineConfig& config) {
    notes_.clear();
    if (config.compression != Compression::none) notes_.push_back("has no compression: uses none");
    notes_.push_back("has no cache, write buffer, block size or filters of its own: ignored");
    if (config.durability == Durability::buffered || config.durability == Durability::none) {
      notes_.push_back("has no durability below os: uses os");
    }
    if (config.history_retention_seconds != 0) notes_.push_back("keeps no history: ignored");
  }
  // The map bounds the database's size and costs only address space: take what there is.
  void open_with_largest_map(const EngineConfig& config) {
    const uint64_t data_bytes = config.expected_keys * (config.key_size + config.value_size);
    int code = ENOMEM;
    for (uint64_t map_bytes = uint64_t{1} << 40;
         code == ENOMEM && map_bytes / 4 > data_bytes + (1 << 28); map_bytes /= 2) {
      check(mdb_env_create(&shared_.env), "mdb_env_create");
      // A slot for gets and one for the cursor of each session.
      const auto readers = static_cast<unsigned>(2 * config.sessions_max + 8);
      check(mdb_env_set_maxreaders(shared_.env, readers), "mdb_env_set_maxreaders");
      check(mdb_env_set_mapsize(shared_.env, map_bytes), "mdb_env_set_mapsize");
      code = mdb_env_open(shared_.env, config.directory.c_str(), MDB_NOTLS, 0600);
      if (code != 0) close();
    }
    check(code, "mdb_env_open");
  }

  Shared shared_;
};

}  // namespace

std::unique_ptr<Engine> make_lmdb_engine() { return std::make_unique<LmdbEngine>(); }

}  // namespace varve::bench
