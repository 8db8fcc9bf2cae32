#include "tools/varve/log_walk.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "lsm/current_file.h"
#include "tools/varve/absent_database.h"

namespace varve::cli {

namespace {

// Of what the reader holds, one group at a time; only reported, not enforced.
constexpr uint64_t kMemoryBudget = 64 << 20;
// An owner that is opened again and again: each opening begins a new manifest.
constexpr int kAttemptsMax = 5;

Result<std::vector<FileNumber>> list_segments(const std::string& directory) {
  const Result<std::vector<std::string>> names = FileSystem::posix()->list(directory);
  if (!names.ok()) return names.status();
  std::vector<FileNumber> numbers;
  for (const std::string& name : *names) {
    const FileName parsed = parse_file_name(name);
    if (parsed.type == FileType::wal) numbers.push_back(parsed.number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::string lsn_text(Lsn lsn) { return "LSN " + std::to_string(lsn.value); }

// What the manifest says of the log was synced before it said so.
Lsn known_durable(const ManifestState& state) {
  Lsn durable = std::max(state.log_start, state.log_end);
  for (const auto& [id, keyspace] : state.keyspaces) durable = std::max(durable, keyspace.flushed);
  return durable;
}

class LogWalk {
 public:
  // `state`: null where the manifest cannot be read.
  LogWalk(const std::string& directory, const ManifestState* state, LogVisitor* visitor)
      : directory_(directory), state_(state), visitor_(*visitor), memory_(kMemoryBudget) {}

  // The visitor wants no more.
  bool enough() const { return enough_; }

  // `alone`: without a look at the segments before it. `last`: none comes after it.
  Status segment(FileNumber number, bool alone, bool last) {
    WalReader reader(FileSystem::posix(), directory_, &memory_,
                     state_ == nullptr ? nullptr : &state_->database);
    Status status = reader.open({number}, kLsnMax);
    name_ = wal_name(number);
    if (status.code() == StatusCode::corruption) {
      visitor_.problem(name_, status);
      unreadable_.insert(number);
      return Status();
    }
    if (!status.ok()) return status;
    const WalSegmentInfo& info = reader.segments().front();
    // Its owner is just making it, or died when it was.
    if (last && info.file_size == 0) return Status();
    if (!info.status.ok()) {
      problem_at(0, std::string(info.status.message()));
      unreadable_.insert(number);
      return Status();
    }
    if (!alone) check_predecessor(info.header);
    visitor_.segment(info);
    LogSegmentEnd end;
    WalGroup group;
    for (;;) {
      const Result<bool> more = reader.next(&group);
      if (!more.ok() && more.status().code() != StatusCode::corruption) return more.status();
      if (!more.ok()) visitor_.problem(name_, more.status());
      if (!more.ok() || !*more) break;
      ++end.groups;
      end.commits += group.header.commits;
      if (!visitor_.group(group)) {
        enough_ = true;
        return Status();
      }
    }
    end.lsn = reader.end();
    end.offset = kWalHeaderSize + end.lsn.value - info.header.start.value;
    end.clean = reader.clean();
    visitor_.segment_end(end);
    ends_[number] = end.lsn;
    end_offset_ = end.offset;
    return Status();
  }

  // After the last segment. The manifest was read before the first one, so the log of a running
  // owner can only have grown beyond what it says.
  void check_end() {
    if (state_ == nullptr) return;
    const Lsn durable = known_durable(*state_);
    const Lsn end = ends_.empty() ? Lsn{} : ends_.rbegin()->second;
    if (end >= durable) return;
    const std::string known = ", but the manifest knows it durable up to " + lsn_text(durable);
    if (ends_.empty()) {
      visitor_.problem("", Status::corruption(directory_ + ": no log segment is readable" + known));
    } else {
      name_ = wal_name(ends_.rbegin()->first);
      problem_at(end_offset_, "the log ends at " + lsn_text(end) + known);
    }
  }

 private:
  void problem_at(uint64_t offset, const std::string& what) {
    visitor_.problem(name_, Status::corruption(path_in(directory_, name_) + " at offset " +
                                               std::to_string(offset) + ": " + what));
  }

  void check_predecessor(const WalSegmentHeader& header) {
    if (!needs_what_is_before(header.start)) return;
    const auto found = ends_.find(header.predecessor);
    if (found != ends_.end()) {
      if (found->second == header.start) return;
      problem_at(0, "starts at " + lsn_text(header.start) + ", its predecessor " +
                        wal_name(header.predecessor) + " ends at " + lsn_text(found->second));
    } else if (header.predecessor == FileNumber{}) {
      problem_at(0, "starts at " + lsn_text(header.start) + " without a predecessor, " +
                        "but the log is needed from " + lsn_text(log_start_) + " on");
    } else if (!unreadable_.contains(header.predecessor)) {
      problem_at(0, "predecessor " + wal_name(header.predecessor) +
                        " is missing, but the log is needed from " + lsn_text(log_start_) + " on");
    }
  }

  // Whether the log is needed from before `start` on. An owner may have gone on and dropped
  // segments since the manifest was read, but only after a newer edit of it said so.
  bool needs_what_is_before(Lsn start) {
    if (state_ == nullptr) {
      // Only what is missing between two segments is known to be.
      log_start_ = ends_.empty() ? start : ends_.rbegin()->second;
      return start > log_start_;
    }
    log_start_ = std::max(log_start_, state_->log_start);
    if (start <= log_start_) return false;
    if (const Result<ManifestState> now = read_state(directory_); now.ok()) {
      log_start_ = std::max(log_start_, now->log_start);
    }
    return start > log_start_;
  }

  const std::string& directory_;
  const ManifestState* const state_;
  LogVisitor& visitor_;
  MemoryManager memory_;
  std::string name_;                 // of the current segment
  std::map<FileNumber, Lsn> ends_;   // of the segments so far whose header is readable
  uint64_t end_offset_ = 0;          // of the last one's end
  std::set<FileNumber> unreadable_;  // those whose header is not
  Lsn log_start_;
  bool enough_ = false;
};

}  // namespace

Result<ManifestState> read_state(const std::string& directory) {
  FileSystem* const files = FileSystem::posix();
  for (int attempt = 1;; ++attempt) {
    const Result<CurrentManifest> current = read_current(files, directory);
    if (current.status().code() == StatusCode::not_found) return absent_database(directory);
    if (!current.ok()) return current.status();
    const std::string path = path_in(directory, manifest_name(current->number));
    Result<ManifestState> state = read_manifest(files, path, &current->file);
    if (state.status().code() != StatusCode::not_found) return state;
    // An owner that was opened meanwhile has begun another one.
    if (attempt == kAttemptsMax) {
      return Status::corruption(path + ": named by CURRENT, but missing");
    }
  }
}

Status walk_log(const std::string& directory, std::optional<FileNumber> number,
                LogVisitor* visitor) {
  const Result<ManifestState> state = read_state(directory);
  const Result<std::vector<FileNumber>> numbers = list_segments(directory);
  if (!state.ok() && (!numbers.ok() || numbers->empty())) return state.status();
  if (!numbers.ok()) return numbers.status();
  if (number.has_value() && !std::binary_search(numbers->begin(), numbers->end(), *number)) {
    return Status::not_found(path_in(directory, wal_name(*number)) + ": no such log segment");
  }
  LogWalk walk(directory, state.ok() ? &*state : nullptr, visitor);
  for (const FileNumber each : *numbers) {
    if (walk.enough() || (number.has_value() && each != *number)) continue;
    const Status status = walk.segment(each, number.has_value(), each == numbers->back());
    // Gone since it was listed: its owner is done with it.
    if (!status.ok() && status.code() != StatusCode::not_found) return status;
  }
  if (!number.has_value() && !walk.enough()) walk.check_end();
  return state.ok() ? Status() : state.status();
}

}  // namespace varve::cli
