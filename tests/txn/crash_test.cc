// A process that is killed, for real: a child writes from many threads and acknowledges each commit
// through a pipe; it dies by SIGKILL at random times and at every named sync point. After each
// death everything acknowledged is there but for an end of what was only `buffered`, batches are
// whole, a keyspace without a log is at one state no older than its last flush, and every file
// verifies. Each life has other options than the one before.
//
//   VARVE_TEST_SEED        replays the choices; when a random kill strikes is the machine's
//   VARVE_TEST_ITERATIONS  kills in each test (default: few; tests/campaign.sh asks for hundreds)

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "base/sync_point.h"
#include "tests/support/leak_checks.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_files.h"
#include "varve/varve.h"

extern char** environ;

namespace varve::test {
namespace {

constexpr int kThreads = 8;
// Each commit erases what the thread wrote so many commits ago.
constexpr uint64_t kLiveCommits = 50;
constexpr const char* kEnvironment = "VARVE_CRASH_WRITER";

struct Acknowledgement {  // written to the pipe whole: smaller than PIPE_BUF
  uint64_t thread;
  uint64_t commit;
};
// Added to a thread: all its commits up to this one have been flushed.
constexpr uint64_t kFlushed = 1 << 20;
// Instead of a thread: the writer dies now, at its sync point.
constexpr uint64_t kDies = UINT64_MAX;

// What differs from round to round: nothing that was promised before may depend on it.
Options options_of_round(uint64_t choice) {
  Random random(choice);
  Options options;
  options.memory_budget = 64 << 20;
  options.write_buffer_size = (64 << random.below(3)) * 1024;
  options.cache_size = 256u << (10 + random.below(4));
  options.block_size = 1024u << random.below(5);
  options.separate_values_from = random.one_in(2) ? 0 : 1u << random.below(10);
  options.filter_bits_per_key = static_cast<uint32_t>(random.below(16));
  options.compression = random.one_in(2) ? Compression::none : Compression::zstd;
  options.durability = random.one_in(2) ? Durability::os : Durability::sync;
  options.history_retention = std::chrono::milliseconds(random.one_in(2) ? 0 : 200);
  options.background_threads = static_cast<int>(1 + random.below(3));
  return options;
}

bool spills(uint64_t commit) { return commit % 64 == 5; }

// In one life of four most of what all threads commit may be lost with the process.
Durability durability_of(uint64_t choice, uint64_t thread, uint64_t commit) {
  const bool lazy = choice % 4 == 0;
  if (commit % (lazy ? 64 : 8) == 0) return Durability::sync;
  return lazy || thread % 4 == 3 ? Durability::buffered : Durability::os;
}

std::string key_of(uint64_t thread, uint64_t commit) {
  char key[40];
  std::snprintf(key, sizeof key, "t%llu/%08llu", static_cast<unsigned long long>(thread),
                static_cast<unsigned long long>(commit));
  return key;
}
std::string latest_key(uint64_t thread) { return "latest/" + std::to_string(thread); }

std::string value_of(uint64_t thread, uint64_t commit) {
  Random random(thread << 32 | commit);
  std::string value = key_of(thread, commit) + ":";
  value.resize(value.size() + random.below(random.one_in(20) ? 5000 : 300),
               static_cast<char>('a' + commit % 26));
  return value;
}

Result<Keyspace> side_keyspace(Database* database) {
  Result<Keyspace> found = database->find_keyspace("side");
  return found.ok() ? std::move(found) : database->create_keyspace("side");
}

// Has no log. Each commit changes the same keys of it, far apart.
Result<Keyspace> unlogged_keyspace(Database* database) {
  Result<Keyspace> found = database->find_keyspace("unlogged");
  return found.ok() ? std::move(found)
                    : database->create_keyspace("unlogged", {.durability = Durability::none});
}
std::string unlogged_key(uint64_t part, uint64_t thread) {
  return std::to_string(part) + "/" + std::to_string(thread);
}
constexpr uint64_t kUnloggedParts = 3;

uint64_t latest_of(Database* database, uint64_t thread) {
  std::string value;
  Result<bool> found = database->get(latest_key(thread), &value);
  EXPECT_OK(found);
  return found.ok() && *found ? std::strtoull(value.c_str(), nullptr, 10) : 0;
}

// -- the child --

struct WriterTask {
  std::string directory;
  int pipe = -1;
  uint64_t choice = 0;
  std::string sync_point;  // empty: none
  uint64_t hits = 0;       // it dies at this one

  std::string encode() const {
    return directory + "\n" + std::to_string(pipe) + "\n" + std::to_string(choice) + "\n" +
           std::to_string(hits) + "\n" + sync_point;
  }
  static WriterTask decode(const std::string& text) {
    std::array<std::string, 5> parts;
    size_t part = 0;
    for (const char c : text) {
      if (c == '\n') {
        ++part;
      } else {
        parts.at(part) += c;
      }
    }
    return {.directory = parts[0],
            .pipe = std::stoi(parts[1]),
            .choice = std::stoull(parts[2]),
            .sync_point = parts[4],
            .hits = std::stoull(parts[3])};
  }
};

[[noreturn]] void fail_writer(const char* what, const Status& status) {
  std::fprintf(stderr, "crash writer: %s: %s\n", what, status.to_string().c_str());
  _exit(3);
}

#if defined(VARVE_SYNC_POINTS)
struct Place {
  const char* name;
  uint64_t hits_max;
};
constexpr Place kPlaces[] = {
    {"commit_logged", 300},         {"commit_before_sync", 30},
    {"commit_before_publish", 300}, {"commit_published", 300},
    {"wal_segment_opened", 2},      {"flush_log_synced", 6},
    {"sstable_finished", 8},        {"before_install", 8},
    {"after_install", 8},           {"manifest_appended", 8},
    {"manifest_created", 1},        {"current_written", 1},
    {"recovery_log_replayed", 1},   {"recovery_manifest_written", 1},
    {"spilled_before_edit", 3},     {"spilled_after_edit", 3},
    {"value_file_finished", 4},
};

struct DeadlySyncPoint {
  std::string name;
  std::atomic<uint64_t> hits_left;
  int pipe;
};
void die_at_sync_point(const char* name, void* context) {
  auto* deadly = static_cast<DeadlySyncPoint*>(context);
  if (std::none_of(std::begin(kPlaces), std::end(kPlaces),
                   [&](const Place& place) { return std::strcmp(place.name, name) == 0; })) {
    fail_writer("sync point", Status::not_found(std::string(name) + " is not among kPlaces"));
  }
  if (deadly->name != name || deadly->hits_left.fetch_sub(1) != 1) return;
  const Acknowledgement last{kDies, 0};
  if (write(deadly->pipe, &last, sizeof last) != sizeof last) _exit(4);
  kill(getpid(), SIGKILL);
}
#endif

struct Writer {
  Database* database;
  Keyspace side;
  Keyspace unlogged;
  uint64_t choice;
  int pipe;
  // Newest commit that this life has acknowledged; 0: none.
  std::array<std::atomic<uint64_t>, kThreads> acknowledged{};

  void say(uint64_t thread, uint64_t commit) const {
    const Acknowledgement done{thread, commit};
    if (write(pipe, &done, sizeof done) != sizeof done) _exit(4);
  }
  void write_for_ever(uint64_t thread);
  void flush();
};

void Writer::write_for_ever(uint64_t thread) {
  WriteBatch batch;
  for (uint64_t commit = latest_of(database, thread) + 1;; ++commit) {
    const std::string key = key_of(thread, commit);
    const std::string value = value_of(thread, commit);
    batch.clear();
    Status status = batch.put(key, value);
    if (status.ok()) status = batch.put(side, key, value);
    if (status.ok()) status = batch.put(latest_key(thread), std::to_string(commit));
    if (commit > kLiveCommits) {
      const std::string old = key_of(thread, commit - kLiveCommits);
      if (status.ok()) status = batch.erase(old);
      if (status.ok()) status = batch.erase(side, old);
    }
    for (uint64_t part = 0; part < kUnloggedParts && status.ok(); ++part) {
      status = batch.put(unlogged, unlogged_key(part, thread), value);
    }
    WriteOptions options;
    options.durability = durability_of(choice, thread, commit);
    if (status.ok() && spills(commit)) {
      // The same by a transaction that spills.
      TransactionOptions spilling;
      spilling.write_memory_max = 100;
      WriteOptions to_side;
      to_side.keyspace = side;
      WriteOptions to_unlogged;
      to_unlogged.keyspace = unlogged;
      const Result<Timestamp> committed = database->transact(
          [&](Transaction& transaction) {
            Status each = transaction.put(key, value);
            if (each.ok()) each = transaction.put(key, value, to_side);
            if (each.ok()) each = transaction.put(latest_key(thread), std::to_string(commit));
            for (uint64_t part = 0; part < kUnloggedParts && each.ok(); ++part) {
              each = transaction.put(unlogged_key(part, thread), value, to_unlogged);
            }
            if (commit <= kLiveCommits || !each.ok()) return each;
            const std::string old = key_of(thread, commit - kLiveCommits);
            each = transaction.erase(old);
            return each.ok() ? transaction.erase(old, to_side) : each;
          },
          spilling);
      status = committed.status();
    } else if (status.ok()) {
      status = database->write(batch, options);
    }
    if (!status.ok()) fail_writer("write", status);
    acknowledged[thread] = commit;
    say(thread, commit);
  }
}

void Writer::flush() {
  std::array<uint64_t, kThreads> before{};
  for (uint64_t thread = 0; thread < kThreads; ++thread) before[thread] = acknowledged[thread];
  if (Status status = database->flush(); !status.ok()) fail_writer("flush", status);
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    if (before[thread] != 0) say(kFlushed + thread, before[thread]);
  }
}

// Not a test of its own: the body of the child, which is this program again.
TEST(CrashWriter, DISABLED_writes_until_it_is_killed) {
  const char* text = std::getenv(kEnvironment);
  if (text == nullptr) GTEST_SKIP() << "run by CrashTest";
  const WriterTask task = WriterTask::decode(text);
#if defined(VARVE_SYNC_POINTS)
  static DeadlySyncPoint deadly;
  if (!task.sync_point.empty()) {
    deadly.name = task.sync_point;
    deadly.hits_left = task.hits;
    deadly.pipe = task.pipe;
    set_sync_point_handler(&die_at_sync_point, &deadly);
  }
#endif
  Result<std::unique_ptr<Database>> opened =
      Database::open(options_of_round(task.choice), task.directory);
  if (!opened.ok()) fail_writer("open", opened.status());
  Database* database = opened->get();
  Result<Keyspace> side = side_keyspace(database);
  if (!side.ok()) fail_writer("keyspace", side.status());
  Result<Keyspace> unlogged = unlogged_keyspace(database);
  if (!unlogged.ok()) fail_writer("keyspace without a log", unlogged.status());
  Writer writer{.database = database,
                .side = *side,
                .unlogged = *unlogged,
                .choice = task.choice,
                .pipe = task.pipe};
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] { writer.write_for_ever(thread); });
  }
  for (uint64_t i = 0;; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (i % 8 != 7) {
      writer.flush();
    } else if (Status status = database->compact(); !status.ok()) {
      fail_writer("compaction", status);
    }
  }
}

// -- the parent --

class CrashTest : public testing::Test {
 protected:
  // Starts a writer, waits for `acknowledgements` more of them (or its own death), kills it. With
  // 0: after `delay`.
  void run_writer(WriterTask task, uint64_t acknowledgements,
                  std::chrono::microseconds delay = {}) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const int inherited = fcntl(ends[1], F_DUPFD, 100);  // without O_CLOEXEC
    ASSERT_GE(inherited, 0);
    close(ends[1]);
    task.directory = directory_ / "db";
    task.pipe = inherited;
    setenv(kEnvironment, task.encode().c_str(), 1);
    const char* arguments[] = {"crash_writer",
                               "--gtest_filter=CrashWriter.DISABLED_writes_until_it_is_killed",
                               "--gtest_also_run_disabled_tests", "--gtest_brief=1", nullptr};
    pid_t child = 0;
    ASSERT_EQ(posix_spawn(&child, "/proc/self/exe", nullptr, nullptr,
                          const_cast<char* const*>(arguments), environ),
              0);
    unsetenv(kEnvironment);
    close(inherited);
    if (acknowledgements == 0) {
      std::this_thread::sleep_for(delay);
      kill(child, SIGKILL);
    }
    uint64_t seen = 0;
    Acknowledgement done;
    at_sync_point_ = false;
    while (read(ends[0], &done, sizeof done) == sizeof done) {
      if (done.thread == kDies) {
        at_sync_point_ = true;
        continue;
      }
      if (done.thread >= kFlushed) {
        ThreadKnown& known = known_.at(done.thread - kFlushed);
        known.promised = std::max(known.promised, done.commit);
        known.flushed = done.commit;
        continue;
      }
      ThreadKnown& known = known_.at(done.thread);
      ASSERT_EQ(done.commit, known.acknowledged + 1) << "thread " << done.thread;
      known.acknowledged = done.commit;
      if (spills(done.commit) ||
          durability_of(task.choice, done.thread, done.commit) != Durability::buffered) {
        known.promised = std::max(known.promised, done.commit);
      }
      if (++seen == acknowledgements) kill(child, SIGKILL);
    }
    close(ends[0]);
    int outcome = 0;
    ASSERT_EQ(waitpid(child, &outcome, 0), child);
    ASSERT_TRUE(WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGKILL)
        << "the writer ended by itself: wait status " << outcome;
    ++kills_;
    if (at_sync_point_) ++kills_at_sync_points_;
    if (seen == 0) ++kills_unheard_;
  }

  // Opens what is left (or a copy, so that the next writer recovers from the same) and compares.
  void check(bool on_a_copy) {
    std::string path = directory_ / "db";
    if (on_a_copy) {
      path = directory_ / ("copy" + std::to_string(copies_++));
      copy_directory(FileSystem::posix(), directory_ / "db", FileSystem::posix(), path);
    }
    Result<std::unique_ptr<Database>> opened = Database::open(options_of_round(kills_), path);
    ASSERT_OK(opened);
    Database* database = opened->get();
    ASSERT_OK(database->verify());
    Result<Keyspace> side = side_keyspace(database);
    ASSERT_OK(side);
    Result<Keyspace> unlogged = unlogged_keyspace(database);
    ASSERT_OK(unlogged);
    for (uint64_t thread = 0; thread < kThreads; ++thread) {
      const uint64_t latest = latest_of(database, thread);
      ThreadKnown& known = known_[thread];
      ASSERT_GE(latest, known.promised) << "thread " << thread << " lost acknowledged commits";
      ASSERT_LE(latest, known.acknowledged + 1) << "thread " << thread;
      if (latest < known.acknowledged) buffered_lost_ += known.acknowledged - latest;
      check_unlogged(database, *unlogged, thread, latest);
      if (HasFatalFailure()) return;
      known.acknowledged = known.promised = latest;  // once seen it stays
      for (const Keyspace keyspace : {kDefaultKeyspace, *side}) {
        const std::string prefix = "t" + std::to_string(thread) + "/";
        Result<Cursor> cursor = database->scan({.keyspace = keyspace, .prefix = prefix});
        ASSERT_OK(cursor);
        cursor->seek_to_first();
        const uint64_t first = latest > kLiveCommits ? latest - kLiveCommits + 1 : 1;
        for (uint64_t commit = first; commit <= latest; ++commit) {
          ASSERT_TRUE(cursor->valid()) << "a part of a batch is lost: " << key_of(thread, commit);
          ASSERT_EQ(cursor->key(), key_of(thread, commit)) << "keyspace " << keyspace.id;
          ASSERT_EQ(cursor->value(), value_of(thread, commit));
          cursor->next();
        }
        ASSERT_FALSE(cursor->valid()) << "too much is there: " << cursor->key();
        ASSERT_OK(cursor->status());
      }
    }
    close_and_check(std::move(*opened), FileSystem::posix());
  }

  // All parts are of one commit, which was flushed or is newer; never of one that the log has lost.
  void check_unlogged(Database* database, Keyspace unlogged, uint64_t thread, uint64_t latest) {
    std::array<std::string, kUnloggedParts> parts;
    for (uint64_t part = 0; part < kUnloggedParts; ++part) {
      ASSERT_OK(database->get(unlogged_key(part, thread), &parts[part], {.keyspace = unlogged}));
      ASSERT_EQ(parts[part], parts[0]) << "a part of a commit is lost, thread " << thread;
    }
    ThreadKnown& known = known_[thread];
    uint64_t commit = 0;
    if (!parts[0].empty()) {
      commit = std::strtoull(parts[0].c_str() + parts[0].find('/') + 1, nullptr, 10);
      ASSERT_EQ(parts[0], value_of(thread, commit));
    }
    ASSERT_GE(commit, known.flushed) << "thread " << thread << " lost what was flushed";
    ASSERT_LE(commit, latest) << "thread " << thread;
    unlogged_lost_ += latest - commit;
    known.flushed = commit;
  }

  void print() const {
    std::printf("kills: %llu, at sync points: %llu, before a commit was acknowledged: %llu\n",
                static_cast<unsigned long long>(kills_),
                static_cast<unsigned long long>(kills_at_sync_points_),
                static_cast<unsigned long long>(kills_unheard_));
    std::printf("lost as allowed: %llu commits that were buffered, %llu without a log\n",
                static_cast<unsigned long long>(buffered_lost_),
                static_cast<unsigned long long>(unlogged_lost_));
  }

  // Commits of one thread, by number.
  struct ThreadKnown {
    uint64_t acknowledged = 0;  // the newest
    uint64_t promised = 0;      // the newest that has to be there
    uint64_t flushed = 0;       // the newest whose part without a log has to be there
  };

  const ProcessBaseline baseline_;
  TempDirectory directory_;
  std::array<ThreadKnown, kThreads> known_{};
  uint64_t copies_ = 0;
  uint64_t kills_ = 0;
  uint64_t kills_at_sync_points_ = 0;
  uint64_t kills_unheard_ = 0;
  uint64_t buffered_lost_ = 0;
  uint64_t unlogged_lost_ = 0;
  bool at_sync_point_ = false;  // the last one
};

TEST_F(CrashTest, killed_at_random_times_keeps_everything_acknowledged) {
  VARVE_SEEDED_TEST(random);
  const uint64_t rounds = test_iterations(8);
  for (uint64_t round = 0; round < rounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    // Now and then so early that it dies while it recovers.
    const uint64_t acknowledgements = round % 4 == 3 ? 0 : 20 + random.below(600);
    run_writer({.choice = random.next()}, acknowledgements,
               std::chrono::microseconds(random.below(60'000)));
    if (HasFatalFailure()) return;
    check(/*on_a_copy=*/round % 2 == 0);
    if (HasFatalFailure()) return;
  }
  print();
  baseline_.expect_restored();
}

#if defined(VARVE_SYNC_POINTS)
TEST_F(CrashTest, killed_at_every_sync_point_keeps_everything_acknowledged) {
  VARVE_SEEDED_TEST(random);
  constexpr uint64_t kPlaceCount = std::size(kPlaces);
  const uint64_t rounds = std::max(test_iterations(kPlaceCount), kPlaceCount);
  std::array<uint64_t, kPlaceCount> reached{};
  for (uint64_t round = 0; round < rounds; ++round) {
    const Place& place = kPlaces[round % kPlaceCount];
    SCOPED_TRACE("round " + std::to_string(round) + ", " + place.name);
    // If it is not reached, the writer is killed anyway.
    run_writer({.choice = random.next(),
                .sync_point = place.name,
                .hits = 1 + random.below(place.hits_max)},
               2000);
    if (HasFatalFailure()) return;
    if (at_sync_point_) ++reached[round % kPlaceCount];
    check(/*on_a_copy=*/random.one_in(2));
    if (HasFatalFailure()) return;
  }
  print();
  for (uint64_t i = 0; i < kPlaceCount; ++i) {
    std::printf("  %-26s%6llu\n", kPlaces[i].name, static_cast<unsigned long long>(reached[i]));
    // One alone may be missed by a slow machine.
    if (rounds >= 5 * kPlaceCount) EXPECT_GT(reached[i], 0u) << kPlaces[i].name;
  }
  baseline_.expect_restored();
}
#endif

}  // namespace
}  // namespace varve::test
