#include "tests/support/sim_content.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/hash.h"

namespace varve::test {

namespace {

constexpr std::array<char, kSimPageSize> kZeros{};

uint64_t fold(uint64_t hash, uint64_t value) { return mix64(hash * 31 + value); }

size_t pages_for(uint64_t size) { return (size + kSimPageSize - 1) / kSimPageSize; }

}  // namespace

const char* page_policy_name(PagePolicy policy) {
  constexpr std::array<const char*, kPagePolicies> kNames = {
      "all old", "all new", "versions", "torn", "zeros", "garbage", "any"};
  return kNames[static_cast<size_t>(policy)];
}

uint64_t SimContent::Page::hash() const {
  uint64_t hash = hash_.load(std::memory_order_relaxed);
  if (hash == 0) {
    hash = checksum({bytes.data(), bytes.size()}, FileId{}, 0) | 1;
    hash_.store(hash, std::memory_order_relaxed);
  }
  return hash;
}

const char* SimContent::bytes_of(const PagePtr& page) {
  return page == nullptr ? kZeros.data() : page->bytes.data();
}

size_t SimContent::read(uint64_t offset, char* to, size_t size) const {
  if (offset >= size_) return 0;
  size = std::min<uint64_t>(size, size_ - offset);
  for (size_t done = 0; done < size;) {
    const size_t start = (offset + done) % kSimPageSize;
    const size_t part = std::min(size - done, kSimPageSize - start);
    std::memcpy(to + done, bytes_of(pages_[(offset + done) / kSimPageSize].now) + start, part);
    done += part;
  }
  return size;
}

void SimContent::replace(size_t index, PagePtr page) {
  PageState& state = pages_[index];
  if (state.dirty) state.between.push_back(std::move(state.now));
  state.now = std::move(page);
  state.dirty = true;
}

void SimContent::write(uint64_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  if (offset > size_) truncate(offset);
  size_ = std::max<uint64_t>(size_, offset + bytes.size());
  if (pages_.size() < pages_for(size_)) pages_.resize(pages_for(size_));
  for (size_t done = 0; done < bytes.size();) {
    const size_t index = (offset + done) / kSimPageSize;
    const size_t start = (offset + done) % kSimPageSize;
    const size_t part = std::min(bytes.size() - done, kSimPageSize - start);
    auto page = std::make_shared<Page>();
    if (part != kSimPageSize) {
      std::memcpy(page->bytes.data(), bytes_of(pages_[index].now), kSimPageSize);
    }
    std::memcpy(page->bytes.data() + start, bytes.data() + done, part);
    replace(index, std::move(page));
    done += part;
  }
}

SimContent::PagePtr SimContent::cut(const PagePtr& page, size_t size) {
  if (page == nullptr || size == 0) return nullptr;
  auto shorter = std::make_shared<Page>();
  std::memcpy(shorter->bytes.data(), page->bytes.data(), size);
  return shorter;
}

void SimContent::truncate(uint64_t size) {
  if (size < size_) {
    for (size_t index = size / kSimPageSize; index < pages_.size(); ++index) {
      const size_t kept = index == size / kSimPageSize ? size % kSimPageSize : 0;
      if (pages_[index].now != nullptr) replace(index, cut(pages_[index].now, kept));
    }
  }
  size_ = size;
  if (pages_.size() < pages_for(size)) pages_.resize(pages_for(size));
}

void SimContent::sync() {
  for (PageState& state : pages_) {
    if (!state.dirty) continue;
    state.stale = std::exchange(state.durable, state.now);
    state.between.clear();
    state.dirty = false;
  }
  durable_size_ = size_;
  pages_.resize(pages_for(size_));
}

void SimContent::fail_sync(Random* random) {
  for (PageState& state : pages_) {
    if (!state.dirty) continue;
    state.stale = state.durable;
    state.durable = mix(version(state, random), version(state, random), random);
    if (random->one_in(2)) state.now = state.durable;
    state.between.clear();
    state.dirty = false;
  }
  if (random->one_in(2)) durable_size_ = size_;
}

bool SimContent::clean() const {
  return size_ == durable_size_ &&
         std::all_of(pages_.begin(), pages_.end(), [](const PageState& state) {
           return !state.dirty && state.now == state.durable;
         });
}

SimContent::PagePtr SimContent::version(const PageState& state, Random* random) const {
  const uint64_t chosen = random->below(state.between.size() + 2);
  if (chosen == 0) return state.durable;
  return chosen <= state.between.size() ? state.between[chosen - 1] : state.now;
}

SimContent::PagePtr SimContent::mix(const PagePtr& a, const PagePtr& b, Random* random) {
  if (a == b) return a;
  auto page = std::make_shared<Page>();
  // Torn at one place, or written in any order.
  const uint64_t sectors = random->one_in(2)
                               ? (uint64_t{1} << random->below(kSimSectorsPerPage + 1)) - 1
                               : random->next();
  for (size_t sector = 0; sector < kSimSectorsPerPage; ++sector) {
    const char* from = bytes_of((sectors >> sector & 1) != 0 ? a : b);
    std::memcpy(page->bytes.data() + sector * kSimSectorSize, from + sector * kSimSectorSize,
                kSimSectorSize);
  }
  return page;
}

// Sectors where nothing durable was, each on its own, hold zeros or what nobody wrote.
SimContent::PagePtr SimContent::spoil(size_t index, const PagePtr& page, bool zeros,
                                      Random* random) const {
  auto spoiled = std::make_shared<Page>();
  std::memcpy(spoiled->bytes.data(), bytes_of(page), kSimPageSize);
  const bool whole = random->one_in(2);
  for (size_t sector = 0; sector < kSimSectorsPerPage; ++sector) {
    if (index * kSimPageSize + sector * kSimSectorSize < durable_size_) continue;
    if (!whole && random->one_in(2)) continue;
    char* at = spoiled->bytes.data() + sector * kSimSectorSize;
    std::memset(at, 0, kSimSectorSize);
    for (size_t i = 0; !zeros && i < kSimSectorSize; i += sizeof(uint64_t)) {
      const uint64_t word = random->next();
      std::memcpy(at + i, &word, sizeof word);
    }
  }
  return spoiled;
}

SimContent::PagePtr SimContent::fate(size_t index, PagePolicy policy, Random* random) const {
  const PageState& state = pages_[index];
  if (!state.dirty) return state.durable;
  switch (policy) {
    case PagePolicy::all_old:
      return state.durable;
    case PagePolicy::all_new:
      return state.now;
    case PagePolicy::versions:
      return version(state, random);
    case PagePolicy::torn:
      return mix(version(state, random), version(state, random), random);
    case PagePolicy::zeros:
      return spoil(index, version(state, random), /*zeros=*/true, random);
    case PagePolicy::garbage:
      return spoil(index, version(state, random), /*zeros=*/false, random);
    case PagePolicy::any:
      return fate(index, static_cast<PagePolicy>(random->below(kPagePolicies - 1)), random);
  }
  return state.durable;
}

SimContent SimContent::after_crash(PagePolicy policy, Random* random) const {
  if (clean()) return *this;
  SimContent after;
  const uint64_t shortest = std::min(size_, durable_size_);
  const uint64_t longest = std::max(size_, durable_size_);
  uint64_t size = shortest + random->below(longest - shortest + 1);
  if (policy == PagePolicy::all_old || random->one_in(4)) size = durable_size_;
  if (policy == PagePolicy::all_new || (policy != PagePolicy::all_old && random->one_in(3))) {
    size = size_;
  }
  after.size_ = after.durable_size_ = size;
  after.allocated_ = pages_for(size) * kSimPageSize;
  after.pages_.resize(pages_for(size));
  for (size_t index = 0; index < after.pages_.size(); ++index) {
    const uint64_t left = size - index * kSimPageSize;
    PagePtr page = fate(index, policy, random);
    if (left < kSimPageSize) page = cut(page, left);
    after.pages_[index] = {.now = page, .durable = page, .between = {}, .stale = {}};
  }
  return after;
}

bool SimContent::stale_sector(uint64_t offset, char* sector) const {
  const size_t index = offset / kSimPageSize;
  if (index >= pages_.size()) return false;
  const char* before =
      bytes_of(pages_[index].stale) + offset % kSimPageSize / kSimSectorSize * kSimSectorSize;
  if (std::memcmp(sector, before, kSimSectorSize) == 0) return false;
  std::memcpy(sector, before, kSimSectorSize);
  return true;
}

bool SimContent::misdirected_sector(uint64_t offset, char* sector, Random* random) const {
  const uint64_t sectors = size_ / kSimSectorSize;
  if (sectors < 2) return false;
  char other[kSimSectorSize];
  const uint64_t at = random->below(sectors) * kSimSectorSize;
  if (at == offset || read(at, other, sizeof other) != sizeof other ||
      std::memcmp(sector, other, sizeof other) == 0) {
    return false;
  }
  std::memcpy(sector, other, sizeof other);
  return true;
}

uint64_t SimContent::hash() const {
  const auto add = [](uint64_t hash, const PagePtr& page) {
    return fold(hash, page == nullptr ? 0 : page->hash());
  };
  uint64_t hash = fold(0, durable_size_);
  for (size_t i = 0; i < pages_for(durable_size_); ++i) hash = add(hash, pages_[i].durable);
  if (clean()) return hash;
  hash = fold(hash, size_);
  for (size_t i = 0; i < pages_for(size_); ++i) hash = add(hash, pages_[i].now);
  return hash;
}

}  // namespace varve::test
