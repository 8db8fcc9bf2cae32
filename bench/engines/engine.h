// The storage engines that db-bench can drive, behind one interface.
//
// An Engine is an open database; a Session is what one thread works through, and owns everything
// that can be reused from call to call (pinned values, read transactions, batches), so that the
// adapters themselves allocate nothing in the steady state. A call costs one virtual call above the
// engine's own work. A Session hands out one cursor and one transaction.
//
// Thread rule: Engine functions from one thread, save new_session(), from any; a Session, its
// cursor and its transaction belong to one thread. Sessions must be gone before close().
// Errors: every function may throw EngineError. Absence of a key is no error.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bench/engines/row_session.h"
#include "varve/transaction.h"
#include "varve/types.h"

namespace varve::bench {

struct EngineError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// varve's budget where its parts are given, in bytes: with a small cache, what flushes take on top
// of two write buffers too.
inline uint64_t budget_of_parts(uint64_t cache_size, uint64_t write_buffer_size) {
  return std::max(cache_size + 2 * write_buffer_size,
                  write_buffer_size / 7 * 16 + (uint64_t{4} << 20));
}

// How a database is opened. Sizes in bytes.
struct EngineConfig {
  std::string directory;
  Durability durability = Durability::os;
  Compression compression = Compression::zstd;
  uint64_t cache_size = 0;         // everything that is not a memtable
  uint64_t write_buffer_size = 0;  // W: all memtables together stay within 2 W
  uint64_t memory_budget = 0;      // varve: replaces both; 0: not given
  uint32_t block_size = 0;         // 0: the engine's own default
  uint32_t min_blob_size = 0;      // larger values lie in files of their own; 0: none do
  int bloom_bits = 10;             // per key; 0: no filters
  uint64_t history_retention_seconds = 0;
  bool statistics = false;
  int sessions_max = 1;  // at once
  // Of the data to come: engines whose indexes and filters live outside of their block cache take
  // what these need off the cache, so that all of them keep to the same memory.
  uint64_t expected_keys = 0;
  uint32_t key_size = 16;
  uint32_t value_size = 100;
};

// Since the database was opened; negative: the engine does not tell.
struct EngineFigures {
  double written_bytes = -1;  // to its files
  double stall_seconds = -1;  // writers held back, summed over threads
};

// What is written next, where an engine can make use of it.
enum class WriteOrder : uint8_t { any, ascending_new_keys };

// A walk over the keys. key and value stay valid until the next call.
class EngineCursor {
 public:
  virtual ~EngineCursor() = default;
  bool valid() const { return valid_; }
  std::string_view key() const { return key_; }      // requires valid()
  std::string_view value() const { return value_; }  // requires valid()

  // A new cursor as of now; the one before, if any, is destroyed as the engine's users would do it.
  virtual void open() = 0;
  // As of now again, in the cheapest way that the engine has. Requires open().
  virtual void refresh() = 0;
  // Gives back what the engine holds for it.
  virtual void close() = 0;
  virtual void seek_to_first() = 0;
  virtual void seek_to_last() = 0;
  virtual void seek(std::string_view key) = 0;  // the first key at or after `key`
  virtual void next() = 0;                      // requires valid()
  virtual void prev() = 0;                      // requires valid()

 protected:
  std::string_view key_;
  std::string_view value_;
  bool valid_ = false;
};

// How an engine keeps transactions apart.
enum class TransactionMode : uint8_t {
  none,         // it has no transactions
  optimistic,   // commit() finds out whether another one got in the way
  pessimistic,  // who writes, or reads for update, holds a lock; others wait
};

// Takes what several reads at once find.
struct ReadSink {
  virtual void found(size_t i, std::string_view value) = 0;  // of keys[i]; valid until it returns

 protected:
  ~ReadSink() = default;
};

// Reads as of begin(), own writes included, and writes that commit together or not at all; of two
// that write one key side by side, or read it for update, one loses. One at a time; reused from one
// begin() to the next, so that the engine's own object is, where it can be.
//
// One that lost stays so until its end: it reads nothing, its writes are ignored, commit() says
// false. So only that needs to be asked, and lost() where going on would be a waste.
class EngineTransaction {
 public:
  virtual ~EngineTransaction() = default;
  // Since begin(): lost against another transaction, by a conflict, a deadlock or a lock that did
  // not come.
  bool lost() const { return lost_; }

  // Requires that none is open, that is, begun and neither committed nor rolled back.
  virtual void begin(Isolation isolation) = 0;
  // False: absent, or lost(). `*value` stays valid until the next call on this transaction.
  virtual bool get(std::string_view key, std::string_view* value) = 0;
  // And loses if another one writes the key before this one commits.
  virtual bool get_for_update(std::string_view key, std::string_view* value) = 0;
  // Several, by the fastest way that the engine has; absent ones are not shown. May be lost().
  virtual void get_all_for_update(std::span<const std::string_view> keys, ReadSink* sink) {
    for (size_t i = 0; i < keys.size() && !lost_; i++) {
      std::string_view value;
      if (get_for_update(keys[i], &value)) sink->found(i, value);
    }
  }
  virtual void put(std::string_view key, std::string_view value) = 0;
  virtual void erase(std::string_view key) = 0;
  // Ends it. False: lost, nothing was written; it may be tried again from begin().
  virtual bool commit() = 0;
  // Ends it, nothing was written. Ok if none is open.
  virtual void rollback() = 0;

 protected:
  bool lost_ = false;
};

class Session {
 public:
  virtual ~Session() = default;

  virtual void put(std::string_view key, std::string_view value) = 0;
  virtual void erase(std::string_view key) = 0;

  // Changes that commit together.
  virtual void batch_put(std::string_view key, std::string_view value) = 0;
  virtual void batch_erase(std::string_view key) = 0;
  virtual void batch_commit() = 0;

  // False: absent. `*value` stays valid until the next call on this session.
  virtual bool get(std::string_view key, std::string_view* value) = 0;
  // values[i] answers keys[i]; valid until the next call on this session.
  virtual void multi_get(std::span<const std::string_view> keys,
                         std::span<std::optional<std::string_view>> values) = 0;

  // The session's cursor, closed at first. Lives as long as the session.
  virtual EngineCursor& cursor() = 0;
  // The session's transaction, none open at first. Lives as long as the session. Between its begin
  // and its end the session's own writes are not called. Throws where Engine::transaction_mode()
  // is none.
  virtual EngineTransaction& transaction() { throw EngineError("no transactions"); }
  // Throws where Engine::has_tables() is false. Lives as long as the session.
  virtual RowSession& rows() { throw EngineError("no tables"); }
};

class Engine {
 public:
  virtual ~Engine() = default;

  virtual std::string version() const = 0;

  virtual void open(const EngineConfig& config) = 0;  // creates what is missing
  virtual void close() = 0;                           // ok if it is not open
  // Whether a file or directory of this name, in the database's directory, is one of its own: only
  // such are ever deleted.
  virtual bool owns_file(std::string_view name) const = 0;

  virtual std::unique_ptr<Session> new_session() = 0;
  // For the writes to come. No session may be in use meanwhile.
  virtual void set_durability(Durability durability) = 0;
  virtual void set_write_order(WriteOrder) {}

  virtual TransactionMode transaction_mode() const { return TransactionMode::none; }
  // Whether its transactions give what varve's do at this level; else what they give is the
  // nearest.
  virtual bool supports(Isolation) const { return false; }

  // Rows with secondary indexes: the benchmarks of rows need it.
  virtual bool has_tables() const { return false; }
  // And whether an index is built while others write.
  virtual bool has_online_builds() const { return false; }

  virtual void flush() = 0;                // memtables to disk, waits
  virtual void compact() = 0;              // flush, merge into one run, wait
  virtual void wait_for_background() = 0;  // until no flush or compaction is due
  virtual void settle() = 0;  // compact(), then release recycled log segments and obsolete files
  virtual void verify_checksums() = 0;

  virtual std::string stats_text() = 0;
  virtual std::string level_stats_text() = 0;
  virtual std::string memory_stats_text() = 0;
  virtual EngineFigures figures() = 0;

  // What was asked for that the engine lacks, and what it took instead; a sentence each.
  const std::vector<std::string>& notes() const { return notes_; }

 protected:
  std::vector<std::string> notes_;
};

// Names that create_engine() knows in this build.
std::vector<std::string> engine_names();
// Null for an unknown name.
std::unique_ptr<Engine> create_engine(std::string_view name);

// The factories, one per adapter.
std::unique_ptr<Engine> make_varve_engine();
std::unique_ptr<Engine> make_rocksdb_engine();
std::unique_ptr<Engine> make_rocksdb_tuned_engine();
std::unique_ptr<Engine> make_rocksdb_optimistic_engine();
std::unique_ptr<Engine> make_rocksdb_pessimistic_engine();
std::unique_ptr<Engine> make_leveldb_engine();
std::unique_ptr<Engine> make_lmdb_engine();
std::unique_ptr<Engine> make_wiredtiger_engine();
std::unique_ptr<Engine> make_sqlite_engine();

// What is left of `cache_size` for blocks in an engine (RocksDB, LevelDB) that keeps the index and
// filter of every open file outside of its block cache. `block_size` is the engine's.
uint64_t block_cache_bytes(const EngineConfig& config, uint32_t block_size);

// Whether `name` is a decimal number followed by `suffix`, as files of most engines are named.
bool is_numbered_file(std::string_view name, std::string_view suffix);

}  // namespace varve::bench
