// SQLite: one connection a session, write-ahead log, prepared statements. Durability os is
// synchronous=OFF, sync is FULL.
//
// Writers take the one write lock at their beginning (BEGIN IMMEDIATE) and wait for it in
// SQLite's own way, at most kBusyMillis; who does not get it has lost.

#include <sqlite3.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "bench/engines/engine.h"

namespace varve::bench {
namespace {

constexpr const char* kFileName = "bench.sqlite";
constexpr int kBusyMillis = 10'000;

struct Shared {
  std::string path;
  Durability durability = Durability::os;
  uint64_t cache_size = 0;
};

class Connection {
 public:
  explicit Connection(const Shared& shared) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    check(sqlite3_open_v2(shared.path.c_str(), &handle_, flags, nullptr), "open");
    check(sqlite3_busy_timeout(handle_, kBusyMillis), "busy_timeout");
    run("PRAGMA journal_mode=WAL");
    run(shared.durability == Durability::sync ? "PRAGMA synchronous=FULL"
                                              : "PRAGMA synchronous=OFF");
    run("PRAGMA cache_size=-" + std::to_string(shared.cache_size / 1024));
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { sqlite3_close_v2(handle_); }

  sqlite3* handle() const { return handle_; }
  [[noreturn]] void fail(const char* call) const {
    throw EngineError(std::string("sqlite: ") + call + ": " + sqlite3_errmsg(handle_));
  }
  void check(int code, const char* call) const {
    if (code != SQLITE_OK) fail(call);
  }
  void run(const std::string& sql) {
    check(sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr), sql.c_str());
  }

 private:
  sqlite3* handle_ = nullptr;
};

// A prepared statement, made when it is first used: its table may not be there before.
class Statement {
 public:
  Statement(Connection* connection, const char* sql) : connection_(connection), sql_(sql) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(handle_); }

  Statement& bind(int64_t value) {
    prepare();
    connection_->check(sqlite3_bind_int64(handle_, ++bound_, value), "bind");
    return *this;
  }
  // `bytes` stay as they are until reset().
  Statement& bind_text(std::string_view bytes) {
    prepare();
    connection_->check(sqlite3_bind_text(handle_, ++bound_, bytes.data(),
                                         static_cast<int>(bytes.size()), SQLITE_STATIC),
                       "bind");
    return *this;
  }
  Statement& bind_blob(std::string_view bytes) {
    prepare();
    connection_->check(sqlite3_bind_blob(handle_, ++bound_, bytes.data(),
                                         static_cast<int>(bytes.size()), SQLITE_STATIC),
                       "bind");
    return *this;
  }
  // To the next row; false: there is none.
  bool step() {
    const int code = try_step();
    if (code != SQLITE_ROW && code != SQLITE_DONE) connection_->fail(sql_);
    return code == SQLITE_ROW;
  }
  int try_step() {
    prepare();
    return sqlite3_step(handle_);
  }
  int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
  std::string_view bytes(int column) const {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(handle_, column));
    return {data, static_cast<size_t>(sqlite3_column_bytes(handle_, column))};
  }
  void reset() {
    bound_ = 0;
    if (handle_ != nullptr) sqlite3_reset(handle_);
  }
  void run() {
    step();
    reset();
  }

 private:
  void prepare() {
    if (handle_ != nullptr) return;
    connection_->check(sqlite3_prepare_v3(connection_->handle(), sql_, -1,
                                          SQLITE_PREPARE_PERSISTENT, &handle_, nullptr),
                       sql_);
  }

  Connection* const connection_;
  const char* const sql_;
  sqlite3_stmt* handle_ = nullptr;
  int bound_ = 0;
};

// A write transaction, from its begin to its commit.
class Writing {
 public:
  explicit Writing(Connection* connection)
      : connection_(connection),
        begin_(connection, "BEGIN IMMEDIATE"),
        commit_(connection, "COMMIT"),
        rollback_(connection, "ROLLBACK") {}

  // Calls body() within one. False: the lock did not come; nothing was done.
  template <typename Body>
  bool run(const Body& body) {
    if (!succeeded(&begin_)) return false;
    try {
      body();
      if (succeeded(&commit_)) return true;
    } catch (const EngineError&) {
      rollback_.run();
      throw;
    }
    rollback_.run();
    return false;
  }

 private:
  bool succeeded(Statement* statement) {
    const int code = statement->try_step();
    statement->reset();
    if (code == SQLITE_BUSY) return false;
    if (code != SQLITE_DONE) connection_->fail("a transaction");
    return true;
  }

  Connection* const connection_;
  Statement begin_;
  Statement commit_;
  Statement rollback_;
};

class SqliteRows final : public RowSession {
 public:
  explicit SqliteRows(Connection* connection) : connection_(connection), writing_(connection) {}

  void create_items() override {
    connection_->run(
        "DROP TABLE IF EXISTS t;"
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b TEXT NOT NULL, c TEXT NOT "
        "NULL, d INTEGER NOT NULL);"
        "CREATE INDEX t_a ON t(a); CREATE INDEX t_b ON t(b);");
  }
  void insert_items(std::span<const Item> items) override {
    must_write([&] {
      for (const Item& item : items) {
        insert_item_.bind(signed_id(item.id)).bind(item.a).bind_text(item.b).bind_text(item.c);
        insert_item_.bind(item.d).run();
      }
    });
  }
  bool update_items(std::span<const ItemChange> changes) override {
    return writing_.run([&] {
      for (const ItemChange& change : changes) {
        update_item_.bind(change.a).bind(change.d).bind(signed_id(change.id)).run();
      }
    });
  }
  bool erase_items(std::span<const uint64_t> ids, uint64_t* erased) override {
    return writing_.run([&] {
      *erased = 0;
      for (const uint64_t id : ids) {
        erase_item_.bind(signed_id(id)).run();
        *erased += static_cast<uint64_t>(sqlite3_changes(connection_->handle()));
      }
    });
  }
  void read_items(int64_t from, size_t count, ItemSink* sink) override {
    by_a_.bind(from).bind(static_cast<int64_t>(count));
    while (by_a_.step()) {
      sink->found({.id = static_cast<uint64_t>(by_a_.integer(0)),
                   .a = by_a_.integer(1),
                   .b = by_a_.bytes(2),
                   .c = by_a_.bytes(3),
                   .d = by_a_.integer(4)});
    }
    by_a_.reset();
  }

  // Its one lock is the build's as long as that takes.
  void build_index() override { throw EngineError("sqlite: builds let nobody write"); }
  void verify_items() override { throw EngineError("sqlite: builds let nobody write"); }

  void create_bank() override {
    for (const char* table : {"accounts", "tellers", "branches"}) {
      connection_->run(std::string("DROP TABLE IF EXISTS ") + table + "; CREATE TABLE " + table +
                       "(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, filler TEXT NOT NULL);");
    }
    connection_->run(
        "DROP TABLE IF EXISTS history;"
        "CREATE TABLE history(teller INTEGER, branch INTEGER, account INTEGER, delta INTEGER, time "
        "INTEGER, filler TEXT);");
  }
  void insert_bank(BankTable table, uint64_t begin, uint64_t end) override {
    static constexpr const char* kInserts[] = {"INSERT INTO accounts VALUES(?, 0, ?)",
                                               "INSERT INTO tellers VALUES(?, 0, ?)",
                                               "INSERT INTO branches VALUES(?, 0, ?)"};
    Statement insert(connection_, kInserts[static_cast<size_t>(table)]);
    const std::string filler(filler_size(table), ' ');
    must_write([&] {
      for (uint64_t id = begin; id < end; ++id) insert.bind(signed_id(id)).bind_text(filler).run();
    });
  }
  uint64_t transact(const BankTransaction& transaction, int64_t* balance) override {
    const int64_t account = signed_id(transaction.account);
    const int64_t teller = signed_id(transaction.teller);
    const int64_t branch = signed_id(transaction.branch);
    const auto body = [&] {
      add_to_account_.bind(transaction.delta).bind(account).run();
      read_account_.bind(account);
      if (!read_account_.step()) throw EngineError("sqlite: a row of the bank is not there");
      *balance = read_account_.integer(0);
      read_account_.reset();
      add_to_teller_.bind(transaction.delta).bind(teller).run();
      add_to_branch_.bind(transaction.delta).bind(branch).run();
      static const std::string kFiller(kHistoryFillerSize, ' ');
      insert_history_.bind(teller).bind(branch).bind(account).bind(transaction.delta);
      insert_history_.bind(transaction.micros).bind_text(kFiller).run();
    };
    uint64_t conflicts = 0;
    while (!writing_.run(body)) ++conflicts;
    return conflicts;
  }
  BankTotals bank_totals() override {
    BankTotals totals;
    totals.accounts = sum("SELECT sum(balance), 0 FROM accounts", nullptr);
    totals.tellers = sum("SELECT sum(balance), 0 FROM tellers", nullptr);
    totals.branches = sum("SELECT sum(balance), 0 FROM branches", nullptr);
    totals.history = sum("SELECT sum(delta), count(*) FROM history", &totals.history_rows);
    return totals;
  }

 private:
  static int64_t signed_id(uint64_t id) { return static_cast<int64_t>(id); }
  template <typename Body>
  void must_write(const Body& body) {
    if (!writing_.run(body)) throw EngineError("sqlite: a load found the database locked");
  }
  int64_t sum(const char* sql, uint64_t* rows) {
    Statement statement(connection_, sql);
    statement.step();
    if (rows != nullptr) *rows = static_cast<uint64_t>(statement.integer(1));
    return statement.integer(0);
  }

  Connection* const connection_;
  Writing writing_;
  Statement insert_item_{connection_, "INSERT INTO t VALUES(?, ?, ?, ?, ?)"};
  Statement update_item_{connection_, "UPDATE t SET a = ?, d = ? WHERE id = ?"};
  Statement erase_item_{connection_, "DELETE FROM t WHERE id = ?"};
  Statement by_a_{connection_, "SELECT id, a, b, c, d FROM t WHERE a >= ? ORDER BY a, id LIMIT ?"};
  Statement add_to_account_{connection_, "UPDATE accounts SET balance = balance + ? WHERE id = ?"};
  Statement read_account_{connection_, "SELECT balance FROM accounts WHERE id = ?"};
  Statement add_to_teller_{connection_, "UPDATE tellers SET balance = balance + ? WHERE id = ?"};
  Statement add_to_branch_{connection_, "UPDATE branches SET balance = balance + ? WHERE id = ?"};
  Statement insert_history_{connection_, "INSERT INTO history VALUES(?, ?, ?, ?, ?, ?)"};
};

// Keys and values lie in a table of their own.
class SqliteCursor final : public EngineCursor {
 public:
  explicit SqliteCursor(Connection* connection) : connection_(connection) {}

  void open() override { close(); }
  void refresh() override { close(); }
  void close() override {
    forward_.reset();
    backward_.reset();
    current_ = nullptr;
    valid_ = false;
  }
  // Of its statement, not of where it stands.
  void let_go() {
    if (current_ == nullptr) return;
    kept_key_.assign(key_);
    kept_value_.assign(value_);
    const bool was_valid = valid_;
    close();
    valid_ = was_valid;
    key_ = kept_key_;
    value_ = kept_value_;
  }
  void seek_to_first() override { begin(&forward_, ""); }
  void seek_to_last() override {
    close();
    load(&last_);
    backward_from_ = std::string(key_);
    last_.reset();
    if (valid_) begin(&backward_, backward_from_);
  }
  void seek(std::string_view key) override { begin(&forward_, key); }
  void next() override { go(&forward_); }
  void prev() override { go(&backward_); }

 private:
  void begin(Statement* statement, std::string_view key) {
    from_.assign(key);
    close();
    statement->bind_blob(from_);
    load(statement);
  }
  void go(Statement* statement) {
    if (current_ != statement) {
      begin(statement, std::string(key_));  // stands where it stood
      if (!valid_) return;
    }
    load(statement);
  }
  void load(Statement* statement) {
    current_ = statement;
    valid_ = statement->step();
    if (!valid_) return;
    key_ = statement->bytes(0);
    value_ = statement->bytes(1);
  }

  Connection* const connection_;
  Statement forward_{connection_, "SELECT k, v FROM kv WHERE k >= ? ORDER BY k"};
  Statement backward_{connection_, "SELECT k, v FROM kv WHERE k <= ? ORDER BY k DESC"};
  Statement last_{connection_, "SELECT k, v FROM kv ORDER BY k DESC LIMIT 1"};
  Statement* current_ = nullptr;
  std::string from_;
  std::string backward_from_;
  std::string kept_key_;
  std::string kept_value_;
};

class SqliteSession final : public Session {
 public:
  explicit SqliteSession(const Shared& shared)
      : connection_(shared), writing_(&connection_), cursor_(&connection_), rows_(&connection_) {}

  void put(std::string_view key, std::string_view value) override {
    end_reads();
    put_.bind_blob(key).bind_blob(value).run();
  }
  void erase(std::string_view key) override {
    end_reads();
    erase_.bind_blob(key).run();
  }

  void batch_put(std::string_view key, std::string_view value) override {
    begin_batch();
    put(key, value);
  }
  void batch_erase(std::string_view key) override {
    begin_batch();
    erase(key);
  }
  void batch_commit() override {
    if (std::exchange(in_batch_, false)) commit_.run();
  }

  bool get(std::string_view key, std::string_view* value) override {
    get_.reset();
    if (!get_.bind_blob(key).step()) return false;
    *value = get_.bytes(0);
    return true;
  }
  void multi_get(std::span<const std::string_view> keys,
                 std::span<std::optional<std::string_view>> values) override {
    if (found_.size() < keys.size()) found_.resize(keys.size());
    for (size_t i = 0; i < keys.size(); i++) {
      std::string_view value;
      values[i].reset();
      if (!get(keys[i], &value)) continue;
      found_[i].assign(value);
      values[i] = found_[i];
    }
  }
  EngineCursor& cursor() override { return cursor_; }
  RowSession& rows() override { return rows_; }

 private:
  // One that goes on while another connection writes keeps this one from writing.
  void end_reads() {
    get_.reset();
    cursor_.let_go();
  }
  void begin_batch() {
    if (std::exchange(in_batch_, true)) return;
    end_reads();
    begin_.run();
  }

  Connection connection_;
  Writing writing_;
  Statement begin_{&connection_, "BEGIN IMMEDIATE"};
  Statement commit_{&connection_, "COMMIT"};
  Statement put_{&connection_, "INSERT OR REPLACE INTO kv VALUES(?, ?)"};
  Statement erase_{&connection_, "DELETE FROM kv WHERE k = ?"};
  Statement get_{&connection_, "SELECT v FROM kv WHERE k = ?"};
  SqliteCursor cursor_;
  SqliteRows rows_;
  std::vector<std::string> found_;
  bool in_batch_ = false;
};

class SqliteEngine final : public Engine {
 public:
  std::string version() const override { return sqlite3_libversion(); }

  void open(const EngineConfig& config) override {
    shared_ = {.path = config.directory + "/" + kFileName,
               .durability = config.durability,
               .cache_size = config.cache_size};
    notes_ = {"has no compression", "has no filters", "has no write buffer: flags ignored"};
    connection_ = std::make_unique<Connection>(shared_);
    connection_->run("CREATE TABLE IF NOT EXISTS kv(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID");
  }
  void close() override { connection_.reset(); }
  bool owns_file(std::string_view name) const override { return name.starts_with(kFileName); }

  std::unique_ptr<Session> new_session() override {
    return std::make_unique<SqliteSession>(shared_);
  }
  void set_durability(Durability durability) override { shared_.durability = durability; }
  bool has_tables() const override { return true; }

  void flush() override { connection_->run("PRAGMA wal_checkpoint(FULL)"); }
  void compact() override { connection_->run("VACUUM"); }
  void wait_for_background() override {}
  void settle() override {
    compact();
    connection_->run("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  void verify_checksums() override {
    Statement check(connection_.get(), "PRAGMA integrity_check");
    if (!check.step() || check.bytes(0) != "ok") throw EngineError("sqlite: integrity_check");
  }

  std::string stats_text() override { return "sqlite tells none\n"; }
  std::string level_stats_text() override { return "sqlite has no levels\n"; }
  std::string memory_stats_text() override {
    return "sqlite: " + std::to_string(sqlite3_memory_used()) + " bytes\n";
  }
  EngineFigures figures() override { return {}; }

 private:
  Shared shared_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace

std::unique_ptr<Engine> make_sqlite_engine() { return std::make_unique<SqliteEngine>(); }

}  // namespace varve::bench
