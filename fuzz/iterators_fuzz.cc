// The stack below a cursor: the bytes write versions into memtables, flush them into runs of
// several files, merge neighbouring runs, take and release snapshots, raise the watermark, and walk
// cursors in any direction, across changes of what lies below them.
//
// Oracle: a model that keeps every version. What each snapshot, and any time at or above the
// watermark, sees of each key is unchanged by flushes and merges, also by those that memory is
// refused to in the middle, which change nothing and leave no file. A cursor stands where the model
// does after each seek, step, reset and change of its sources. Levels keep their invariants; files
// that no run names are gone once no cursor needs them; in the end nothing is held.

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/hash.h"
#include "base/manual_clock.h"
#include "fuzz/checked_walk.h"
#include "fuzz/database.h"
#include "fuzz/engine.h"
#include "lsm/levels.h"
#include "lsm/memtable.h"
#include "lsm/merge_cursor.h"
#include "lsm/run_cursor.h"
#include "lsm/run_writer.h"
#include "lsm/visible_cursor.h"

namespace varve::fuzz {
namespace {

constexpr size_t kOperationsMax = 250;
constexpr size_t kHeldMax = 4;  // snapshots, and cursors
constexpr size_t kImmutableMax = 3;

// Memtables, newest first, and levels, as a reader holds them.
class View {
 public:
  View(const std::deque<Memtable*>& memtables, Levels* levels)
      : memtables_(memtables.begin(), memtables.end()), levels_(levels) {
    for (Memtable* memtable : memtables_) memtable->ref();
    levels_->ref();
  }
  ~View() {
    for (Memtable* memtable : memtables_) memtable->unref();
    levels_->unref();
  }
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  const std::vector<Memtable*>& memtables() const { return memtables_; }
  const Levels& levels() const { return *levels_; }

 private:
  std::vector<Memtable*> memtables_;
  Levels* levels_;
};

// A cursor of its own view.
class ViewCursor {
 public:
  Status open(std::unique_ptr<View> view, Timestamp snapshot, std::string_view lower,
              std::string_view upper, bool fill_cache) {
    snapshot_ = snapshot;
    fill_cache_ = fill_cache;
    use(std::move(view));
    VARVE_RETURN_IF_ERROR(visible_.set_bounds(lower, upper));
    visible_.reset(&merge_, snapshot);
    return Status();
  }
  // Goes on over another view of the same data.
  void renew(std::unique_ptr<View> view) {
    // The sources go, and with them what they show.
    if (visible_.valid()) FUZZ_CHECK(visible_.keep_row());
    use(std::move(view));
    visible_.replace_source(&merge_);
  }
  VisibleCursor& visible() { return visible_; }

 private:
  void use(std::unique_ptr<View> view) {
    runs_.clear();
    memtables_.clear();
    view_ = std::move(view);
    std::vector<VersionCursor*> sources;
    for (Memtable* memtable : view_->memtables()) {
      memtables_.emplace_back().reset(memtable, snapshot_, /*all_versions=*/false);
      sources.push_back(&memtables_.back());
    }
    for (const Run& run : view_->levels().runs()) {
      runs_.emplace_back(&shared_memory()).reset(run.files, fill_cache_);
      sources.push_back(&runs_.back());
    }
    merge_.reset(sources);
  }

  std::unique_ptr<View> view_;
  Timestamp snapshot_;
  bool fill_cache_ = true;
  std::deque<MemtableCursor> memtables_;
  std::deque<RunCursor> runs_;
  MergeCursor merge_;
  VisibleCursor visible_{&shared_memory()};
};

class TreeHistory final : public FileNumberSource, public Sstable::Disposer {
 public:
  explicit TreeHistory(Input* input)
      : input_(input),
        files_(FileSystem::create_memory()),
        cache_(&shared_memory(), &shared_epochs(), uint64_t{1} << (9 + input->below(10))) {
    check_ok(files_->create_directory(kDirectory));
    options_ = {.file_system = files_.get(),
                .directory = kDirectory,
                .numbers = this,
                .memory = &shared_memory(),
                .clock = &clock_,
                .block_size = 64u << input->below(6),
                .filter_bits_per_key = input->below(12),
                .codec = input->flag() ? Compression::zstd : Compression::none,
                .file_size_max = uint64_t{256} << input->below(8)};
    begin_memtable();
  }

  ~TreeHistory() {
    cursors_.clear();
    for (Memtable* memtable : memtables_) memtable->unref();
    levels_->unref();
    cache_.release_idle();
  }

  void run() {
    for (size_t i = 0; i < kOperationsMax && !input_->empty(); ++i) step();
    check_views();
    cursors_.clear();
    cache_.release_idle();
    size_t named = 0;
    for (const Run& run : levels_->runs()) named += run.files.size();
    FUZZ_CHECK_SAYING(files_->list(kDirectory)->size() == named,
                      "files that no run names are left");
  }

  FileNumber next_file_number() override { return {++file_numbers_}; }
  void dispose(Sstable* sstable) override {
    const std::string path = sstable->path();
    sstable->destroy();
    check_ok(files_->remove(path));
  }

 private:
  struct HeldCursor {
    std::unique_ptr<ViewCursor> cursor;
    Timestamp time;
    CheckedWalk walk;
  };

  void step() {
    switch (input_->u8() % 20) {
      default:
        return write();
      case 5:
        return begin_memtable();
      case 6:
      case 7:
        return flush();
      case 8:
      case 9:
        return merge_runs();
      case 10:
        return take_snapshot();
      case 11:
        if (const uint8_t choice = input_->u8(); !snapshots_.empty()) {
          snapshots_.erase(snapshots_.begin() + choice % std::ssize(snapshots_));
        }
        return;
      case 12:
        return raise_watermark();
      case 13:
        return open_cursor();
      case 14:
      case 15:
      case 16:
        return walk_cursor();
      case 17:
        return renew_cursor();
      case 18:
        return reset_cursor();
      case 19:
        return check_views();
    }
  }

  // -- changes --

  void write() {
    ++time_.nanos;
    std::set<std::string> changed;
    for (uint32_t left = 1 + input_->below(8); left > 0; --left) {
      const std::string key = read_key(input_);
      const bool erases = input_->below(4) == 3;
      const std::string value = erases ? "" : read_value(input_, ++values_);
      if (!changed.insert(key).second) continue;
      Memtable* memtable = memtables_.front();
      FUZZ_CHECK(memtable->reserve(Memtable::entry_size(key.size(), value.size()), 1));
      memtable->apply(key, key_hash(key), time_,
                      erases ? VersionKind::tombstone : VersionKind::value, value);
      if (erases) {
        model_.erase(key, time_);
      } else {
        model_.put(key, time_, value);
      }
    }
  }

  void begin_memtable() {
    if (memtables_.size() > kImmutableMax) return;
    Memtable* memtable = Memtable::create(&shared_memory(), &shared_epochs(), 0, 64 << 10);
    FUZZ_CHECK(memtable != nullptr);
    memtables_.push_front(memtable);
  }

  // What a flush or merge writes; nothing if memory was refused to it.
  std::optional<std::vector<Levels::Addition>> write_sources(
      const std::vector<VersionCursor*>& sources, RunId id, bool bottom) {
    const std::set<Timestamp> readers = needed();
    const std::vector<Timestamp> snapshots(readers.begin(), readers.lower_bound(watermark_));
    collapsed_up_to_ = watermark_;
    MergeCursor merge;
    merge.reset(sources);
    const size_t files_before = files_->list(kDirectory)->size();
    const uint8_t refusal = input_->u8();
    if (refusal >= 0xe0) shared_memory().fail_allocation_after(1 + input_->u8());
    const Result<WrittenRun> run =
        write_run(&merge, {.watermark = watermark_, .snapshots = snapshots}, bottom, options_,
                  never_cancelled_);
    shared_memory().fail_allocation_after(0);
    if (!run.ok()) {
      FUZZ_CHECK_SAYING(refusal >= 0xe0 && run.status().code() == StatusCode::out_of_memory,
                        run.status().to_string());
      FUZZ_CHECK(files_->list(kDirectory)->size() == files_before);
      return std::nullopt;
    }
    std::vector<Levels::Addition> additions;
    for (const SstableInfo& info : run->files) {
      Result<Sstable*> sstable = Sstable::open(
          files_.get(), path_in(kDirectory, sstable_name(info.number)), &cache_, nullptr, info);
      check_ok(sstable.status());
      additions.push_back({.run = id, .sstable = *sstable});
    }
    return additions;
  }

  void install(const std::vector<FileNumber>& removed,
               const std::vector<Levels::Addition>& additions) {
    Levels* changed = Levels::apply(*levels_, removed, additions);
    check_ok(check_levels(*changed));
    for (const Run& run : levels_->runs()) {
      for (Sstable* file : run.files) {
        if (std::find(removed.begin(), removed.end(), file->info().number) != removed.end()) {
          file->mark_obsolete(this);
        }
      }
    }
    levels_->unref();
    levels_ = changed;
  }

  // All memtables but the active one into a new run.
  void flush() {
    if (memtables_.size() == 1) begin_memtable();
    std::deque<MemtableCursor> cursors;
    std::vector<VersionCursor*> sources;
    for (size_t i = 1; i < memtables_.size(); ++i) {
      cursors.emplace_back().reset(memtables_[i], kTimestampMax, /*all_versions=*/true);
      sources.push_back(&cursors.back());
    }
    const auto additions = write_sources(sources, {++run_ids_}, /*bottom=*/levels_->runs().empty());
    if (!additions) return;
    install({}, *additions);
    while (memtables_.size() > 1) {
      memtables_.back()->unref();
      memtables_.pop_back();
    }
  }

  // Some neighbours into the place of the newest of them.
  void merge_runs() {
    const std::span<const Run> runs = levels_->runs();
    const uint8_t choice = input_->u8();
    if (runs.empty()) return;
    const size_t first = choice % runs.size();
    const size_t last = first + (choice >> 4) % (runs.size() - first);
    std::deque<RunCursor> cursors;
    std::vector<VersionCursor*> sources;
    std::vector<FileNumber> removed;
    for (const Run& run : runs.subspan(first, last - first + 1)) {
      cursors.emplace_back(&shared_memory(), MemoryRole::compaction)
          .reset(run.files, /*fill_cache=*/false);
      sources.push_back(&cursors.back());
      for (const Sstable* file : run.files) removed.push_back(file->info().number);
    }
    const auto additions =
        write_sources(sources, runs[first].id, /*bottom=*/last + 1 == runs.size());
    cursors.clear();
    if (additions) install(removed, *additions);
  }

  // -- readers --

  // Times that somebody reads at.
  std::set<Timestamp> needed() const {
    std::set<Timestamp> times(snapshots_.begin(), snapshots_.end());
    for (const HeldCursor& held : cursors_) times.insert(held.time);
    return times;
  }
  // The watermark or later, or that of a snapshot.
  Timestamp read_time() {
    const uint8_t choice = input_->u8();
    if (choice < 0x60) return time_;
    if (choice >= 0xb0 && !snapshots_.empty()) return snapshots_[choice % snapshots_.size()];
    return {watermark_.nanos + choice % (time_.nanos - watermark_.nanos + 1)};
  }
  void take_snapshot() {
    const Timestamp time = read_time();
    if (snapshots_.size() < kHeldMax) snapshots_.push_back(time);
  }
  void raise_watermark() {
    watermark_.nanos += input_->u8() % (time_.nanos - watermark_.nanos + 1);
  }

  std::unique_ptr<View> view() const { return std::make_unique<View>(memtables_, levels_); }

  // How `cursor` begins again, and the walk that goes with it.
  CheckedWalk begin(ViewCursor* cursor, Timestamp time) {
    const uint8_t shape = input_->u8();
    const std::string lower = (shape & 1) != 0 ? read_key(input_) : "";
    const std::string upper = (shape & 2) != 0 ? read_key(input_) : "";
    check_ok(cursor->open(view(), time, lower, upper, (shape & 4) != 0));
    return CheckedWalk(model_.scan(lower, upper, time));
  }
  void open_cursor() {
    if (cursors_.size() >= kHeldMax) cursors_.pop_front();
    const Timestamp time = read_time();
    auto cursor = std::make_unique<ViewCursor>();
    CheckedWalk walk = begin(cursor.get(), time);
    cursors_.push_back({std::move(cursor), time, std::move(walk)});
  }
  HeldCursor* pick_cursor() {
    const uint8_t choice = input_->u8();
    return cursors_.empty() ? nullptr : &cursors_[choice % cursors_.size()];
  }
  void walk(HeldCursor* held) {
    const auto key = [this] { return read_key(input_); };
    for (uint32_t steps = 1 + input_->below(8); steps > 0; --steps) {
      held->walk.step(&held->cursor->visible(), input_, key, collapsed_up_to_);
    }
  }
  void walk_cursor() {
    if (HeldCursor* held = pick_cursor()) walk(held);
  }
  // In the middle of a walk.
  void renew_cursor() {
    HeldCursor* held = pick_cursor();
    if (held == nullptr) return;
    held->cursor->renew(view());
    held->walk.check(held->cursor->visible(), collapsed_up_to_);
    walk(held);
  }
  void reset_cursor() {
    HeldCursor* held = pick_cursor();
    if (held == nullptr) return;
    held->time = read_time();
    held->walk = begin(held->cursor.get(), held->time);
  }

  void check_views() {
    std::set<Timestamp> times = needed();
    times.insert(time_);
    times.insert(watermark_);
    times.insert({(watermark_.nanos + time_.nanos) / 2});
    ViewCursor cursor;
    for (const Timestamp time : times) {
      check_ok(cursor.open(view(), time, "", "", /*fill_cache=*/true));
      CheckedWalk(model_.scan("", "", time)).walk_through(&cursor.visible(), collapsed_up_to_);
    }
  }

  Input* const input_;
  const std::unique_ptr<FileSystem> files_;
  ManualClock clock_;
  BlockCache cache_;
  RunWriterOptions options_;
  const Atomic<bool> never_cancelled_{false};
  uint64_t file_numbers_ = 0;
  uint64_t run_ids_ = 0;
  uint64_t values_ = 0;
  std::deque<Memtable*> memtables_;  // newest first
  Levels* levels_ = Levels::create({});
  test::ModelKeyspace model_;
  Timestamp time_{1};
  Timestamp watermark_{1};
  Timestamp collapsed_up_to_;
  std::deque<Timestamp> snapshots_;
  std::deque<HeldCursor> cursors_;
};

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  {
    varve::fuzz::Input input(data, size);
    varve::fuzz::TreeHistory(&input).run();
  }
  varve::fuzz::shared_epochs().drain();
  varve::fuzz::check_nothing_held();
  return 0;
}
