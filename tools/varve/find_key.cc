#include "tools/varve/find_key.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "base/format.h"
#include "lsm/batch_format.h"
#include "lsm/run_cursor.h"
#include "tools/varve/log_walk.h"

namespace varve::cli {

namespace {

constexpr uint64_t kCacheBytes = 16 << 20;
// A running owner that replaces files faster than they can be looked at.
constexpr int kAttemptsMax = 5;

using KeyspaceEntry = std::pair<const uint32_t, ManifestState::KeyspaceState>;

// Collects the entries of one key from the log, and what of the log cannot be read: the key may lie
// there.
class KeyInLog final : public LogVisitor {
 public:
  KeyInLog(const FindRequest& request, const KeyspaceEntry& keyspace,
           std::vector<VersionPlace>* places)
      : directory_(request.directory), key_(request.key), keyspace_(keyspace), places_(*places) {}

  // The first corruption.
  const Status& status() const { return status_; }

  void segment(const WalSegmentInfo& info) override { name_ = wal_name(info.number); }
  void segment_end(const LogSegmentEnd&) override {}
  void problem(const std::string& /*file*/, const Status& what) override {
    if (status_.ok()) status_ = what;
  }
  bool group(const WalGroup& group) override {
    if (group.header.kind != WalKind::commits) return true;
    WalCommitReader commits(group.header, group.payload);
    WalCommit commit;
    while (commits.next(&commit)) {
      BatchReader entries(commit.batch);
      BatchEntry entry;
      while (entries.next(&entry)) {
        if (entry.keyspace.id == keyspace_.first && entry.key == key_) {
          add(group, commit.timestamp, entry);
        }
      }
      if (!entries.ok()) unreadable(group, "a batch is malformed");
    }
    if (!commits.ok()) unreadable(group, "a group's commits are malformed");
    return true;
  }

 private:
  void unreadable(const WalGroup& group, const std::string& what) {
    problem(name_, Status::corruption(path_in(directory_, name_) + " at offset " +
                                      std::to_string(group.offset) + ": " + what));
  }

  void add(const WalGroup& group, Timestamp timestamp, const BatchEntry& entry) {
    VersionPlace place;
    const bool flushed = group.start < keyspace_.second.flushed;
    place.where = flushed ? VersionPlace::Where::log : VersionPlace::Where::memtable;
    place.file = name_;
    place.offset = group.offset;
    place.timestamp = timestamp;
    place.kind = entry.kind;
    place.value_bytes = entry.value.size();
    place.lsn = group.start;
    places_.push_back(std::move(place));
  }

  const std::string& directory_;
  const std::string_view key_;
  const KeyspaceEntry& keyspace_;
  std::vector<VersionPlace>& places_;
  std::string name_;
  Status status_;
};

// Sstables opened for the one look at them.
class SstableSearch {
 public:
  SstableSearch() : memory_(kCacheBytes), cache_(&memory_, &epochs_, kCacheBytes) {}

  // Appends the versions of `key` in `file`.
  Status search(const FindRequest& request, const AddedFile& file, uint64_t level,
                std::vector<VersionPlace>* places) {
    const std::string name = sstable_name(file.info.number);
    const Result<Sstable*> opened = Sstable::open(
        FileSystem::posix(), path_in(request.directory, name), &cache_, nullptr, file.info);
    if (!opened.ok()) return opened.status();
    const std::unique_ptr<Sstable, void (*)(Sstable*)> sstable(
        *opened, [](Sstable* each) { each->unref(); });
    Sstable* const run[] = {sstable.get()};
    RunCursor cursor(&memory_);
    cursor.reset(run, /*fill_cache=*/false);
    cursor.seek({request.key, kTimestampMax});
    for (; cursor.valid() && cursor.user_key() == request.key; cursor.next()) {
      VersionPlace place;
      place.where = VersionPlace::Where::sstable;
      place.file = name;
      place.timestamp = cursor.timestamp();
      place.kind = cursor.kind();
      place.value_bytes = cursor.value().size();
      ValuePointer pointer;
      if (place.kind == VersionKind::value_pointer &&
          decode_value_pointer(cursor.value(), &pointer)) {
        place.value_bytes = pointer.place.raw_size;
      }
      place.level = level;
      place.run = file.run.value;
      place.partition = cursor.partition_index();
      place.block = cursor.block_index();
      place.collapse_horizon = file.info.collapse_horizon;
      const Result<uint64_t> offset = block_offset(*sstable, place);
      if (!offset.ok()) return offset.status();
      place.offset = *offset;
      places->push_back(std::move(place));
    }
    return cursor.status();
  }

 private:
  static Result<uint64_t> block_offset(const Sstable& sstable, const VersionPlace& place) {
    const Result<FrameRef> partition = sstable.partition(place.partition, /*fill_cache=*/false);
    if (!partition.ok()) return partition.status();
    const Result<BlockHandle> handle = sstable.block_handle((*partition)->view, place.block);
    if (!handle.ok()) return handle.status();
    return handle->offset;
  }

  MemoryManager memory_;
  EpochDomain epochs_;
  BlockCache cache_;
};

// `*vanished`: an sstable is not there (any more), which is the error.
Status search_sstables(const FindRequest& request, const KeyspaceEntry& keyspace,
                       std::vector<VersionPlace>* places, bool* vanished) {
  std::set<RunId, std::greater<>> runs;  // newest first: the place is the level
  for (const auto& [number, file] : keyspace.second.files) runs.insert(file.run);
  SstableSearch search;
  for (const auto& [number, file] : keyspace.second.files) {
    if (request.key < file.info.smallest_key || request.key > file.info.largest_key) continue;
    const auto level = static_cast<uint64_t>(std::distance(runs.begin(), runs.find(file.run)));
    Status status = search.search(request, file, level, places);
    if (status.code() == StatusCode::not_found) {
      *vanished = true;
      return Status::corruption(path_in(request.directory, sstable_name(file.info.number)) +
                                ": named by the manifest, but missing");
    }
    if (!status.ok()) return status;
  }
  return Status();
}

// `*vanished`: a file that the manifest named was not there any more.
Result<std::vector<VersionPlace>> find_once(const FindRequest& request, bool* vanished) {
  *vanished = false;
  const Result<ManifestState> state = read_state(request.directory);
  if (!state.ok()) return state.status();
  const auto keyspace = std::find_if(
      state->keyspaces.begin(), state->keyspaces.end(),
      [&](const KeyspaceEntry& entry) { return entry.second.name == request.keyspace; });
  if (keyspace == state->keyspaces.end()) {
    return Status::not_found("no keyspace " + readable(request.keyspace));
  }
  std::vector<VersionPlace> places;
  KeyInLog log(request, *keyspace, &places);
  Status status = walk_log(request.directory, std::nullopt, &log);
  if (!status.ok()) return status;
  if (!log.status().ok()) return log.status();
  status = search_sstables(request, *keyspace, &places, vanished);
  if (!status.ok()) return status;
  return places;
}

}  // namespace

Result<std::vector<VersionPlace>> find_key(const FindRequest& request) {
  for (int attempt = 1;; ++attempt) {
    bool vanished = false;
    Result<std::vector<VersionPlace>> places = find_once(request, &vanished);
    if (vanished && attempt < kAttemptsMax) continue;
    if (!places.ok()) return places.status();
    std::sort(places->begin(), places->end(), [](const VersionPlace& a, const VersionPlace& b) {
      if (a.timestamp != b.timestamp) return a.timestamp > b.timestamp;
      return std::pair(a.where, a.level) < std::pair(b.where, b.level);
    });
    return places;
  }
}

}  // namespace varve::cli
