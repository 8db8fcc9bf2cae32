// Opening: from what lies in the directory to a store that serves. Nothing else opens a database.
//
//   1. lock the directory; see what is there
//   2. CURRENT -> manifest -> keyspaces and their sstables
//   3. log -> memtables, and sstables where it is more than memory may hold; decide where the log
//      ends (lsm/wal_reader.h)
//   4. make what was recovered durable again
//   5. begin a new manifest, then a new log segment: what was recovered is never appended to
//   6. remove what nothing names
//
// Nothing that was committed is changed before step 5, and step 5 only adds; so a failed opening,
// or a crash anywhere in it, leaves what was there: no manifest names the sstables of step 3 yet.

#include <algorithm>
#include <set>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sync_point.h"
#include "base/thread.h"
#include "lsm/batch_format.h"
#include "lsm/current_file.h"
#include "lsm/store.h"
#include "lsm/wal_reader.h"

namespace varve {

namespace {

// Less reserved space is not worth a system call.
constexpr uint64_t kLogTrimMin = 64 * 1024;
// How long a replay waits for memory that others are about to give back, and between two looks.
constexpr uint64_t kReplayPatienceNanos = 10'000'000'000;
constexpr uint64_t kReplayStepNanos = 2'000'000;

}  // namespace

struct Store::Recovered {
  std::vector<std::string> names;  // all in the directory
  std::vector<FileNumber> segments;
  FileNumber highest;  // number of any file
  bool fresh = false;  // there was no database
  ManifestState state;
  std::vector<WalWriter::Inherited> kept;
  Lsn end;
  Lsn replay_from;
  Lsn attested;              // up to there log or manifest say that it was synced
  Timestamp newest;          // timestamp of any commit
  Timestamp replayed;        // of the last commit read from the log
  std::set<uint64_t> named;  // numbers of sstables that the manifest ever named
  bool clean = false;
};

Status Store::recover() {
  Recovered found;
  VARVE_RETURN_IF_ERROR(read_directory(&found));
  VARVE_RETURN_IF_ERROR(open_trees(&found));
  VARVE_RETURN_IF_ERROR(remove_value_debris(found));
  {
    MutexLock lock(mutex_);
    next_file_ = std::max(found.state.next_file.value, found.highest.value + 1);
  }

  Timestamp last = std::max({found.newest, found.state.last_timestamp, found.state.lease});
  // The oracle exists before the log is replayed: memtables need none, the horizon does.
  oracle_ = std::make_unique<TimestampOracle>(options_.clock, last, last);
  snapshots_ = std::make_unique<SnapshotRegistry>(oracle_->published_cell());
  VARVE_RETURN_IF_ERROR(replay_log(&found));
  if (found.newest > last) {
    oracle_->advance_to(found.newest);
    oracle_->publish(found.newest);
    last = found.newest;
  }
  VARVE_SYNC_POINT("recovery_log_replayed");
  VARVE_RETURN_IF_ERROR(sync_recovered_log(found));

  const FileNumber manifest_number = next_file_number();
  {
    MutexLock lock(manifest_mutex_);
    state_ = found.state;
    state_charge_.set(state_.memory_bytes);
    state_.next_file = FileNumber{manifest_number.value + 1};
    VARVE_ASSIGN_OR_RETURN(manifest_, ManifestWriter::create(&pooled_files_, options_.directory,
                                                             manifest_number, state_));
  }
  VARVE_SYNC_POINT("recovery_manifest_written");
  // Segments beyond the log's end go before the next one is begun: it must not seem to attest them.
  remove_unused_files(found);
  VARVE_RETURN_IF_ERROR(options_.file_system->sync_directory(options_.directory));
  if (Status status = trim_log(&found); !status.ok()) {
    log_line(options_.logger, LogLevel::warning, "reserved space of the log is not given back: %s",
             status.to_string().c_str());
  }
  wal_ = std::make_unique<WalWriter>(WalWriterOptions{.file_system = &pooled_files_,
                                                      .directory = options_.directory,
                                                      .database = found.state.database,
                                                      .memory = &memory_,
                                                      .numbers = this,
                                                      .segment_size = options_.log_segment_size});
  VARVE_RETURN_IF_ERROR(wal_->start(found.kept, found.end));
  keep_spare_memtable();
  VARVE_RETURN_IF_ERROR(release_log());
  {
    MutexLock lock(mutex_);
    update_runs_most();
  }
  log_line(options_.logger, LogLevel::info,
           "opened: %zu keyspaces, log of %zu segments up to LSN %llu%s, memory budget %llu bytes",
           found.state.keyspaces.size(), found.kept.size(),
           static_cast<unsigned long long>(found.end.value),
           found.fresh   ? ", new"
           : found.clean ? ", closed cleanly"
                         : ", recovered",
           static_cast<unsigned long long>(options_.memory_budget));
  return Status();
}

Status Store::claim_directory() {
  FileSystem* files = options_.file_system;
  const std::string& directory = options_.directory;
  Result<FileInfo> info = files->info(directory);
  if (!info.ok() && info.status().code() == StatusCode::not_found) {
    if (!options_.user.create_if_missing) {
      return Status::not_found(directory + ": no such directory, and create_if_missing is false");
    }
    VARVE_RETURN_IF_ERROR(files->create_directory(directory));
  } else if (!info.ok()) {
    return std::move(info).status();
  } else if (!info->is_directory) {
    return Status::invalid_argument(directory + ": not a directory");
  }
  // Nothing is put into a directory that is somebody else's, or that must not become a database.
  const bool exists = files->info(path_in(directory, kCurrentName)).ok();
  if (!exists) {
    VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, files->list(directory));
    for (const std::string& name : names) {
      if (parse_file_name(name).type == FileType::foreign) {
        return Status::invalid_argument(directory +
                                        ": not a database, and not empty: " + readable(name));
      }
    }
    if (!options_.user.create_if_missing) {
      return Status::not_found(directory + ": no database, and create_if_missing is false");
    }
  }
  VARVE_ASSIGN_OR_RETURN(lock_, files->lock(path_in(directory, kLockName)));
  return Status();
}

Status Store::read_directory(Recovered* found) {
  // What is looked at before the lock may be changed by an owner that is just closing.
  VARVE_RETURN_IF_ERROR(claim_directory());
  FileSystem* files = options_.file_system;
  const std::string& directory = options_.directory;
  VARVE_ASSIGN_OR_RETURN(found->names, files->list(directory));
  bool data_files = false;
  for (const std::string& name : found->names) {
    const FileName parsed = parse_file_name(name);
    found->highest = std::max(found->highest, parsed.number);
    if (parsed.type == FileType::wal) found->segments.push_back(parsed.number);
    data_files |= parsed.type == FileType::wal || parsed.type == FileType::sstable;
  }
  std::sort(found->segments.begin(), found->segments.end());

  Result<CurrentManifest> current = read_current(files, directory);
  if (!current.ok() && current.status().code() != StatusCode::not_found) {
    return std::move(current).status();
  }
  found->fresh = !current.ok();
  if (found->fresh && data_files) {
    return Status::corruption(path_in(directory, kCurrentName) +
                              ": missing, but there are sstables or log segments");
  }
  if (!found->fresh && options_.user.error_if_exists) {
    return Status::already_exists(directory + ": a database, and error_if_exists is set");
  }
  if (options_.logger == nullptr) {
    VARVE_ASSIGN_OR_RETURN(own_logger_,
                           open_file_logger(files, options_.clock, path_in(directory, kLogName)));
    options_.logger = own_logger_.get();
  }
  value_files_.set_logger(options_.logger);
  if (found->fresh) return sync_parent();
  const std::string path = path_in(directory, manifest_name(current->number));
  Result<ManifestState> state =
      read_manifest(files, path, &current->file, [found](uint64_t, const LevelsEdit& edit) {
        for (const AddedFile& added : edit.added) found->named.insert(added.info.number.value);
      });
  if (!state.ok()) {
    if (state.status().code() != StatusCode::not_found) return std::move(state).status();
    return Status::corruption(path + ": named by CURRENT, but missing");
  }
  found->state = std::move(*state);
  if (!found->state.keyspaces.contains(kDefaultKeyspace.id)) {
    return Status::corruption(path + ": there is no default keyspace");
  }
  Keyspace& next = found->state.next_keyspace;
  next = std::max(next, Keyspace{found->state.keyspaces.rbegin()->first + 1});
  return remove_debris(*found, current->number);
}

// Removes what no state of the manifest ever named: what was cut short may fill the disk, and then
// nothing could be written to go on. Files that it named once may still be needed, until the state
// that lacks them is durable: see remove_unused_files().
Status Store::remove_debris(const Recovered& found, FileNumber manifest) {
  bool current_durable = false;
  for (const std::string& name : found.names) {
    const FileName parsed = parse_file_name(name);
    const bool debris =
        parsed.type == FileType::free_wal || parsed.type == FileType::temporary ||
        (parsed.type == FileType::manifest && parsed.number != manifest) ||
        (parsed.type == FileType::sstable && !found.named.contains(parsed.number.value));
    if (!debris) continue;
    if (!current_durable) {
      // A process that was killed may have renamed CURRENT, and no more. Should that be lost, the
      // manifest which it named before must be there.
      VARVE_RETURN_IF_ERROR(options_.file_system->sync_directory(options_.directory));
      current_durable = true;
    }
    remove_unused(name);
  }
  return Status();
}

// The same for files of values, which sstables name: those in force are open. What is left of the
// others has named them too, and may come back.
Status Store::remove_value_debris(const Recovered& found) {
  std::set<uint64_t> named;
  bool any = false;
  for (const std::string& name : found.names) {
    const FileName parsed = parse_file_name(name);
    any |= parsed.type == FileType::values && !value_files_.is_open(parsed.number);
  }
  if (!any) return Status();
  for (const std::string& name : found.names) {
    const FileName parsed = parse_file_name(name);
    if (parsed.type != FileType::sstable) continue;
    const Result<Sstable*> sstable =
        Sstable::open_unknown(&pooled_files_, path_in(options_.directory, name), &cache_);
    if (sstable.status().code() == StatusCode::not_found) continue;
    if (!sstable.ok()) return Status();  // all of them stay, until the new manifest is there
    for (const ValueUse& use : (*sstable)->properties().values) named.insert(use.file.number.value);
    (*sstable)->unref();
  }
  VARVE_RETURN_IF_ERROR(options_.file_system->sync_directory(options_.directory));
  for (const std::string& name : found.names) {
    const FileName parsed = parse_file_name(name);
    if (parsed.type == FileType::values && !named.contains(parsed.number.value))
      remove_unused(name);
  }
  return Status();
}

void Store::remove_unused(const std::string& name) {
  const Status status = options_.file_system->remove(path_in(options_.directory, name));
  if (status.ok() || status.code() == StatusCode::not_found) return;
  log_line(options_.logger, LogLevel::warning, "an unused file stays: %s",
           status.to_string().c_str());
}

// Makes the name of a new database's directory durable.
Status Store::sync_parent() {
  const std::string& directory = options_.directory;
  const size_t slash = directory.rfind('/');
  const std::string parent = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : directory.substr(0, slash);
  Status status = options_.file_system->sync_directory(parent);
  // A file system in memory need not have one.
  return status.code() == StatusCode::not_found ? Status() : status;
}

Status Store::open_trees(Recovered* found) {
  if (found->fresh) {
    found->state.database = random_file_id();
    found->state.keyspaces[kDefaultKeyspace.id].name = "default";
  }
  for (const auto& [id, keyspace] : found->state.keyspaces) {
    std::map<RunId, Run, std::greater<>> runs;
    Status status;
    for (const auto& [number, file] : keyspace.files) {
      const std::string path = path_in(options_.directory, sstable_name(file.info.number));
      Result<Sstable*> sstable =
          Sstable::open(&pooled_files_, path, &cache_, &value_files_, file.info);
      if (!sstable.ok()) {
        status = std::move(sstable).status();
        if (status.code() == StatusCode::not_found) {
          status = Status::corruption(path + ": named by the manifest, but missing");
        }
        break;
      }
      Run& run = runs[file.run];
      run.id = file.run;
      run.files.push_back(*sstable);
      found->newest = std::max(found->newest, file.info.timestamp_max);
    }
    std::vector<Run> ordered;
    for (auto& [run_id, run] : runs) {
      std::sort(run.files.begin(), run.files.end(), [](const Sstable* a, const Sstable* b) {
        return a->info().smallest_key < b->info().smallest_key;
      });
      ordered.push_back(std::move(run));
    }
    Levels* levels = Levels::create(std::move(ordered));
    if (status.ok()) status = check_levels(*levels);
    if (!status.ok()) {
      levels->unref();
      return status;
    }
    VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Tree> made,
                           make_tree(Keyspace{id}, keyspace.name, keyspace.options, levels));
    Tree* tree = add_tree(std::move(made));
    tree->watermark.store(keyspace.watermark.nanos);
  }
  return Status();
}

Status Store::replay_log(Recovered* found) {
  MutexLock one_at_a_time(engine_memory_->replay_mutex());
  WalReader reader(options_.file_system, options_.directory, &memory_, &found->state.database);
  found->replay_from = found->state.log_start;
  VARVE_RETURN_IF_ERROR(reader.open(found->segments, found->replay_from));
  // What the manifest says of the log was synced before it said so. As it was read: what is flushed
  // below is of a log that may not be on disk.
  Lsn durable = std::max(found->state.log_start, found->state.log_end);
  for (const auto& [id, keyspace] : found->state.keyspaces) {
    durable = std::max(durable, keyspace.flushed);
  }
  found->attested = durable;
  for (;;) {
    WalGroup group;
    VARVE_ASSIGN_OR_RETURN(const bool more, reader.next(&group));
    if (!more) break;
    found->attested = std::max(found->attested, group.header.durable);
    VARVE_RETURN_IF_ERROR(replay_group(group, found));
    // Only between groups: what is flushed of a keyspace ends where a group does.
    while (active_bytes_.load() >= options_.write_buffer_size) {
      VARVE_RETURN_IF_ERROR(flush_replayed(found));
    }
    VARVE_RETURN_IF_ERROR(make_room_for_replay(found));
  }
  for (const WalReader::UsedSegment& segment : reader.used()) {
    found->kept.push_back(
        {.number = segment.number, .start = segment.start, .end = segment.end, .disk_bytes = 0});
  }
  found->end = reader.end();
  if (found->end < durable) {
    std::string where = options_.directory;
    if (!found->kept.empty()) {
      const WalWriter::Inherited& last = found->kept.back();
      where = format(
          "%s at offset %llu", path_in(where, wal_name(last.number)).c_str(),
          static_cast<unsigned long long>(kWalHeaderSize + found->end.value - last.start.value));
    }
    return Status::corruption(
        format("%s: the log ends at LSN %llu, but the manifest knows it durable up to %llu",
               where.c_str(), static_cast<unsigned long long>(found->end.value),
               static_cast<unsigned long long>(durable.value)));
  }
  found->clean = reader.clean();
  return Status();
}

Status Store::replay_group(const WalGroup& group, Recovered* found) {
  const auto bad = [&](const char* what) {
    return Status::corruption(format("%s at offset %llu: %s",
                                     path_in(options_.directory, wal_name(group.segment)).c_str(),
                                     static_cast<unsigned long long>(group.offset), what));
  };
  WalCommitReader commits(group.header, group.payload);
  WalCommit commit;
  while (commits.next(&commit)) {
    if (commit.timestamp <= found->replayed) return bad("timestamps do not rise");
    found->replayed = commit.timestamp;
    found->newest = std::max(found->newest, commit.timestamp);
    BatchReader entries(commit.batch);
    BatchEntry entry;
    while (entries.next(&entry)) {
      if (entry.keyspace >= found->state.next_keyspace) return bad("an unknown keyspace");
      Tree* tree = this->tree(entry.keyspace);
      if (tree == nullptr) continue;  // dropped later
      const Lsn flushed = found->state.keyspaces[entry.keyspace.id].flushed;
      if (group.start < flushed) continue;  // in an sstable
      Memtable* memtable = tree->active;
      const size_t size = Memtable::entry_size(entry.key.size(), entry.value.size());
      // Nothing of ours can be flushed within a group, but what others hold can.
      for (uint64_t since = 0; !memtable->reserve(size, 1);) {
        const uint64_t now = Clock::system()->monotonic_nanos();
        if (since == 0) since = now;
        if (!engine_memory_->others_hold_memtables(memtable_bytes()) ||
            now - since > kReplayPatienceNanos) {
          return Status::out_of_memory("no memory to replay the log");
        }
        static_cast<void>(engine_memory_->shed_worthwhile());
        pause_for(kReplayStepNanos);
      }
      const uint64_t hash = key_hash(entry.key);
      if (memtable->has_at(entry.key, hash, commit.timestamp)) return bad("a key occurs twice");
      memtable->cover_log(group.start, group.end);
      memtable->apply(entry.key, hash, commit.timestamp, entry.kind, entry.value);
      commit_account(tree);
    }
    if (!entries.ok()) return bad("a batch is malformed");
  }
  return commits.ok() ? Status() : bad("a group's commits are malformed");
}

// Databases that are opened beside others, each with much in its log, would fill the budget with
// memtables that nobody flushes, since none is full.
Status Store::make_room_for_replay(Recovered* found) {
  if (!engine_memory_->memtables_are_excessive(memtable_bytes(), 0)) return Status();
  static_cast<void>(engine_memory_->shed_worthwhile());  // theirs, in the background
  return active_bytes_.load() < options_.write_buffer_size / 8 ? Status() : flush_replayed(found);
}

// Writes the largest memtable. What it changes goes into the state that the new manifest begins
// with; that is written after the log was synced (protocol 13).
Status Store::flush_replayed(Recovered* found) {
  Tree* tree = largest_active();
  const LevelsRef current(levels_of(tree));
  VARVE_ASSIGN_OR_RETURN(Change change, write_sstables(tree, {tree->active}, RunId{tree->next_run},
                                                       /*bottom=*/current->runs().empty()));
  Memtable* fresh = new_memtable(tree->active->keys());
  if (fresh == nullptr) {
    for (const Levels::Addition& addition : change.added) addition.sstable->unref();
    return Status::out_of_memory("no memory for a memtable");
  }
  ++tree->next_run;
  VARVE_RETURN_IF_ERROR(found->state.apply(change.edit));
  Levels* levels = Levels::apply(*current, {}, change.added);
  ReadView* old;
  {
    MutexLock lock(mutex_);
    old = publish_view(tree, ReadView::create({fresh}, levels));
    tree->active = fresh;
  }
  commit_account(tree);
  old->retire(&epochs_);
  epochs_.drain();
  return check_levels(*levels);
}

// After a sync that failed, in the process before, the system may show what it will never write:
// pages count as clean, and another sync does nothing for them. So what nothing says was synced is
// written again, in its place: headers of segments, and groups, each once its checksum was seen to
// hold.
Status Store::write_log_again(const Recovered& found) {
  const bool header_only = !found.kept.empty() && found.kept.back().end == found.kept.back().start;
  if (found.attested >= found.end && !header_only) return Status();
  MutexLock one_at_a_time(engine_memory_->replay_mutex());
  WalReader reader(options_.file_system, options_.directory, &memory_, &found.state.database);
  VARVE_RETURN_IF_ERROR(reader.open(found.segments, found.replay_from));
  FileNumber number;
  std::unique_ptr<File> file;
  const auto change_to = [&](FileNumber wanted) -> Status {
    if (file != nullptr && wanted == number) return Status();
    const std::string path = path_in(options_.directory, wal_name(wanted));
    VARVE_ASSIGN_OR_RETURN(file, options_.file_system->open(path, OpenMode::read_write));
    number = wanted;
    return Status();
  };
  for (WalGroup group;;) {
    VARVE_ASSIGN_OR_RETURN(const bool more, reader.next(&group));
    if (!more) break;
    if (group.end <= found.attested) continue;
    VARVE_RETURN_IF_ERROR(change_to(group.segment));
    const std::string_view bytes(group.payload.data() - kWalGroupHeaderSize,
                                 kWalGroupHeaderSize + group.payload.size());
    VARVE_RETURN_IF_ERROR(file->write(group.offset, bytes));
  }
  if (reader.end() != found.end) {
    return Status::io_error(format("%s: the log was read to LSN %llu, and then to %llu",
                                   options_.directory.c_str(),
                                   static_cast<unsigned long long>(found.end.value),
                                   static_cast<unsigned long long>(reader.end().value)));
  }
  for (const WalSegmentInfo& segment : reader.segments()) {
    const auto is_it = [&](const WalWriter::Inherited& kept) {
      return kept.number == segment.number;
    };
    // The header of others was synced with what comes behind it.
    if (std::none_of(found.kept.begin(), found.kept.end(), is_it)) continue;
    if (segment.header.start < found.attested) continue;
    char header[kWalHeaderSize];
    encode_wal_segment_header(header, segment.header);
    VARVE_RETURN_IF_ERROR(change_to(segment.number));
    VARVE_RETURN_IF_ERROR(file->write(0, {header, sizeof header}));
  }
  return Status();
}

Status Store::sync_recovered_log(const Recovered& found) {
  VARVE_RETURN_IF_ERROR(write_log_again(found));
  for (const WalWriter::Inherited& segment : found.kept) {
    VARVE_ASSIGN_OR_RETURN(
        std::unique_ptr<File> file,
        options_.file_system->open(path_in(options_.directory, wal_name(segment.number)),
                                   OpenMode::read_write));
    VARVE_RETURN_IF_ERROR(file->sync());
    VARVE_RETURN_IF_ERROR(file->close());
  }
  return options_.file_system->sync_directory(options_.directory);
}

// Gives back what a writer that was killed had reserved, and what it had not finished.
Status Store::trim_log(Recovered* found) {
  for (WalWriter::Inherited& segment : found->kept) {
    const std::string path = path_in(options_.directory, wal_name(segment.number));
    const uint64_t used = kWalHeaderSize + segment.end.value - segment.start.value;
    VARVE_ASSIGN_OR_RETURN(const FileInfo info, options_.file_system->info(path));
    segment.disk_bytes = std::max(used, info.allocated_bytes);
    if (info.allocated_bytes < used + kLogTrimMin) continue;
    VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file,
                           options_.file_system->open(path, OpenMode::read_write));
    VARVE_RETURN_IF_ERROR(file->truncate(used));
    VARVE_RETURN_IF_ERROR(file->close());
    segment.disk_bytes = used;
  }
  return Status();
}

// Lets go of segments whose contents are in sstables, or that hold nothing.
Status Store::release_log() {
  const Lsn start = log_start_without(nullptr, {});
  if (wal_->segment_count() < 2 || wal_->oldest() >= start) return Status();
  // The segment where the log goes on first: see WalWriter::release_before().
  VARVE_RETURN_IF_ERROR(wal_->sync());
  MutexLock lock(manifest_mutex_);
  LevelsEdit edit;
  edit.log_start = start;
  Status status = append_to_manifest(edit);
  if (status.ok()) status = wal_->release_before(start);
  if (status.ok() || failed_.load()) return status;
  // Flushes will do it.
  log_line(options_.logger, LogLevel::warning, "old log segments stay: %s",
           status.to_string().c_str());
  return Status();
}

void Store::remove_unused_files(const Recovered& found) {
  const auto needed = [&](const FileName& name) {
    switch (name.type) {
      case FileType::sstable:
        return std::any_of(found.state.keyspaces.begin(), found.state.keyspaces.end(),
                           [&](const auto& keyspace) {
                             return keyspace.second.files.contains(name.number.value);
                           });
      case FileType::values:
        return value_files_.is_open(name.number);  // as all sstables are that are in force
      case FileType::wal:
        return std::any_of(found.kept.begin(), found.kept.end(),
                           [&](const auto& segment) { return segment.number == name.number; });
      case FileType::manifest:
      case FileType::free_wal:
      case FileType::temporary:
        return false;
      default:
        return true;
    }
  };
  for (const std::string& name : found.names) {
    if (!needed(parse_file_name(name))) remove_unused(name);
  }
}

}  // namespace varve
