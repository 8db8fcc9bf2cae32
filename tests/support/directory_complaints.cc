#include "tests/support/directory_complaints.h"

#include <set>

#include "lsm/current_file.h"
#include "lsm/file_names.h"
#include "lsm/file_pool.h"
#include "lsm/manifest.h"
#include "lsm/sstable.h"

namespace varve::test {

std::vector<std::string> directory_complaints(FileSystem* files, const std::string& directory) {
  Result<CurrentManifest> current = read_current(files, directory);
  if (!current.ok()) return {current.status().to_string()};
  Result<ManifestState> state =
      read_manifest(files, path_in(directory, manifest_name(current->number)), &current->file);
  if (!state.ok()) return {state.status().to_string()};
  MemoryManager memory(0);
  EpochDomain epochs;
  BlockCache cache(&memory, &epochs, 1 << 20);
  FilePool closing(files, /*open_max=*/1);  // a count of what is open sees them closed
  std::set<std::string> expected{kCurrentName, kLockName, manifest_name(current->number)};
  for (const auto& [id, keyspace] : state->keyspaces) {
    for (const auto& [number, file] : keyspace.files) {
      const std::string name = sstable_name(file.info.number);
      expected.insert(name);
      const Result<Sstable*> sstable =
          Sstable::open_unknown(&closing, path_in(directory, name), &cache);
      if (!sstable.ok()) return {sstable.status().to_string()};
      for (const ValueUse& use : (*sstable)->properties().values) {
        expected.insert(value_file_name(use.file.number));
      }
      (*sstable)->unref();
    }
  }
  Result<std::vector<std::string>> names = files->list(directory);
  if (!names.ok()) return {names.status().to_string()};
  std::vector<std::string> complaints;
  for (const std::string& name : *names) {
    if (expected.erase(name) != 0) continue;
    const FileName parsed = parse_file_name(name);
    const bool allowed = parsed.type == FileType::wal || parsed.type == FileType::log ||
                         parsed.type == FileType::stats;
    if (!allowed) complaints.push_back(path_in(directory, name) + " is named by nothing");
    if (parsed.number >= state->next_file) {
      complaints.push_back(path_in(directory, name) + " has a number that was not given yet");
    }
  }
  for (const std::string& name : expected) {
    complaints.push_back(path_in(directory, name) + " is missing");
  }
  return complaints;
}

}  // namespace varve::test
