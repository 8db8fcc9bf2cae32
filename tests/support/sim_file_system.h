// A simulated disk: files in memory that know what is durable, lose power, fail and lie, all from
// one seed, so that every run can be repeated to the byte.
//
// The fault model:
//  - Data. Pages of 4096 bytes, sectors of 512. After a crash each unsynced page is old, any
//  version
//    between, new, torn at sectors, zeros, or garbage (the last two only where nothing durable
//    was); the length is anything between the durable and the present one; files are in no order to
//    each other (sim_content.h, PagePolicy).
//  - Names. Syncing a file does not make its name durable. Creations, renames and removals that
//  were
//    not followed by a sync of their directory survive as NamePolicy says. A rename is atomic, but
//    may be durable before the data of its file. Both its ends lie in one directory.
//  - Errors, once or for ever, at the nth call of a kind on a kind of file (FaultRule).
//  - Space. With a capacity, what grows beyond it fails with no_space until there is room; a write
//    may have been carried out in part.
//
// Thread rule: all functions from any thread; a run is repeatable only with one.
// Lifetime: files outlive nothing: close them before the file system is destroyed.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "lsm/file_names.h"
#include "tests/support/hooked_files.h"
#include "tests/support/sim_content.h"
#include "varve/file_system.h"

namespace varve::test {

// What becomes of creations, renames and removals whose directory was not synced.
enum class NamePolicy : uint8_t { lose_all, keep_all, prefix, subset };
inline constexpr size_t kNamePolicies = 4;
const char* name_policy_name(NamePolicy policy);

enum class SimError : uint8_t {
  io_error,       // a failed write may have been carried out in part, a failed rename or removal
                  // whole; after a failed sync pages count as clean, whatever is on disk
  no_space,       // likewise
  too_many_open,  // EMFILE
  short_read,     // fewer bytes than there are, without an error
  bit_flip,       // of a byte read
  stale_sector,   // read as before the last sync
  misdirected_sector,  // another one of the same file is read
};
const char* sim_error_name(SimError error);

struct FaultRule {
  SimError error = SimError::io_error;
  std::optional<FileCall::Kind> call = {};  // unset: any
  std::optional<FileType> file = {};        // unset: any; a directory is `foreign`
  uint64_t nth = 0;                         // among the calls that match from now on
  bool sticky = false;                      // and every later one that matches
};

class SimFileSystem final : public FileSystem {
 public:
  // The root is there, and durable.
  explicit SimFileSystem(uint64_t seed);
  ~SimFileSystem() override;

  // -- crashes --
  // The same state, durable and not, and the same future; without open files, locks and faults.
  std::unique_ptr<SimFileSystem> copy() const;
  // What is there when the power comes back.
  std::unique_ptr<SimFileSystem> crash(PagePolicy pages, NamePolicy names, Random* random) const;
  // From now on every call fails that would change anything: the process is gone, and whoever still
  // runs only cleans up.
  void power_off();

  // -- faults --
  void inject(const FaultRule& rule);
  void clear_faults();
  uint64_t faults_met() const;  // calls that a rule made fail or lie
  // Bytes that all files may take; as many as are taken now: none is left.
  void set_capacity(uint64_t bytes);
  uint64_t used_bytes() const;

  // -- what happened --
  struct Call {
    FileCall::Kind kind;
    FileType file;  // a directory is `foreign`
    StatusCode status;
  };
  uint64_t calls() const;
  // Of every call with its path, bytes and outcome.
  uint64_t trace_hash() const;
  // Records calls from now on.
  void record_trace();
  std::vector<Call> trace() const;
  // Of all files whose path `counts` (unset: all), durable and as readers see them.
  uint64_t state_hash(const std::function<bool(const std::string&)>& counts = nullptr) const;

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<FileInfo> info(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status create_directory(const std::string& path) override;
  Status remove(const std::string& path) override;
  Status remove_directory(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to, bool replace) override;
  Status sync_directory(const std::string& directory) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;
  // The last first.
  void read_together(std::span<FileRead> reads, ReadListener* listener) override;
  // With every other seed.
  bool reads_wait() override { return reads_wait_; }
  Result<uint64_t> free_bytes(const std::string& path) override;

 private:
  class OpenFile;
  class Lock;
  struct Node {
    bool directory = false;
    std::shared_ptr<SimContent> content;  // of a file; shared with copies until it changes
    SimContent& changeable();
  };
  using NodePtr = std::shared_ptr<Node>;
  using Names = std::map<std::string, NodePtr>;
  // A change of a directory that was not synced.
  struct Change {
    std::string from;  // empty: a creation
    std::string to;    // empty: a removal
    NodePtr node;
  };
  struct ArmedRule {
    FaultRule rule;
    uint64_t met = 0;  // calls that matched
  };
  // The outcome of a call, for the trace.
  struct Outcome {
    FileCall::Kind kind;
    const std::string& path;
    uint64_t offset = 0;
    std::string_view bytes = {};
  };

  static void apply(const Change& change, Names* names);
  // All of these under mutex_.
  std::optional<SimError> fault(FileCall::Kind kind, const std::string& path);
  Status note(const Outcome& outcome, Status status);
  Status begin(FileCall::Kind kind, const std::string& path);
  bool has_parent(const std::string& path) const;
  void change(Change change);
  Status reserve(SimContent* content, uint64_t end);
  Status write(Node* node, const std::string& path, uint64_t offset, std::string_view bytes);
  Status read(Node* node, const std::string& path, IoRequest* request);
  void lie(SimError error, const SimContent& content, IoRequest* request);
  Status sync(Node* node, const std::string& path);

  mutable std::mutex mutex_;  // everything, contents too
  Random random_;
  bool reads_wait_;
  Names now_;
  Names durable_;
  std::vector<Change> pending_;  // in order
  std::set<std::string> locked_;
  std::vector<ArmedRule> rules_;
  bool powered_off_ = false;
  uint64_t capacity_ = UINT64_MAX;
  uint64_t used_ = 0;
  uint64_t faults_met_ = 0;
  uint64_t calls_ = 0;
  uint64_t trace_hash_ = 0;
  bool recording_ = false;
  std::vector<Call> trace_;
};

}  // namespace varve::test
