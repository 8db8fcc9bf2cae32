// WiredTiger 3.2: one table, a B-tree of files, with a write-ahead log. It has no memtables: all
// memory is its cache, changes included. A checkpoint a minute, or per GiB of log, as its users
// set.
//
// Durability is a setting of the open database: `os` writes the log at each commit and does not
// sync it (method none), `sync` syncs it. Another one later closes and opens it.
//
// A row that somebody else has changed since, or is changing, is refused at once (WT_ROLLBACK), in
// transactions and in batches; batches are kept here until they commit, and tried again.

#include <wiredtiger.h>

#include <cerrno>
#include <utility>

#include "bench/engines/engine.h"

namespace varve::bench {
namespace {

constexpr const char* kTable = "table:rows";

void check(int code, const char* call) {
  if (code != 0)
    throw EngineError(std::string("wiredtiger: ") + call + ": " + wiredtiger_strerror(code));
}

WT_ITEM to_item(std::string_view bytes) {
  WT_ITEM item{};
  item.data = bytes.data();
  item.size = bytes.size();
  return item;
}

// A session of the engine, with one cursor on the table.
class Handle {
 public:
  explicit Handle(WT_CONNECTION* connection) {
    check(connection->open_session(connection, nullptr, nullptr, &session_), "open_session");
    check(session_->open_cursor(session_, kTable, nullptr, nullptr, &cursor_), "open_cursor");
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { (void)session_->close(session_, nullptr); }  // rolls back; cursors go with it

  void begin() {
    check(session_->begin_transaction(session_, "isolation=snapshot"), "begin_transaction");
  }
  int commit() { return session_->commit_transaction(session_, nullptr); }
  void rollback() {
    check(session_->rollback_transaction(session_, nullptr), "rollback_transaction");
  }

  // The engine's codes: 0, WT_NOTFOUND, WT_ROLLBACK.
  int find(std::string_view key, std::string_view* value) {
    set_key(key);
    const int code = cursor_->search(cursor_);
    return code == 0 ? show_value(value) : code;
  }
  int reserve(std::string_view key) {
    set_key(key);
    return cursor_->reserve(cursor_);
  }
  int put(std::string_view key, std::string_view value) {
    set_key(key);
    WT_ITEM item = to_item(value);
    cursor_->set_value(cursor_, &item);
    return cursor_->insert(cursor_);
  }
  int erase(std::string_view key) {
    set_key(key);
    const int code = cursor_->remove(cursor_);
    return code == WT_NOTFOUND ? 0 : code;
  }
  int show_key(std::string_view* key) {
    WT_ITEM item;
    const int code = cursor_->get_key(cursor_, &item);
    if (code == 0) *key = {static_cast<const char*>(item.data), item.size};
    return code;
  }
  int show_value(std::string_view* value) {
    WT_ITEM item;
    const int code = cursor_->get_value(cursor_, &item);
    if (code == 0) *value = {static_cast<const char*>(item.data), item.size};
    return code;
  }
  void set_key(std::string_view key) {
    WT_ITEM item = to_item(key);
    cursor_->set_key(cursor_, &item);
  }
  // Lets go of the page that the cursor stands on.
  void reset() { check(cursor_->reset(cursor_), "reset"); }
  WT_CURSOR* cursor() { return cursor_; }
  WT_SESSION* session() { return session_; }

 private:
  WT_SESSION* session_ = nullptr;
  WT_CURSOR* cursor_ = nullptr;
};

// Walks in a transaction of its own, so that it stays as of its opening.
class WiredtigerCursor final : public EngineCursor {
 public:
  explicit WiredtigerCursor(WT_CONNECTION* connection) : handle_(connection) {}

  void open() override {
    close();
    handle_.begin();
    open_ = true;
  }
  void refresh() override { open(); }
  void close() override {
    valid_ = false;
    if (!std::exchange(open_, false)) return;
    handle_.reset();
    handle_.rollback();
  }
  void seek_to_first() override {
    handle_.reset();
    next();
  }
  void seek_to_last() override {
    handle_.reset();
    prev();
  }
  void seek(std::string_view key) override {
    handle_.set_key(key);
    int order = 0;
    const int code = handle_.cursor()->search_near(handle_.cursor(), &order);
    if (code == 0 && order < 0) {
      next();
    } else {
      load(code, "search_near");
    }
  }
  void next() override { load(handle_.cursor()->next(handle_.cursor()), "next"); }
  void prev() override { load(handle_.cursor()->prev(handle_.cursor()), "prev"); }

 private:
  void load(int code, const char* call) {
    valid_ = code == 0;
    if (valid_) {
      check(handle_.show_key(&key_), "get_key");
      check(handle_.show_value(&value_), "get_value");
    } else if (code != WT_NOTFOUND) {
      check(code, call);
    }
  }

  Handle handle_;
  bool open_ = false;
};

class WiredtigerTransaction final : public EngineTransaction {
 public:
  explicit WiredtigerTransaction(WT_CONNECTION* connection) : handle_(connection) {}

  void begin(Isolation) override {
    lost_ = false;
    handle_.begin();
    open_ = true;
  }
  bool get(std::string_view key, std::string_view* value) override {
    return !lost_ && passed(handle_.find(key, value), "search");
  }
  // Of an absent key there is nothing to reserve: who writes it conflicts with whoever did.
  bool get_for_update(std::string_view key, std::string_view* value) override {
    return !lost_ && passed(handle_.reserve(key), "reserve") &&
           passed(handle_.find(key, value), "search");
  }
  void put(std::string_view key, std::string_view value) override {
    if (!lost_) passed(handle_.put(key, value), "insert");
  }
  void erase(std::string_view key) override {
    if (!lost_) passed(handle_.erase(key), "remove");
  }
  bool commit() override {
    if (!lost_) {
      open_ = false;  // whatever it says
      passed(handle_.commit(), "commit_transaction");
    }
    rollback();
    return !lost_;
  }
  void rollback() override {
    if (std::exchange(open_, false)) handle_.rollback();
  }

 private:
  bool passed(int code, const char* call) {
    lost_ = code == WT_ROLLBACK;
    if (!lost_ && code != WT_NOTFOUND) check(code, call);
    return code == 0;
  }

  Handle handle_;
  bool open_ = false;
};

class WiredtigerSession final : public Session {
 public:
  explicit WiredtigerSession(WT_CONNECTION* connection)
      : handle_(connection), cursor_(connection), transaction_(connection) {}

  void put(std::string_view key, std::string_view value) override {
    int code = 0;
    do {
      code = handle_.put(key, value);
    } while (code == WT_ROLLBACK);
    check(code, "insert");
  }
  void erase(std::string_view key) override {
    int code = 0;
    do {
      code = handle_.erase(key);
    } while (code == WT_ROLLBACK);
    check(code, "remove");
  }
  void batch_put(std::string_view key, std::string_view value) override {
    changes_.push_back({.key_size = key.size(), .value_size = value.size()});
    bytes_.append(key).append(value);
  }
  void batch_erase(std::string_view key) override {
    changes_.push_back({.key_size = key.size(), .erases = true});
    bytes_.append(key);
  }
  void batch_commit() override {
    int code = 0;
    do {
      handle_.begin();
      code = apply_changes();
      if (code == 0) {
        code = handle_.commit();
      } else {
        handle_.rollback();
      }
    } while (code == WT_ROLLBACK);
    changes_.clear();
    bytes_.clear();
    check(code, "commit_transaction");
  }

  bool get(std::string_view key, std::string_view* value) override {
    const int code = handle_.find(key, value);
    if (code != WT_NOTFOUND) check(code, "search");
    return code == 0;
  }
  // A value stays only until the next search: these are copies.
  void multi_get(std::span<const std::string_view> keys,
                 std::span<std::optional<std::string_view>> values) override {
    copies_.clear();
    for (size_t i = 0; i < keys.size(); i++) {
      std::string_view value;
      values[i].reset();
      if (!get(keys[i], &value)) continue;
      values[i] = value;
      copies_.append(value);
    }
    const char* at = copies_.data();
    for (size_t i = 0; i < keys.size(); i++) {
      if (!values[i].has_value()) continue;
      values[i] = std::string_view(at, values[i]->size());
      at += values[i]->size();
    }
  }
  EngineCursor& cursor() override { return cursor_; }
  EngineTransaction& transaction() override {
    handle_.reset();
    return transaction_;
  }

 private:
  struct Change {
    size_t key_size = 0;
    size_t value_size = 0;
    bool erases = false;
  };

  int apply_changes() {
    std::string_view rest = bytes_;
    for (const Change& change : changes_) {
      const std::string_view key = rest.substr(0, change.key_size);
      const std::string_view value = rest.substr(change.key_size, change.value_size);
      rest.remove_prefix(change.key_size + change.value_size);
      const int code = change.erases ? handle_.erase(key) : handle_.put(key, value);
      if (code != 0) return code;
    }
    return 0;
  }

  Handle handle_;
  WiredtigerCursor cursor_;
  WiredtigerTransaction transaction_;
  std::vector<Change> changes_;
  std::string bytes_;  // of the changes, keys and values
  std::string copies_;
};

std::string log_settings(Durability durability) {
  switch (durability) {
    case Durability::sync:
      return "log=(enabled=true),transaction_sync=(enabled=true,method=fsync)";
    case Durability::os:
      return "log=(enabled=true),transaction_sync=(enabled=true,method=none)";
    case Durability::buffered:
      return "log=(enabled=true),transaction_sync=(enabled=false)";
    case Durability::none:
      return "log=(enabled=false)";
  }
  return "";
}

class WiredtigerEngine final : public Engine {
 public:
  ~WiredtigerEngine() override { (void)close_quietly(); }
  std::string version() const override {
    return std::to_string(WIREDTIGER_VERSION_MAJOR) + "." +
           std::to_string(WIREDTIGER_VERSION_MINOR) + "." +
           std::to_string(WIREDTIGER_VERSION_PATCH);
  }

  void open(const EngineConfig& config) override {
    note_missing(config);
    config_ = config;
    open_connection();
  }
  void close() override { check(close_quietly(), "close"); }
  bool owns_file(std::string_view name) const override {
    return name == "WiredTiger" || name == "rows.wt" || name.starts_with("WiredTiger.") ||
           name == "WiredTigerLAS.wt" || name.starts_with("WiredTigerLog.") ||
           name.starts_with("WiredTigerPreplog.") || name.starts_with("WiredTigerTmplog.");
  }

  std::unique_ptr<Session> new_session() override {
    return std::make_unique<WiredtigerSession>(connection_);
  }
  void set_durability(Durability durability) override {
    if (durability == config_.durability) return;
    config_.durability = durability;
    close();
    open_connection();
  }
  TransactionMode transaction_mode() const override { return TransactionMode::optimistic; }
  bool supports(Isolation isolation) const override { return isolation == Isolation::snapshot; }

  void flush() override {
    Handle handle(connection_);
    check(handle.session()->checkpoint(handle.session(), nullptr), "checkpoint");
  }
  // Moves blocks from the end of the file to free ones before, and truncates it.
  void compact() override {
    flush();
    Handle handle(connection_);
    check(handle.session()->compact(handle.session(), kTable, "timeout=0"), "compact");
  }
  void wait_for_background() override {}
  void settle() override {
    compact();
    flush();
  }
  void verify_checksums() override {
    flush();
    WT_SESSION* session = nullptr;
    check(connection_->open_session(connection_, nullptr, nullptr, &session), "open_session");
    const int code = session->verify(session, kTable, nullptr);
    (void)session->close(session, nullptr);
    check(code, "verify");
  }

  std::string stats_text() override { return statistics("statistics:"); }
  std::string level_stats_text() override { return statistics("statistics:table:rows"); }
  std::string memory_stats_text() override {
    return "cache, bytes " + std::to_string(cache_bytes()) + "\n";
  }
  EngineFigures figures() override { return {}; }

 private:
  uint64_t cache_bytes() const { return config_.cache_size + 2 * config_.write_buffer_size; }
  void note_missing(const EngineConfig& config) {
    notes_.clear();
    if (config.compression != Compression::none) notes_.push_back("has no zstd: uses none");
    notes_.push_back("has no memtables and no filters: --cache_size is more by two write buffers");
    if (config.block_size != 0) notes_.push_back("keeps its page sizes: --block_size is ignored");
    if (config.history_retention_seconds != 0) notes_.push_back("keeps no history: ignored");
  }
  void open_connection() {
    // Three for each of ours, and its own servers.
    const std::string settings = "create,cache_size=" + std::to_string(cache_bytes()) +
                                 ",session_max=" + std::to_string(3 * config_.sessions_max + 50) +
                                 ",checkpoint=(wait=60,log_size=1GB)" + ",statistics=(" +
                                 (config_.statistics ? "all" : "fast") + ")," +
                                 log_settings(config_.durability);
    check(wiredtiger_open(config_.directory.c_str(), nullptr, settings.c_str(), &connection_),
          "wiredtiger_open");
    WT_SESSION* session = nullptr;
    check(connection_->open_session(connection_, nullptr, nullptr, &session), "open_session");
    const int code = session->create(session, kTable, "key_format=u,value_format=u");
    (void)session->close(session, nullptr);
    check(code, "create");
  }
  int close_quietly() {
    WT_CONNECTION* const connection = std::exchange(connection_, nullptr);
    return connection == nullptr ? 0 : connection->close(connection, nullptr);
  }
  std::string statistics(const char* uri) {
    Handle handle(connection_);
    WT_CURSOR* cursor = nullptr;
    check(
        handle.session()->open_cursor(handle.session(), uri, nullptr, "statistics=(fast)", &cursor),
        "open_cursor");
    std::string text;
    int code = 0;
    while ((code = cursor->next(cursor)) == 0) {
      const char* description = nullptr;
      const char* printed = nullptr;
      int64_t number = 0;
      check(cursor->get_value(cursor, &description, &printed, &number), "get_value");
      text += std::string(description) + " " + printed + "\n";
    }
    if (code != WT_NOTFOUND) check(code, "next");
    return text;
  }

  EngineConfig config_;
  WT_CONNECTION* connection_ = nullptr;
};

}  // namespace

std::unique_ptr<Engine> make_wiredtiger_engine() { return std::make_unique<WiredtigerEngine>(); }

}  // namespace varve::bench
