#include "tools/varve/log_walk.h"

#include <algorithm>
#include <vector>

namespace varve::cli {

namespace {

// Of what the reader holds, one group at a time; only reported, not enforced.
constexpr uint64_t kMemoryBudget = 64 << 20;

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

// `*enough`: the visitor said so.
Status walk_segment(const std::string& directory, FileNumber number, MemoryManager* memory,
                    LogVisitor* visitor, bool* enough) {
  WalReader reader(FileSystem::posix(), directory, memory);
  Status status = reader.open({number}, kLsnMax);
  if (!status.ok()) return status;
  const WalSegmentInfo& info = reader.segments().front();
  visitor->segment(info);
  if (!info.status.ok()) return Status();
  LogSegmentEnd end;
  WalGroup group;
  for (;;) {
    const Result<bool> more = reader.next(&group);
    if (!more.ok() && more.status().code() != StatusCode::corruption) return more.status();
    if (!more.ok()) end.problem = more.status();
    if (!more.ok() || !*more) break;
    ++end.groups;
    end.commits += group.header.commits;
    if (!visitor->group(group)) {
      *enough = true;
      return Status();
    }
  }
  end.lsn = reader.end();
  end.offset = kWalHeaderSize + end.lsn.value - info.header.start.value;
  end.clean = reader.clean();
  visitor->segment_end(end);
  return Status();
}

}  // namespace

Status walk_log(const std::string& directory, std::optional<FileNumber> number,
                LogVisitor* visitor) {
  MemoryManager memory(kMemoryBudget);
  const Result<std::vector<FileNumber>> numbers = list_segments(directory);
  if (!numbers.ok()) return numbers.status();
  if (number.has_value() && !std::binary_search(numbers->begin(), numbers->end(), *number)) {
    return Status::not_found(path_in(directory, wal_name(*number)) + ": no such log segment");
  }
  bool enough = false;
  for (const FileNumber each : *numbers) {
    if (enough || (number.has_value() && each != *number)) continue;
    const Status status = walk_segment(directory, each, &memory, visitor, &enough);
    // Gone since it was listed: its owner is done with it.
    if (!status.ok() && status.code() != StatusCode::not_found) return status;
  }
  return Status();
}

}  // namespace varve::cli
