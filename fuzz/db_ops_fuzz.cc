// A whole database: the bytes are options and operations on it: writes to several keyspaces, reads
// of every kind, snapshots, cursors and pinned values that are held while files and memtables
// change below, flushes, compactions, background steps, orderly ends and killed processes with
// other options after them.
//
// Oracle: a model that keeps every version. Each answer is the model's, whichever way it is asked
// for: get, multi_get, walks and seeks in both directions, history. What is held shows what it
// showed at first. A killed process loses a suffix of commits and none that was promised. verify()
// finds nothing; a closed database leaves no live byte, and in its directory what the manifest
// names.

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/checked_walk.h"
#include "fuzz/database_session.h"
#include "tests/support/hooked_files.h"

namespace varve::fuzz {
namespace {

constexpr size_t kOperationsMax = 300;
constexpr size_t kHeldMax = 4;  // of each kind

struct HeldSnapshot {
  Snapshot snapshot;
  Timestamp time;
};

struct HeldCursor {
  Cursor cursor;
  CheckedWalk walk;
};

struct HeldValue {
  PinnedValue pinned;
  std::string expected;
};

// A point in time to read at; no snapshot: now.
struct ReadPoint {
  const Snapshot* snapshot = nullptr;
  Timestamp time = kTimestampMax;
};

class History {
 public:
  explicit History(Input* input)
      : input_(input),
        disk_(FileSystem::create_memory()),
        files_(std::make_unique<test::KillableFiles>(disk_.get())),
        options_(surroundings_.read_options(input, files_.get())),
        session_(&surroundings_, options_) {}

  void run() {
    check_ok(session_.open(options_));
    for (size_t i = 0; i < kOperationsMax && !input_->empty(); ++i) step();
    check_everything();
    release_all();
    session_.close(files_.get());
    check_ok(session_.open(options_));
    session_.expect_all();
    check_everything();
    session_.close(files_.get());
  }

 private:
  Database& database() { return *session_.database(); }
  DatabaseModel& model() { return session_.model(); }

  void step() {
    switch (input_->u8() % 32) {
      case 0:
      case 1:
      case 2:
      case 3:
        return check_ok(session_.write_batch(input_));
      case 4:
      case 5:
        return check_ok(session_.write_one(input_));
      case 6:
      case 7:
        return check_get();
      case 8:
        return check_multi_get();
      case 9:
      case 10:
        return check_scan();
      case 11:
        return take_snapshot();
      case 12:
        return take_snapshot_of_the_past();
      case 13:
        return release_one(&snapshots_);
      case 14:
        return open_cursor();
      case 15:
      case 16:
      case 17:
        return walk_cursor();
      case 18:
        return reset_cursor();
      case 19:
        return hold_value();
      case 20:
        return check_history();
      case 21:
      case 22:
        return check_ok(session_.flush());
      case 23:
        return check_ok(session_.compact());
      case 24:
      case 25:
        surroundings_.executor().run_all(1 + input_->below(3));
        return;
      case 26:
        return upkeep();
      case 27:
        return check_ok(session_.create_keyspace(input_));
      case 28:
        return input_->below(4) == 0 ? check_ok(session_.drop_keyspace(input_)) : check_holders();
      case 29:
        return move_clock();
      case 30:
        return reopen();
      default:
        return kill_and_reopen();
    }
  }

  // -- opening and closing --

  void release_all() {
    cursors_.clear();
    snapshots_.clear();
    values_.clear();
  }
  void read_other_options() {
    files_ = std::make_unique<test::KillableFiles>(disk_.get());
    if (input_->flag()) {
      options_ = surroundings_.read_options(input_, files_.get());
    } else {
      surroundings_.use(files_.get(), &options_);
    }
  }
  void reopen() {
    release_all();
    session_.close(files_.get());
    read_other_options();
    check_ok(session_.open(options_));
    session_.expect_all();
    check_state();
  }
  void kill_and_reopen() {
    files_->kill();
    release_all();
    const uint64_t promised = session_.written();
    session_.abandon();
    read_other_options();
    check_ok(session_.open(options_));
    session_.find_out_what_is_left(promised);
  }

  void upkeep() {
    switch (input_->below(4)) {
      case 0:
        return check_ok(database().wait_for_background());
      case 1:
        return check_ok(database().verify().status());
      case 2:
        return look_at_watermarks();
      default:
        return release_all();
    }
  }

  // A deadline that passed: refused as long as something is held, and then all goes on.
  void check_holders() {
    const Statistics statistics = database().statistics();
    FUZZ_CHECK(statistics.cursors_open == cursors_.size());
    if (cursors_.empty() && snapshots_.empty() && values_.empty()) return;
    FUZZ_CHECK(database().close(std::chrono::nanoseconds(0)).code() == StatusCode::busy);
  }

  void move_clock() {
    const uint64_t nanos = uint64_t{input_->u16()} << (input_->below(3) * 8);
    if (input_->below(4) == 3) {  // the wall clock is set back
      surroundings_.clock().set_realtime(surroundings_.clock().realtime_nanos() - nanos);
    } else {
      surroundings_.clock().advance(nanos);
    }
  }

  // -- reads --

  ReadPoint read_point() {
    const uint8_t choice = input_->u8();
    if (snapshots_.empty() || (choice & 1) == 0) return {};
    const HeldSnapshot& held = snapshots_[(choice >> 1) % snapshots_.size()];
    return {.snapshot = &held.snapshot, .time = held.time};
  }

  Timestamp watermark_of(const KeyspaceModel& keyspace) {
    for (const KeyspaceStatistics& statistics : database().statistics().keyspaces) {
      if (statistics.keyspace == keyspace.id) return statistics.watermark;
    }
    FUZZ_CHECK_SAYING(false, keyspace.name);
  }

  void look_at_watermarks() {
    const Statistics statistics = database().statistics();
    const std::vector<size_t> living = model().living();
    FUZZ_CHECK(statistics.keyspaces.size() == living.size());
    for (size_t i = 0; i < living.size(); ++i) {
      const KeyspaceModel& keyspace = model().keyspace(living[i]);
      FUZZ_CHECK(statistics.keyspaces[i].name == keyspace.name);
      const uint64_t published = statistics.published.nanos;
      FUZZ_CHECK_SAYING(
          statistics.keyspaces[i].watermark.nanos <=
              (published > keyspace.retention_nanos ? published - keyspace.retention_nanos : 0),
          "history that was to be retained is gone");
    }
  }

  // False: the keyspace has forgotten what `point` wants to see, and may.
  bool is_readable(const KeyspaceModel& keyspace, const ReadPoint& point, const Status& status) {
    if (status.ok()) return true;
    FUZZ_CHECK_SAYING(status.code() == StatusCode::invalid_argument && point.snapshot != nullptr &&
                          point.time < watermark_of(keyspace),
                      status.to_string());
    return false;
  }

  void check_pinned(const KeyspaceModel& keyspace, const std::optional<PinnedValue>& found,
                    const test::ModelVersion* expected) {
    FUZZ_CHECK(found.has_value() == (expected != nullptr));
    if (expected == nullptr) return;
    FUZZ_CHECK(found->view() == *expected->value);
    FUZZ_CHECK(is_same_time(found->timestamp(), expected->timestamp, watermark_of(keyspace)));
  }

  void check_get() {
    const KeyspaceModel& keyspace = model().keyspace(session_.read_keyspace(input_));
    const ReadPoint point = read_point();
    const ReadOptions options{
        .keyspace = keyspace.id, .snapshot = point.snapshot, .fill_cache = input_->flag()};
    const std::string key = read_key(input_);
    const test::ModelVersion* expected = keyspace.rows.get(key, point.time);
    std::string value = "unset";
    const Result<bool> copied = database().get(key, &value, options);
    if (!is_readable(keyspace, point, copied.status())) return;
    FUZZ_CHECK(*copied == (expected != nullptr));
    FUZZ_CHECK(!*copied || value == *expected->value);
    Result<std::optional<PinnedValue>> pinned = database().get(key, options);
    check_ok(pinned.status());
    check_pinned(keyspace, *pinned, expected);
  }

  void check_multi_get() {
    const KeyspaceModel& keyspace = model().keyspace(session_.read_keyspace(input_));
    const ReadPoint point = read_point();
    std::vector<std::string> keys(1 + input_->below(8));
    for (std::string& key : keys) key = read_key(input_);
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<std::optional<PinnedValue>> values(keys.size());
    const Status status =
        database().multi_get(views, values, {.keyspace = keyspace.id, .snapshot = point.snapshot});
    if (!is_readable(keyspace, point, status)) return;
    for (size_t i = 0; i < keys.size(); ++i) {
      check_pinned(keyspace, values[i], keyspace.rows.get(keys[i], point.time));
    }
  }

  struct Range {
    std::string lower;
    std::string upper;
    std::string prefix;
  };
  Range read_range() {
    Range range;
    const uint8_t shape = input_->u8();
    if ((shape & 1) != 0) range.lower = read_key(input_);
    if ((shape & 2) != 0) range.upper = read_key(input_);
    if ((shape & 12) == 12) range.prefix = read_key(input_).substr(0, 1 + (shape >> 4 & 3));
    return range;
  }
  static std::vector<test::ModelRow> rows_of(const KeyspaceModel& keyspace, const Range& range,
                                             Timestamp time) {
    std::vector<test::ModelRow> rows = keyspace.rows.scan(range.lower, range.upper, time);
    std::erase_if(rows,
                  [&](const test::ModelRow& row) { return !row.key.starts_with(range.prefix); });
    return rows;
  }
  ScanOptions scan_options(const KeyspaceModel& keyspace, const Range& range,
                           const ReadPoint& point) {
    return {.keyspace = keyspace.id,
            .snapshot = point.snapshot,
            .lower = range.lower,
            .upper = range.upper,
            .prefix = range.prefix,
            .fill_cache = input_->flag()};
  }

  void check_scan() {
    const KeyspaceModel& keyspace = model().keyspace(session_.read_keyspace(input_));
    const Range range = read_range();
    const ReadPoint point = read_point();
    Result<Cursor> cursor = database().scan(scan_options(keyspace, range, point));
    if (!is_readable(keyspace, point, cursor.status())) return;
    const Timestamp watermark = watermark_of(keyspace);
    CheckedWalk walk(rows_of(keyspace, range, point.time));
    walk.walk_through(&*cursor, watermark);
    const auto key = [this] { return read_key(input_); };
    for (uint32_t steps = input_->below(12); steps > 0; --steps) {
      walk.step(&*cursor, input_, key, watermark);
    }
  }

  void check_state() {
    for (const size_t i : model().living()) {
      const KeyspaceModel& keyspace = model().keyspace(i);
      check_all_rows(keyspace, {});
      for (const HeldSnapshot& held : snapshots_) {
        check_all_rows(keyspace, {.snapshot = &held.snapshot, .time = held.time});
      }
    }
  }
  void check_all_rows(const KeyspaceModel& keyspace, const ReadPoint& point) {
    Result<Cursor> cursor = database().scan({.keyspace = keyspace.id, .snapshot = point.snapshot});
    if (!is_readable(keyspace, point, cursor.status())) return;
    CheckedWalk(keyspace.rows.scan("", "", point.time))
        .walk_through(&*cursor, watermark_of(keyspace));
  }
  void check_everything() {
    check_ok(database().verify().status());
    look_at_watermarks();
    check_state();
    check_values();
  }

  void check_history() {
    const KeyspaceModel& keyspace = model().keyspace(session_.read_keyspace(input_));
    const std::string key = read_key(input_);
    const Result<std::vector<HistoryEntry>> history =
        database().history(key, SIZE_MAX, keyspace.id);
    check_ok(history.status());
    const auto known = keyspace.rows.versions().find(key);
    const std::vector<test::ModelVersion> versions =
        known == keyspace.rows.versions().end() ? std::vector<test::ModelVersion>{} : known->second;
    const Timestamp watermark = watermark_of(keyspace);
    Timestamp newer = kTimestampMax;
    for (const HistoryEntry& entry : *history) {
      FUZZ_CHECK_SAYING(entry.timestamp < newer, "newest first");
      newer = entry.timestamp;
      FUZZ_CHECK_SAYING(std::any_of(versions.begin(), versions.end(),
                                    [&](const test::ModelVersion& version) {
                                      const bool is_collapsed = entry.timestamp == kTimestampMin;
                                      return version.value.has_value() != entry.erased &&
                                             version.value.value_or("") == entry.value &&
                                             (is_collapsed
                                                  ? version.timestamp <= entry.at_or_before &&
                                                        entry.at_or_before <= watermark
                                                  : version.timestamp == entry.timestamp &&
                                                        entry.at_or_before == entry.timestamp);
                                    }),
                        "nobody wrote this version");
    }
    // Nobody can tell whether a death of the process took an erase that changed nothing.
    int64_t retained = 0;
    bool was_there = false;
    for (const test::ModelVersion& version : versions) {
      const bool changes = version.value.has_value() || was_there;
      retained += changes && version.timestamp > watermark;
      was_there = version.value.has_value();
    }
    FUZZ_CHECK(std::ssize(*history) >= retained);
  }

  // -- what is held for a while --

  template <typename Held>
  void release_one(std::deque<Held>* held) {
    const uint8_t choice = input_->u8();
    if (!held->empty()) held->erase(held->begin() + choice % std::ssize(*held));
  }

  void take_snapshot() {
    if (snapshots_.size() >= kHeldMax) return;
    Result<Snapshot> snapshot = database().snapshot();
    check_ok(snapshot.status());
    const Timestamp time = snapshot->timestamp();
    FUZZ_CHECK(time >= model().last_time());
    snapshots_.push_back({std::move(*snapshot), time});
  }

  void take_snapshot_of_the_past() {
    const uint64_t published = database().statistics().published.nanos;
    const uint64_t now = std::max(surroundings_.clock().realtime_nanos(), published);
    uint64_t time = 0;
    const uint8_t choice = input_->u8();
    const bool is_future = choice == 0xff;
    if (is_future) {
      time = now + 1 + input_->u16();
    } else if (choice >= 0xe0) {  // later than any commit, and not in the future
      time = published + (now - published) / (1 + input_->u8());
    } else if (model().events() != 0) {
      time = model().time_of(1 + choice % model().events()).nanos;
      time += choice / 64;
      time = std::min(time - 1, published);
    }
    if (snapshots_.size() >= kHeldMax && !is_future) return;
    Result<Snapshot> snapshot = database().snapshot_at({time});
    if (!snapshot.ok()) {
      FUZZ_CHECK(snapshot.status().code() == StatusCode::invalid_argument);
      const std::vector<size_t> living = model().living();
      FUZZ_CHECK_SAYING(
          is_future ||
              std::all_of(living.begin(), living.end(),
                          [&](size_t i) { return time < watermark_of(model().keyspace(i)).nanos; }),
          snapshot.status().to_string());
      return;
    }
    FUZZ_CHECK(!is_future && snapshot->timestamp().nanos == time);
    snapshots_.push_back({std::move(*snapshot), {time}});
  }

  void open_cursor() {
    if (cursors_.size() >= kHeldMax) return;
    const KeyspaceModel& keyspace = model().keyspace(session_.read_keyspace(input_));
    const Range range = read_range();
    const ReadPoint point = read_point();
    Result<Cursor> cursor = database().scan(scan_options(keyspace, range, point));
    if (!is_readable(keyspace, point, cursor.status())) return;
    cursors_.push_back({std::move(*cursor), CheckedWalk(rows_of(keyspace, range, point.time))});
  }

  // Its keyspace may be gone by now, and its rows may have lost their timestamps.
  void walk_cursor() {
    const uint8_t choice = input_->u8();
    if (cursors_.empty()) return;
    HeldCursor& held = cursors_[choice % cursors_.size()];
    if (choice >= 0xf0) return release_one(&cursors_);
    const auto key = [this] { return read_key(input_); };
    for (uint32_t steps = 1 + (choice >> 4); steps > 0; --steps) {
      held.walk.step(&held.cursor, input_, key, kTimestampMax);
    }
  }

  void reset_cursor() {
    const uint8_t choice = input_->u8();
    const KeyspaceModel& keyspace = model().keyspace(session_.read_keyspace(input_));
    const Range range = read_range();
    const ReadPoint point = read_point();
    if (cursors_.empty()) return;
    HeldCursor& held = cursors_[choice % cursors_.size()];
    const Status status = held.cursor.reset(scan_options(keyspace, range, point));
    if (is_readable(keyspace, point, status)) {
      held.walk = CheckedWalk(rows_of(keyspace, range, point.time));
    } else {
      cursors_.erase(cursors_.begin() + choice % std::ssize(cursors_));
    }
  }

  void check_values() {
    for (const HeldValue& held : values_) FUZZ_CHECK(held.pinned.view() == held.expected);
  }
  void hold_value() {
    check_values();
    const KeyspaceModel& keyspace = model().keyspace(session_.read_keyspace(input_));
    const std::string key = read_key(input_);
    Result<std::optional<PinnedValue>> pinned =
        database().get(key, ReadOptions{.keyspace = keyspace.id});
    check_ok(pinned.status());
    const test::ModelVersion* expected = keyspace.rows.get(key, kTimestampMax);
    check_pinned(keyspace, *pinned, expected);
    if (expected == nullptr) return;
    if (values_.size() >= kHeldMax) values_.pop_front();
    values_.push_back({std::move(**pinned), *expected->value});
  }

  Input* const input_;
  const std::unique_ptr<FileSystem> disk_;
  std::unique_ptr<test::KillableFiles> files_;
  Surroundings surroundings_;
  Options options_;
  DatabaseSession session_;
  std::deque<HeldSnapshot> snapshots_;
  std::deque<HeldCursor> cursors_;
  std::deque<HeldValue> values_;
};

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::Input input(data, size);
  varve::fuzz::History(&input).run();
  varve::fuzz::check_no_batch_held();
  return 0;
}
