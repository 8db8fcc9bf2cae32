#include "bench/soak_load.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string_view>

#include "base/random.h"

namespace varve::soak {
namespace {

constexpr uint64_t kValueBytes = kRowBytes - 16;
constexpr auto kWritePause = std::chrono::microseconds(500);
constexpr auto kReadPause = std::chrono::microseconds(500);
constexpr auto kScanPause = std::chrono::milliseconds(20);
constexpr auto kKeyspacePause = std::chrono::milliseconds(250);
constexpr uint64_t kSyncEvery = 1000;  // writes; rarer than what p99 sees
constexpr uint64_t kScanRows = 200;
constexpr uint64_t kKeyspaceRows = 200;
constexpr int kRowsOfThePast = 20;
constexpr size_t kSnapshotsHeld = 8;

uint64_t nanos_now() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

std::string key_of(uint64_t row) {
  char key[17];
  std::snprintf(key, sizeof key, "%016llx", static_cast<unsigned long long>(Random(row).next()));
  return key;
}

// The key, when it was written, and bytes of which half do not compress.
std::string value_of(std::string_view key, Random* random) {
  char time[24];
  std::snprintf(time, sizeof time, " %020llu ", static_cast<unsigned long long>(nanos_now()));
  std::string value = std::string(key) + time;
  while (value.size() < kValueBytes / 2) value += static_cast<char>(random->next());
  value.resize(kValueBytes, '.');
  return value;
}

void check_value(std::string_view key, std::string_view value, uint64_t newest = UINT64_MAX) {
  if (value.size() != kValueBytes || !value.starts_with(key)) {
    die("wrong value", "of key " + std::string(key));
  }
  const std::string written(value.substr(key.size() + 1, 20));
  if (std::strtoull(written.c_str(), nullptr, 10) > newest) {
    die("read of the past", "a value of its future, of key " + std::string(key));
  }
}

}  // namespace

void die(const char* what, const std::string& why) {
  std::fprintf(stderr, "soak: %s: %s\n", what, why.c_str());
  std::_Exit(1);
}

void check(const char* what, const Status& status) {
  if (!status.ok()) die(what, status.to_string());
}

Load::Load(uint64_t rows, std::chrono::nanoseconds retention)
    : rows_alive_(rows), rows_(rows + rows / 9), retention_(retention) {
  for (uint64_t row = 0; row < rows_; ++row) {
    Slice& slice = slices_[row % kWriters];
    slice.rows.push_back(static_cast<uint32_t>(row));
    if (row < rows_alive_) ++slice.alive;
  }
}

void Load::fill(Database* database) {
  Random random(random_seed());
  for (const Slice& slice : slices_) {
    for (size_t i = 0; i < slice.alive; ++i) {
      const std::string key = key_of(slice.rows[i]);
      check("fill", database->put(key, value_of(key, &random)));
    }
  }
}

void Load::start(Database* database) {
  database_ = database;
  rest_ = false;
  for (size_t i = 0; i < kWriters; ++i) threads_.emplace_back([this, i] { write_on(i); });
  for (size_t i = 0; i < kReaders; ++i) threads_.emplace_back([this, i] { read_on(i); });
  for (size_t i = 0; i < kScanners; ++i) threads_.emplace_back([this] { scan_on(); });
  threads_.emplace_back([this] { hold_snapshots(); });
  threads_.emplace_back([this] { make_keyspaces(); });
}

void Load::rest() {
  rest_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Load::count(Database* database) const {
  Cursor cursor = check("count", database->scan({.fill_cache = false}));
  uint64_t count = 0;
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    check_value(cursor.key(), cursor.value());
    ++count;
  }
  check("count", cursor.status());
  if (count != rows_alive_) {
    die("count", std::to_string(count) + " rows of " + std::to_string(rows_alive_));
  }
}

void Load::take(bench::Histogram* reads, bench::Histogram* writes) {
  for (Latencies& latencies : reads_) latencies.take(reads);
  for (Latencies& latencies : writes_) latencies.take(writes);
}

std::string Load::to_string() const {
  return "rows scanned " + std::to_string(rows_scanned_) + ", keyspaces made and dropped " +
         std::to_string(keyspaces_made_) + ", snapshots held " + std::to_string(snapshots_made_) +
         ", reads of the past " + std::to_string(reads_of_the_past_) + ", reads refused memory " +
         std::to_string(refused_);
}

// Calls `step` every `pause` until the load rests; time lost is not caught up.
template <typename Step>
void Load::pace(std::chrono::nanoseconds pause, Step step) {
  using Clock = std::chrono::steady_clock;
  auto next = Clock::now();
  while (!rest_.load()) {
    step();
    next = std::max(next + pause, Clock::now() - pause);
    std::this_thread::sleep_until(next);
  }
}

// False: there was no memory for it, which is an answer.
bool Load::answered(const char* what, const Status& status) {
  if (status.code() == StatusCode::out_of_memory) {
    ++refused_;
    return false;
  }
  check(what, status);
  return true;
}

// Overwrites a row; one time in four erases one and brings another back in the same commit.
void Load::write_on(size_t writer) {
  Random random(random_seed());
  Slice& slice = slices_[writer];
  WriteBatch batch(*database_);
  uint64_t count = 0;
  pace(kWritePause, [&] {
    uint32_t& row = slice.rows[random.below(slice.alive)];
    batch.clear();
    if (random.one_in(4)) {
      check("erase", batch.erase(key_of(row)));
      std::swap(row, slice.rows[slice.alive + random.below(slice.rows.size() - slice.alive)]);
    }
    const std::string key = key_of(row);
    check("put", batch.put(key, value_of(key, &random)));
    WriteOptions options;
    if (++count % kSyncEvery == 0) options.durability = Durability::sync;
    writes_[writer].time([&] { check("write", database_->write(batch, options)); });
  });
}

void Load::read_on(size_t reader) {
  Random random(random_seed());
  std::string value;
  pace(kReadPause, [&] {
    const std::string key = key_of(random.below(rows_));
    bool found = false;
    reads_[reader].time([&] {
      const Result<bool> answer = database_->get(key, &value);
      found = answered("get", answer.status()) && *answer;
    });
    if (found) check_value(key, value);
  });
}

// Walks from a random key, forwards or backwards.
void Load::scan_on() {
  Random random(random_seed());
  pace(kScanPause, [&] {
    Result<Cursor> cursor = database_->scan();
    if (!answered("scan", cursor.status())) return;
    const bool forwards = random.one_in(2);
    const std::string from = key_of(random.below(rows_));
    std::string last;
    forwards ? cursor->seek(from) : cursor->seek_for_prev(from);
    for (uint64_t row = 0; row < kScanRows && cursor->valid(); ++row) {
      if (!last.empty() && (forwards ? cursor->key() <= last : cursor->key() >= last)) {
        die("scan", "out of order at " + std::string(cursor->key()));
      }
      last = cursor->key();
      check_value(last, cursor->value());
      ++rows_scanned_;
      forwards ? cursor->next() : cursor->prev();
    }
    answered("cursor", cursor->status());
  });
}

// Holds several snapshots for as long as history is kept; what each says may not change. In between
// it reads the past.
void Load::hold_snapshots() {
  struct Held {
    Snapshot snapshot;
    std::string key;
    std::string value;  // empty: absent
  };
  Random random(random_seed());
  std::deque<Held> held;
  const auto read = [&](const Snapshot& snapshot, const std::string& key, std::string* value) {
    value->clear();
    const Result<bool> found = database_->get(key, value, {.snapshot = &snapshot});
    if (!answered("get by snapshot", found.status())) return false;
    if (*found) check_value(key, *value, snapshot.timestamp().nanos);
    return true;
  };
  const uint64_t began = nanos_now();
  const uint64_t back = static_cast<uint64_t>(retention_.count()) / 2;
  pace(retention_ / kSnapshotsHeld, [&] {
    Held next{.snapshot = check("snapshot", database_->snapshot()),
              .key = key_of(random.below(rows_)),
              .value = {}};
    ++snapshots_made_;
    if (read(next.snapshot, next.key, &next.value)) held.push_back(std::move(next));
    if (held.size() > kSnapshotsHeld) {
      std::string again;
      const Held& oldest = held.front();
      if (read(oldest.snapshot, oldest.key, &again) && again != oldest.value) {
        die("snapshot", "another answer for " + oldest.key);
      }
      held.pop_front();
    }
    if (nanos_now() - began < back) return;
    const Snapshot past = check("snapshot_at", database_->snapshot_at({nanos_now() - back}));
    std::string value;
    for (int i = 0; i < kRowsOfThePast; ++i) {
      if (read(past, key_of(random.below(rows_)), &value)) ++reads_of_the_past_;
    }
  });
}

// Makes a keyspace, with a log or without, fills it, counts what is in it, drops it.
void Load::make_keyspaces() {
  Random random(random_seed());
  WriteBatch batch(*database_);
  pace(kKeyspacePause, [&] {
    const uint64_t number = keyspaces_made_++;
    KeyspaceOptions options;
    if (number % 3 == 0) options.durability = Durability::none;
    const Keyspace keyspace =
        check("create_keyspace",
              database_->create_keyspace("passing " + std::to_string(number), options));
    batch.clear();
    for (uint64_t row = 0; row < kKeyspaceRows; ++row) {
      const std::string key = key_of(row);
      check("put", batch.put(keyspace, key, value_of(key, &random)));
    }
    check("write", database_->write(batch));
    if (Result<Cursor> cursor = database_->scan({.keyspace = keyspace});
        answered("scan of a keyspace", cursor.status())) {
      uint64_t count = 0;
      for (cursor->seek_to_first(); cursor->valid(); cursor->next()) ++count;
      if (answered("cursor", cursor->status()) && count != kKeyspaceRows) {
        die("scan of a keyspace", std::to_string(count) + " rows");
      }
    }
    check("drop_keyspace", database_->drop_keyspace(keyspace));
  });
}

}  // namespace varve::soak
