// The bytes of one simulated file: what a reader sees, what is on disk, and every version that a
// page had between the two. SimFileSystem holds one per file.
//
// Thread rule: the file system's lock guards it. A copy is cheap: pages are immutable and shared.
// Invariants:
//  1. A page without `between` whose `now` is `durable` is clean; sync() leaves only such pages.
//  2. Sectors that lie wholly below the durable length are never zeros or garbage after a crash
//     unless the program wrote them so: a disk loses what was not synced, not what was.

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace varve::test {

inline constexpr size_t kSimPageSize = 4096;
inline constexpr size_t kSimSectorSize = 512;
inline constexpr size_t kSimSectorsPerPage = kSimPageSize / kSimSectorSize;

// What becomes of pages that were not synced.
enum class PagePolicy : uint8_t {
  all_old,   // what is on disk stays, length included
  all_new,   // everything is written
  versions,  // each page on its own: any version that it had
  torn,      // each page: some sectors of one version, the others of another
  zeros,     // each page: any version; sectors where nothing durable was may be zeros
  garbage,   // likewise, with bytes that nobody wrote
  any,       // each page by one of the above
};
inline constexpr size_t kPagePolicies = 7;
const char* page_policy_name(PagePolicy policy);

class SimContent {
 public:
  uint64_t size() const { return size_; }
  // Bytes that it takes on disk, reserved ones included.
  uint64_t allocated() const { return allocated_; }
  void set_allocated(uint64_t bytes) { allocated_ = bytes; }

  // Up to `size` bytes from `offset`; returns how many there are.
  size_t read(uint64_t offset, char* to, size_t size) const;
  void write(uint64_t offset, std::string_view bytes);
  void truncate(uint64_t size);
  void sync();
  // The operating system gave up writing: every dirty page holds new, old or mixed sectors on disk
  // and counts as clean; readers see the new page, or what is on disk.
  void fail_sync(Random* random);

  // Readers see what is on disk.
  bool clean() const;

  // What is there after a loss of power; all of it durable.
  SimContent after_crash(PagePolicy policy, Random* random) const;

  // Replaces the sector at `offset` of `sector` (kSimSectorSize bytes) by what it held before the
  // last sync, or by another sector of the file; false: there is none that differs.
  bool stale_sector(uint64_t offset, char* sector) const;
  bool misdirected_sector(uint64_t offset, char* sector, Random* random) const;

  // Of bytes and length, durable and as readers see them.
  uint64_t hash() const;

 private:
  struct Page {
    std::array<char, kSimPageSize> bytes{};
    uint64_t hash() const;  // computed once

   private:
    mutable std::atomic<uint64_t> hash_{0};
  };
  using PagePtr = std::shared_ptr<const Page>;
  struct PageState {
    PagePtr now;                   // null: zeros
    PagePtr durable;               // null: zeros
    std::vector<PagePtr> between;  // held since the last sync before `now`, oldest first
    PagePtr stale;                 // held before `durable`
    bool dirty = false;            // the next sync writes it
  };

  static const char* bytes_of(const PagePtr& page);
  static PagePtr cut(const PagePtr& page, size_t size);
  static PagePtr mix(const PagePtr& a, const PagePtr& b, Random* random);
  void replace(size_t index, PagePtr page);
  PagePtr fate(size_t index, PagePolicy policy, Random* random) const;
  PagePtr version(const PageState& state, Random* random) const;
  PagePtr spoil(size_t index, const PagePtr& page, bool zeros, Random* random) const;

  std::vector<PageState> pages_;
  uint64_t size_ = 0;
  uint64_t durable_size_ = 0;
  uint64_t allocated_ = 0;
};

}  // namespace varve::test
