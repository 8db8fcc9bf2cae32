// The block cache, with room for few frames or none: the bytes open and close sstables, read their
// partitions, blocks, filters and keys through it, hold and drop what they get, and make reads fail
// and memory run out.
//
// Oracle: the same files, read once through a cache of their own. Whatever is held keeps its
// content, also when its frame was evicted or its sstable closed. A failed read says so, and the
// next one gives the content. After a frame came in, the cache holds its capacity at most, save
// what is in use and the partitions that this hangs in. In the end nothing is held.

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/hash.h"
#include "fuzz/build_sstable.h"
#include "fuzz/check.h"
#include "fuzz/version_walk.h"
#include "lsm/run_cursor.h"
#include "lsm/sstable.h"
#include "tests/support/hooked_files.h"

namespace varve::fuzz {
namespace {

constexpr size_t kOperationsMax = 500;
constexpr size_t kHeldMax = 24;
constexpr size_t kSstablesMax = 3;

// A file and what its blocks hold.
struct Content {
  std::string path;
  Model model;
  // By partition and block: its rows in the model.
  struct Block {
    uint32_t first = 0;
    uint32_t last = 0;
  };
  std::vector<std::vector<Block>> blocks;
};

class CacheHistory {
 public:
  explicit CacheHistory(Input* input)
      : input_(input),
        disk_(FileSystem::create_memory()),
        cache_(&shared_memory(), &shared_epochs(), read_capacity(input)) {
    for (size_t i = 0; i < std::size(contents_); ++i) make_content(i);
  }

  ~CacheHistory() {
    held_.clear();
    for (const OpenSstable& open : sstables_) {
      if (open.sstable != nullptr) open.sstable->unref();
    }
    cache_.release_idle();
  }

  void run() {
    for (size_t i = 0; i < kOperationsMax && !input_->empty(); ++i) {
      const uint8_t failure = input_->u8();
      reads_to_failure_ = failure >= 0xf0 ? 1 + failure % 4 : 0;
      refuses_memory_ = failure >= 0xe0 && failure < 0xf0;
      if (refuses_memory_) shared_memory().fail_allocation_after(1 + failure % 4);
      read_failed_ = false;
      step();
      shared_memory().fail_allocation_after(0);
      reads_to_failure_ = 0;
      FUZZ_CHECK(cache_.bytes() <= ceiling_);
    }
    for (const auto& held : held_) check_content(*held);
  }

 private:
  struct OpenSstable {
    Sstable* sstable = nullptr;
    size_t content = 0;
  };
  // A frame in use, for the engine or for a user.
  struct Held {
    FrameRef frame;
    const Content* const content;
    const uint32_t partition;
    std::optional<uint32_t> block;  // nothing: the partition itself
    bool is_filter = false;
    bool is_users = false;
    size_t sstable = SIZE_MAX;  // which it can lead on in, while that is open

    Held(const Content* held_content, uint32_t held_partition)
        : content(held_content), partition(held_partition) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() {
      if (is_users && frame) BlockCache::unpin_for_user(frame.release());
    }
  };

  static uint64_t read_capacity(Input* input) {
    const uint8_t shape = input->u8();
    return shape < 0x20 ? 0 : uint64_t{shape} << (input->below(6) + 2);
  }

  void make_content(size_t i) {
    Content& content = contents_[i];
    content.path = path_in(kDirectory, sstable_name({i + 1}));
    content.model.read(input_, 200);
    const SstableWriterOptions options{
        .block_size = input_->flag() ? 1u : 64u + input_->below(256),
        .filter_bits_per_key = input_->below(12),
        .codec = input_->flag() ? Compression::zstd : Compression::none};
    build_sstable(disk_.get(), content.path, options, content.model, 0, content.model.size(),
                  {i + 1, i + 7});
    BlockCache roomy(&shared_memory(), &shared_epochs(), 16 << 20);
    Result<Sstable*> opened = Sstable::open_unknown(disk_.get(), content.path, &roomy);
    FUZZ_CHECK(opened.ok());
    Sstable* const files[] = {*opened};
    {
      RunCursor cursor(&shared_memory());
      cursor.reset(files, /*fill_cache=*/true);
      cursor.seek_to_first();
      for (uint32_t row = 0; cursor.valid(); cursor.next(), ++row) {
        check_place(cursor, content.model, row);
        content.blocks.resize(cursor.partition_index() + 1);
        std::vector<Content::Block>& blocks = content.blocks.back();
        if (blocks.size() <= cursor.block_index()) blocks.push_back({row, row});
        blocks.back().last = row + 1;
      }
    }
    for (uint32_t p = 0; p < content.blocks.size(); ++p) {
      const Result<FrameRef> partition = (*opened)->partition(p, /*fill_cache=*/true);
      note_size(partition);
      note_size((*opened)->filter(p, /*fill_cache=*/true));
      for (uint32_t b = 0; b < content.blocks[p].size(); ++b) {
        note_size((*opened)->block(*partition, b, /*fill_cache=*/true));
      }
    }
    (*opened)->unref();
  }

  void note_size(const Result<FrameRef>& frame) {
    FUZZ_CHECK(frame.ok());
    if (*frame) largest_frame_ = std::max<uint64_t>(largest_frame_, (*frame)->memory_size);
  }

  void step() {
    switch (input_->u8() % 16) {
      case 0:
        return open_or_close();
      case 1:
      case 2:
        return hold_partition();
      default:
        return hold_block();
      case 7:
        return hold_filter();
      case 8:
      case 9:
        return get();
      case 10:
      case 11:
      case 12:
        return drop_one();
      case 13:
        return hand_to_user();
      case 14:
        return check_one();
      case 15:
        shared_epochs().collect();
        return;
    }
  }

  OpenSstable* pick_sstable() {
    OpenSstable& picked = sstables_[input_->u8() % kSstablesMax];
    return picked.sstable == nullptr ? nullptr : &picked;
  }
  size_t index_of(const OpenSstable* sstable) const {
    return static_cast<size_t>(sstable - sstables_);
  }

  void open_or_close() {
    const size_t i = input_->u8() % kSstablesMax;
    OpenSstable& picked = sstables_[i];
    if (picked.sstable != nullptr) {
      for (const auto& held : held_) {
        if (held->sstable == i) held->sstable = SIZE_MAX;
      }
      std::exchange(picked.sstable, nullptr)->unref();
      return;
    }
    picked.content = input_->below(static_cast<uint32_t>(std::size(contents_)));
    Result<Sstable*> opened =
        Sstable::open_unknown(&files_, contents_[picked.content].path, &cache_);
    if (accepted(opened.status())) picked.sstable = *opened;
  }

  // False: it failed, and may.
  bool accepted(const Status& status) const {
    if (status.ok()) return true;
    FUZZ_CHECK_SAYING((status.code() == StatusCode::io_error && read_failed_) ||
                          (status.code() == StatusCode::out_of_memory && refuses_memory_),
                      status.to_string());
    return false;
  }

  // `misses`: of the cache, before `frame` was asked for.
  void hold(std::unique_ptr<Held> held, Result<FrameRef> frame, uint64_t misses) {
    if (!accepted(frame.status()) || !*frame) return;
    held->frame = std::move(*frame);
    check_content(*held);
    const bool came_in = held->frame->slot != nullptr && this->misses() != misses;
    held_.push_back(std::move(held));
    if (came_in) ceiling_ = bound();
    FUZZ_CHECK(cache_.bytes() <= ceiling_);
    if (held_.size() > kHeldMax) held_.pop_front();
  }
  uint64_t misses() { return cache_.statistics().misses.get(); }

  void hold_partition() {
    const OpenSstable* open = pick_sstable();
    const uint8_t choice = input_->u8();
    if (open == nullptr) return;
    const Content& content = contents_[open->content];
    const auto partition = static_cast<uint32_t>((choice >> 1) % content.blocks.size());
    auto held = std::make_unique<Held>(&content, partition);
    held->sstable = index_of(open);
    const uint64_t before = misses();
    hold(std::move(held), open->sstable->partition(partition, (choice & 1) != 0), before);
  }
  void hold_filter() {
    const OpenSstable* open = pick_sstable();
    const uint8_t choice = input_->u8();
    if (open == nullptr) return;
    const Content& content = contents_[open->content];
    const auto partition = static_cast<uint32_t>((choice >> 1) % content.blocks.size());
    auto held = std::make_unique<Held>(&content, partition);
    held->is_filter = true;
    const uint64_t before = misses();
    hold(std::move(held), open->sstable->filter(partition, (choice & 1) != 0), before);
  }
  // In a partition that is held.
  void hold_block() {
    const uint8_t choice = input_->u8();
    const uint8_t which = input_->u8();
    if (held_.empty()) return hold_partition();
    const Held& parent = *held_[choice % held_.size()];
    if (parent.block || parent.is_filter || parent.is_users || parent.sstable == SIZE_MAX) return;
    const std::vector<Content::Block>& blocks = parent.content->blocks[parent.partition];
    auto held = std::make_unique<Held>(parent.content, parent.partition);
    held->block = static_cast<uint32_t>((which >> 1) % blocks.size());
    const uint64_t before = misses();
    Result<FrameRef> frame =
        sstables_[parent.sstable].sstable->block(parent.frame, *held->block, (which & 1) != 0);
    hold(std::move(held), std::move(frame), before);
  }

  void get() {
    const OpenSstable* open = pick_sstable();
    const uint8_t choice = input_->u8();
    if (open == nullptr) return;
    const Content& content = contents_[open->content];
    const Row& near = content.model.rows()[(choice >> 2) % content.model.size()];
    const std::string key = (choice & 1) != 0 ? near.key : near.key + "x";
    const Timestamp snapshot = (choice & 2) != 0 ? near.timestamp : kTimestampMax;
    const uint32_t expected = content.model.find(key, snapshot);
    {
      ReadAccess access{.fill_cache = input_->flag()};
      FoundVersion found;
      const Result<bool> result = open->sstable->get(key, key_hash(key), snapshot, &access, &found);
      if (accepted(result.status())) {
        FUZZ_CHECK(*result == (expected < content.model.size()));
        FUZZ_CHECK(!*result || found.value == content.model.rows()[expected].value);
      }
    }
    // Meanwhile a partition and a block of it were in use, at most.
    ceiling_ = std::max(ceiling_, bound() + 2 * largest_frame_);
  }

  void drop_one() {
    const uint8_t choice = input_->u8();
    if (held_.empty()) return;
    const auto held = held_.begin() + choice % std::ssize(held_);
    check_content(**held);
    held_.erase(held);
  }
  void hand_to_user() {
    const uint8_t choice = input_->u8();
    if (held_.empty()) return;
    Held& held = *held_[choice % held_.size()];
    if (held.is_users) return;
    cache_.pin_for_user(held.frame.get());
    Frame* const frame = held.frame.get();
    held.frame.reset();
    held.frame = FrameRef(frame);
    held.is_users = true;
    int64_t users = 0;
    for (const auto& other : held_) users += other->is_users;
    FUZZ_CHECK(cache_.pins().count() == users);
  }
  void check_one() {
    const uint8_t choice = input_->u8();
    if (!held_.empty()) check_content(*held_[choice % held_.size()]);
  }

  static void check_content(const Held& held) {
    const std::vector<Content::Block>& blocks = held.content->blocks[held.partition];
    const Model& model = held.content->model;
    if (held.is_filter) {
      for (uint32_t row = blocks.front().first; row < blocks.back().last; ++row) {
        FUZZ_CHECK(held.frame->filter.may_contain(key_hash(model.rows()[row].key)));
      }
      return;
    }
    const BlockView& view = held.frame->view;
    if (!held.block) return FUZZ_CHECK(view.row_count() == blocks.size());
    const Content::Block& block = blocks[*held.block];
    FUZZ_CHECK(view.row_count() == block.last - block.first);
    for (uint32_t i = 0; i < view.row_count(); ++i) {
      const Row& row = model.rows()[block.first + i];
      FUZZ_CHECK(view.has_key(i, row.key) && view.timestamp(i) == row.timestamp);
      FUZZ_CHECK(view.kind(i) == row.kind && view.row(i).value == row.value);
    }
  }

  // The capacity, and what cannot be evicted now.
  uint64_t bound() const {
    std::set<const Frame*> in_use;
    for (const auto& held : held_) {
      in_use.insert(held->frame.get());
      if (held->frame->parent != nullptr) in_use.insert(held->frame->parent);
    }
    uint64_t bytes = cache_.capacity();
    for (const Frame* frame : in_use) bytes += frame->memory_size;
    return bytes;
  }

  Status before_call(const test::FileCall& call) {
    if (call.kind != test::FileCall::Kind::read || reads_to_failure_ == 0) return Status();
    if (--reads_to_failure_ != 0) return Status();
    read_failed_ = true;
    return Status::io_error(call.path + ": injected failure");
  }

  Input* const input_;
  const std::unique_ptr<FileSystem> disk_;
  test::HookedFiles files_{disk_.get(),
                           [this](const test::FileCall& call) { return before_call(call); }};
  Content contents_[2];
  BlockCache cache_;
  OpenSstable sstables_[kSstablesMax];
  std::deque<std::unique_ptr<Held>> held_;
  uint64_t largest_frame_ = 0;
  uint64_t ceiling_ = 0;  // of bytes in the cache, since the last frame came in
  uint64_t reads_to_failure_ = 0;
  bool read_failed_ = false;
  bool refuses_memory_ = false;
};

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::Input input(data, size);
  varve::fuzz::CacheHistory(&input).run();
  varve::fuzz::check_nothing_held();
  return 0;
}
