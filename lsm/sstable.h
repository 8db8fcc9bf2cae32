// An open sstable: its top index, and the way to its blocks through the cache.
//
// Thread rule: immutable; everything by any number of threads.
// Ownership: counted. Whoever drops the last reference of one that was marked obsolete hands it to
// the owner's disposer, which deletes the file; of any other it is just closed.
// Errors: every message names the file.

#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/atomic.h"
#include "lsm/block_cache.h"
#include "lsm/file_names.h"
#include "lsm/sstable_format.h"
#include "lsm/value_file.h"
#include "memory/heap.h"

namespace varve {

class Sstable;

// What a resident-only read lacked: the next that it would look at.
struct MissingFrame {
  const Sstable* file = nullptr;
  FrameKind kind = FrameKind::data;
  uint32_t partition = 0;
  uint32_t block = 0;  // of data and values
  uint32_t row = 0;    // of values
};

// How a call may read blocks.
struct ReadAccess {
  // True: inside an epoch guard, only what is in memory; `missed` then says that it was not enough,
  // and the call is to be repeated with false: without a guard, blocks pinned, I/O allowed.
  bool resident_only = false;
  bool fill_cache = true;
  // The keys are there, most likely: the filter of the file that is the last to be looked at is not
  // asked.
  bool expected = false;
  // Of a large value the pointer is enough: nobody looks at it.
  bool pointers = false;
  bool missed = false;
  MissingFrame missing = {};  // set with `missed`
  // Filters, partitions and blocks that the caller holds: found where their slots are empty.
  struct Held {
    const FrameSlot* slot = nullptr;
    Frame* frame = nullptr;  // null: none
  };
  std::span<const Held> held = {};
  // What was done, and is to be counted once for many steps: counters that all threads share cost
  // more than the steps.
  ReadTally tally = {};
};

// What the manifest knows of an sstable.
struct SstableInfo {
  FileNumber number;
  FileId id;
  uint64_t file_size = 0;
  std::string smallest_key;
  std::string largest_key;
  uint64_t versions = 0;
  uint64_t tombstones = 0;
  Timestamp timestamp_min;
  Timestamp timestamp_max;
  Timestamp collapse_horizon;
  uint64_t raw_bytes = 0;
  // Versions bear no timestamps in the file: all were committed at timestamp_min = timestamp_max.
  bool undated = false;
};

// A version found by a point read. `frame` holds the value: pinned by `pin`, or by the caller's
// epoch guard when the read was resident-only.
struct FoundVersion {
  VersionKind kind = VersionKind::value;
  Timestamp timestamp;
  std::string_view value;
  Frame* frame = nullptr;
  FrameRef pin;
};

class WrittenBlocks;

class Sstable : public ControlObject {
 public:
  // Opens `path`. Errors: corruption (also if it is not the file that `info` describes),
  // not_supported, io_error, not_found.
  // `values`: of its directory; outlives it.
  static Result<Sstable*> open(FileSystem* file_system, const std::string& path, BlockCache* cache,
                               ValueFiles* values, const SstableInfo& info);
  // As open(), for a file of which nothing is known: `info` is filled from it. Null for `values`:
  // what pointers point to is not read (not_supported).
  static Result<Sstable*> open_unknown(FileSystem* file_system, const std::string& path,
                                       BlockCache* cache, ValueFiles* values = nullptr);

  // Takes over the blocks of this file that were kept while it was written, with the index and
  // filters of their partitions. None, or some only, where memory is refused or a read fails.
  void adopt(WrittenBlocks* written);

  void ref() { references_.fetch_add(1, kRelaxed); }  // the caller holds one already
  void unref();
  // Called, instead of destruction, with an obsolete sstable that nobody uses any more.
  struct Disposer {
    virtual void dispose(Sstable* sstable) = 0;

   protected:
    ~Disposer() = default;
  };
  void mark_obsolete(Disposer* disposer) { disposer_.store(disposer); }
  // Of an undated one that nobody else has seen yet: when its versions are committed.
  void date(Timestamp timestamp);
  void destroy();

  const SstableInfo& info() const { return info_; }
  const SstableProperties& properties() const { return properties_; }
  // Of a version with `stored` in the file.
  Timestamp timestamp_of(Timestamp stored) const {
    return info_.undated ? info_.timestamp_max : stored;
  }
  const std::string& path() const { return path_; }
  const FileId& id() const { return id_; }
  File* file() const { return file_.get(); }
  MemoryManager* manager() const { return cache_->manager(); }

  // A point read has several steps, so that those of several files, and of several keys, wait for
  // memory together.
  struct Probe {
    const Sstable* file;  // null: there can be no such version in it, and the rest is not set
    VersionKey wanted;
    uint64_t hash;        // key_hash(wanted.user_key)
    uint32_t after;       // the first partition that begins behind it; 1 where there is but one
    bool asks_no_filter;  // of the partition before that one
    // Found by the next steps, and null before, and where it is not in memory: the filter and index
    // of the partition before that one; the block in it that the key is in, if it is there; and the
    // row of that block which find() will begin at.
    Frame* filter;
    Frame* partition;
    Frame* block;
    uint32_t candidate;
  };
  // The first one begins to load the line of the filter. `access` as get() will have it. `last`: of
  // all files that are looked at for the key.
  Probe probe(std::string_view user_key, uint64_t hash, Timestamp snapshot,
              const ReadAccess& access, bool last) const;
  // The second begins to load the block, the third the row, where the block has tags. Inside an
  // epoch guard, which get() is to be called in, too. False: the filter denies the key.
  bool prefetch_block(Probe* probe) const;
  static void prefetch_row(Probe* probe) {
    if (probe->block != nullptr) probe->candidate = probe->block->candidate(probe->hash);
  }
  // Newest version at or below the snapshot in this file. False: there is none, or access->missed.
  // With a probe, access->tally is the caller's to count().
  Result<bool> get(const Probe& probe, ReadAccess* access, FoundVersion* found) const;
  Result<bool> get(std::string_view user_key, uint64_t hash, Timestamp snapshot, ReadAccess* access,
                   FoundVersion* found) const {
    const Probe probe = this->probe(user_key, hash, snapshot, *access, /*last=*/false);
    if (probe.file == nullptr) return false;
    Result<bool> got = get(probe, access, found);
    count(std::exchange(access->tally, {}));
    return got;
  }
  // Says how to load what a read missed. `parents`: keep in memory what it hangs in, and are loaded
  // if they are not.
  struct Parents {
    FrameRef partition;
    FrameRef block;
  };
  Status want(const MissingFrame& missing, BlockCache::Wanted* wanted, Parents* parents) const;

  // Into the statistics.
  void count(const ReadTally& tally) const { cache_->count(tally); }

  // For cursors: partitions and blocks by number, pinned.
  uint32_t partition_count() const { return top().row_count(); }
  const BlockView& top() const { return top_->view; }
  // `role`: on whose account a loaded frame is, of those that stay private. `from_file`: a private
  // one, read and checked though it is in memory.
  Result<FrameRef> partition(uint32_t i, bool fill_cache,
                             std::optional<MemoryRole> role = std::nullopt,
                             bool from_file = false) const;
  // `handle`: of that block.
  Result<FrameRef> block(const FrameRef& partition, uint32_t i, const BlockHandle& handle,
                         bool fill_cache, std::optional<MemoryRole> role = std::nullopt,
                         bool from_file = false) const;
  Result<FrameRef> block(const FrameRef& partition, uint32_t i, bool fill_cache,
                         std::optional<MemoryRole> role = std::nullopt,
                         bool from_file = false) const;
  // For a walk that comes to block i of `partition` next: begins to load how its rows are found,
  // and says where they are, about; empty where it is not in memory. It may be gone by then: what
  // lies there is not to be read. Begins to load for the next call what that needs.
  std::string_view prefetch_walk(const Frame& partition, uint32_t i, bool backward) const;
  Result<FrameRef> filter(uint32_t i, bool fill_cache,
                          bool from_file = false) const;  // null if the file has none
  // The value that the pointer in row `row` of `block` points to.
  Result<FrameRef> value(const FrameRef& block, uint32_t row, bool fill_cache,
                         std::optional<MemoryRole> role = std::nullopt,
                         bool from_file = false) const;
  // Where a pointer of this file leads to. Errors: corruption, not_supported.
  struct ValueAt {
    ValueFile* file;
    ValuePlace place;
  };
  Result<ValueAt> locate(std::string_view pointer) const;
  // In the order of properties().values; empty where these are not read.
  std::span<ValueFile* const> value_files() const { return value_files_; }
  // Handles; corruption if a row of an index is not one, or points outside the file.
  Result<BlockHandle> partition_handle(uint32_t i) const;
  Result<BlockHandle> block_handle(const BlockView& partition, uint32_t i) const;

 private:
  Sstable(FileSystem* files, std::unique_ptr<File> file, std::string path, BlockCache* cache)
      : files_(files),
        file_(std::move(file)),
        path_(std::move(path)),
        cache_(cache),
        charge_(cache->manager()) {}
  ~Sstable();
  Status load();
  Status check_against(const SstableInfo& info) const;
  Result<BlockHandle> handle(const BlockView& index, uint32_t i, bool partition) const;
  BlockSource source(const BlockHandle& handle, FrameKind kind) const;
  // The frame, in an epoch guard; null: it is not in memory.
  Frame* resident(const FrameSlot* slot, ReadAccess* access) const;
  // The frame, from the slot or pinned by `load`. Null without an error: access->missed.
  template <typename Load>
  Result<Frame*> fetch(const FrameSlot* slot, ReadAccess* access, FrameRef* pin, Load load) const;
  // Looks where the probe's steps have led to; false: it is not there, or they led nowhere.
  bool get_from_block(const Probe& probe, ReadAccess* access, FoundVersion* found) const;
  // Looks into a partition. False with `*at_end`: a version may still be at the beginning of the
  // next partition.
  Result<bool> get_from_partition(const Probe& probe, uint32_t p, const FrameRef& pin,
                                  Frame* partition, ReadAccess* access, FoundVersion* found,
                                  bool* at_end) const;
  // All but the pin; of a large value the pointer, which the next one replaces by the value.
  void show(Frame* block, uint32_t row, FoundVersion* found) const;
  static void show_value(Frame* frame, FoundVersion* found);
  // Both, in an epoch guard. False: the value is not in memory.
  bool show_resident(Frame* block, uint32_t row, ReadAccess* access, FoundVersion* found) const;
  Status open_values(ValueFiles* values);
  // By the filter of partition `p`; true also when access->missed.
  Result<bool> may_have(const Probe& probe, uint32_t p, ReadAccess* access) const;

  FileSystem* const files_;
  const std::unique_ptr<File> file_;
  const std::string path_;
  BlockCache* const cache_;
  Atomic<uint32_t> references_{1};
  Atomic<Disposer*> disposer_{nullptr};
  SstableInfo info_;
  SstableProperties properties_;
  FileId id_;
  uint64_t data_end_ = 0;  // handles point below it
  bool has_filters_ = false;
  bool opened_ = false;  // as it was meant to be
  ValueFiles* values_ = nullptr;
  std::vector<ValueFile*> value_files_;
  FrameRef top_;  // its children are the slots of partitions
  FrameSlot* filters_ = nullptr;
  ControlCharge charge_;  // for path and keys
};

}  // namespace varve
