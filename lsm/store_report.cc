// What the store says of itself: statistics, their file for tools beside a running owner, and the
// verification of everything on disk.

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "lsm/batch_format.h"
#include "lsm/run_cursor.h"
#include "lsm/store.h"

namespace varve {

void Store::statistics(Statistics* s) {
  s->commits = counters_.commits.get();
  s->commit_groups = counters_.groups.get();
  s->entries_written = counters_.entries.get();
  s->user_bytes_written = counters_.user_bytes.get();
  s->log_bytes_written = wal_->bytes_written();
  s->log_syncs = wal_->syncs();
  s->flushes = counters_.flushes.get();
  s->flush_bytes_written = counters_.flush_bytes.get();
  s->compactions = counters_.compactions.get();
  s->compaction_bytes_read = counters_.compaction_bytes_in.get();
  s->compaction_bytes_written = counters_.compaction_bytes_out.get();
  s->compaction_entries_in = counters_.compaction_entries_in.get();
  s->compaction_entries_out = counters_.compaction_entries_out.get();
  s->spills = counters_.spills.get();
  s->spill_bytes_written = counters_.spill_bytes.get();
  s->gets = read_counters_.gets.get();
  s->block_hits = cache_.statistics().hits.get();
  s->block_stored_hits = cache_.statistics().stored_hits.get();
  s->block_misses = cache_.statistics().misses.get();
  s->filter_probes = cache_.statistics().filter_probes.get();
  s->filter_negatives = cache_.statistics().filter_negatives.get();
  s->blocks_evicted = cache_.statistics().evictions.get();
  add_waits(&s->waits);
  for (const WaitStatistics& waits : s->waits) {
    s->write_stalls += waits.waits + waits.waiting;
    s->write_stall_micros += waits.micros;
  }
  // Null while the store is being opened.
  if (MemoryHelp* help = memory_help_.load()) help->add_statistics(s);
  s->snapshots_open = snapshots_->count();
  s->cursors_open = read_counters_.cursors_open.get() - read_counters_.cursors_closed.get();
  s->log_bytes = wal_->disk_bytes();
  s->disk_bytes = s->log_bytes;
  {
    MutexLock lock(manifest_mutex_);
    s->disk_bytes += manifest_->size();
  }
  s->published = oracle_->published();
  s->oldest_snapshot = snapshots_->oldest();
  for (Tree* tree : trees()) {
    ReadView* view = view_of(tree);
    KeyspaceStatistics& keyspace = s->keyspaces.emplace_back();
    keyspace.keyspace = tree->keyspace;
    keyspace.name = tree->name;
    keyspace.watermark = Timestamp{tree->watermark.load()};
    for (const Memtable* memtable : view->memtables()) {
      keyspace.memtable_bytes += memtable->held_bytes();
      keyspace.memtable_entries += memtable->versions();
    }
    keyspace.immutable_memtables = static_cast<uint32_t>(view->memtables().size() - 1);
    uint32_t level = 0;
    for (const Run& run : view->levels().runs()) {
      keyspace.runs.push_back({.level = level++,
                               .files = run.files.size(),
                               .bytes = run.bytes,
                               .entries = run.versions,
                               .tombstones = run.tombstones});
      s->disk_bytes += run.bytes;
    }
    for (const Levels::ValuesInFile& values : view->levels().value_files()) {
      ++keyspace.value_files;
      keyspace.value_bytes += values.file->file_size();
      keyspace.value_bytes_needed += values.needed_bytes;
    }
    s->disk_bytes += keyspace.value_bytes;
    view->unref();
  }
}

MemoryReport Store::memory_report() {
  MemoryReport report = memory_.report();
  cache_.append_statistics(&report.pools);
  // Null while the store is being opened.
  if (MemoryHelp* help = memory_help_.load()) help->append_pools(&report.pools);
  return report;
}

void Store::publish_statistics_work() {
  Statistics current;
  statistics(&current);
  const std::string text =
      encode_statistics_json(current, memory_report(), options_.clock->realtime_nanos());
  FileSystem* files = options_.file_system;
  const std::string path = path_in(options_.directory, kStatsName);
  const std::string temporary = path_in(options_.directory, temporary_name(kStatsName));
  static_cast<void>(files->remove(temporary));  // of an earlier failure, if at all
  const auto write = [&]() -> Status {
    VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file,
                           files->open(temporary, OpenMode::create_exclusive));
    VARVE_RETURN_IF_ERROR(file->write(0, text));
    VARVE_RETURN_IF_ERROR(file->close());
    return files->rename(temporary, path, /*replace=*/true);
  };
  if (Status status = write(); !status.ok()) {
    log_line(options_.logger, LogLevel::warning, "statistics are not published: %s",
             status.to_string().c_str());
  }
}

Result<VerifyReport> Store::verify() {
  VerifyReport report;
  VARVE_RETURN_IF_ERROR(verify_manifest_and_log(&report));
  for (Tree* tree : trees()) {
    const LevelsRef levels(levels_of(tree));
    VARVE_RETURN_IF_ERROR(check_levels(*levels));
    for (const Run& run : levels->runs()) {
      for (Sstable* file : run.files) {
        VARVE_RETURN_IF_ERROR(verify_sstable(file, &memory_, &report));
      }
    }
    for (const Levels::ValuesInFile& values : levels->value_files()) {
      VARVE_RETURN_IF_ERROR(values.file->check_sizes(&memory_));
      ++report.files;
      report.bytes += values.file->file_size();
    }
  }
  return report;
}

Status Store::verify_manifest_and_log(VerifyReport* report) {
  // Held, so that no segment is recycled meanwhile.
  MutexLock lock(manifest_mutex_);
  const std::string path = path_in(options_.directory, manifest_name(manifest_->number()));
  VARVE_RETURN_IF_ERROR(read_manifest(options_.file_system, path, /*expected=*/nullptr).status());
  ++report->files;
  report->bytes += manifest_->size();
  WalReader reader(options_.file_system, options_.directory, &memory_, &state_.database);
  // What waits in the writer's buffer is in no file yet. Before the list of segments: it may grow.
  const Lsn until = wal_->written();
  VARVE_RETURN_IF_ERROR(
      reader.open(wal_->segment_numbers(state_.log_start), state_.log_start, until));
  for (;;) {
    WalGroup group;
    VARVE_ASSIGN_OR_RETURN(const bool more, reader.next(&group));
    if (!more) break;
    WalCommitReader commits(group.header, group.payload);
    WalCommit commit;
    while (commits.next(&commit)) {
      ++report->log_commits;
      BatchReader entries(commit.batch);
      BatchEntry entry;
      while (entries.next(&entry)) {
      }
      if (!entries.ok()) commits.fail();
    }
    if (!commits.ok()) {
      return Status::corruption(format("%s at offset %llu: a group's commits are malformed",
                                       path_in(options_.directory, wal_name(group.segment)).c_str(),
                                       static_cast<unsigned long long>(group.offset)));
    }
    report->bytes += group.end.value - group.start.value;
  }
  report->files += reader.used().size();
  return Status();
}

Status verify_sstable(Sstable* file, MemoryManager* memory, VerifyReport* report) {
  const SstableInfo& expected = file->info();
  const auto wrong = [file](std::string_view what, const std::string& found,
                            const std::string& wanted) {
    return Status::corruption(file->path() + ": " + std::string(what) + " " + found +
                              "; expected " + wanted);
  };
  RunCursor cursor(memory);
  Sstable* const files[] = {file};
  cursor.reset(files, /*fill_cache=*/false);
  // A flush leaves blocks in memory that were never read.
  cursor.read_from_files();
  uint64_t versions = 0;
  uint64_t tombstones = 0;
  uint64_t user_keys = 0;
  Timestamp timestamp_min = kTimestampMax;
  Timestamp timestamp_max = kTimestampMin;
  std::string last_key;
  Timestamp last_timestamp;
  std::vector<ValueUse> values(file->value_files().size());
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    if (cursor.kind() == VersionKind::value_pointer && !values.empty()) {
      ValuePointer pointer;
      if (decode_value_pointer(cursor.value(), &pointer) && pointer.file < values.size()) {
        ++values[pointer.file].values;
        values[pointer.file].bytes += pointer.place.end() - pointer.place.offset;
      }
      if (!cursor.load_value()) break;
    }
    if (versions == 0) {
      if (cursor.user_key() != expected.smallest_key) {
        return wrong("begins at key", readable(cursor.user_key()), readable(expected.smallest_key));
      }
    } else if (compare_versions({last_key, last_timestamp}, cursor.version_key()) >= 0) {
      return Status::corruption(format("%s: partition %u, block %u: key %s comes after %s",
                                       file->path().c_str(), cursor.partition_index(),
                                       cursor.block_index(), readable(cursor.user_key()).c_str(),
                                       readable(last_key).c_str()));
    }
    user_keys += versions == 0 || last_key != cursor.user_key();
    tombstones += cursor.kind() == VersionKind::tombstone;
    last_key.assign(cursor.user_key());
    last_timestamp = cursor.timestamp();
    timestamp_min = std::min(timestamp_min, last_timestamp);
    timestamp_max = std::max(timestamp_max, last_timestamp);
    ++versions;
  }
  VARVE_RETURN_IF_ERROR(cursor.status());
  for (uint32_t i = 0; i < file->partition_count(); ++i) {
    VARVE_RETURN_IF_ERROR(file->filter(i, /*fill_cache=*/false, /*from_file=*/true).status());
  }
  if (last_key != expected.largest_key) {
    return wrong("ends at key", readable(last_key), readable(expected.largest_key));
  }
  const struct {
    const char* what;
    uint64_t found;
    uint64_t expected;
  } figures[] = {
      {"versions:", versions, expected.versions},
      {"tombstones:", tombstones, expected.tombstones},
      {"keys:", user_keys, file->properties().user_keys},
      {"oldest timestamp", timestamp_min.nanos, expected.timestamp_min.nanos},
      {"newest timestamp", timestamp_max.nanos, expected.timestamp_max.nanos},
  };
  for (const auto& figure : figures) {
    if (figure.found != figure.expected) {
      return wrong(figure.what, std::to_string(figure.found), std::to_string(figure.expected));
    }
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const ValueUse& use = file->properties().values[i];
    const std::string where = " in " + value_file_name(use.file.number) + ":";
    if (values[i].values != use.values) {
      return wrong("values" + where, std::to_string(values[i].values), std::to_string(use.values));
    }
    if (values[i].bytes != use.bytes) {
      return wrong("bytes" + where, std::to_string(values[i].bytes), std::to_string(use.bytes));
    }
  }
  report->files += 1;
  report->blocks += file->properties().data_blocks;
  report->entries += versions;
  report->bytes += file->info().file_size;
  return Status();
}

}  // namespace varve
