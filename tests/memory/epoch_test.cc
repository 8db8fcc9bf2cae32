#include "memory/epoch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/process_barrier.h"
#include "base/random.h"
#include "base/thread.h"

namespace varve {
namespace {

// Counts its reclamation; lives on.
struct Object : Retired {
  Object() {
    reclaim = [](Retired* self) { static_cast<Object*>(self)->reclaimed.fetch_add(1); };
  }
  Atomic<int> reclaimed{0};
};

// A thread that enters and leaves a guard when told.
class Reader {
 public:
  explicit Reader(EpochDomain& domain)
      : domain_(domain), thread_("varve-test", 0, [this] { run(); }) {}
  ~Reader() { set(kEnd); }
  void enter() { set(kInside); }
  void leave() { set(kOutside); }

 private:
  enum State { kOutside, kInside, kEnd };
  void set(State state) {
    MutexLock lock(mutex_);
    wanted_ = state;
    changed_.notify_all();
    while (reached_ != state) changed_.wait(mutex_);
  }
  // Says that `state` is reached, and returns what is wanted next.
  State next_after(State state) {
    MutexLock lock(mutex_);
    reached_ = state;
    changed_.notify_all();
    while (wanted_ == state) changed_.wait(mutex_);
    return wanted_;
  }
  void run() {
    State state = next_after(kOutside);
    while (state != kEnd) {
      if (state == kInside) {
        const EpochDomain::Guard guard(domain_);
        state = next_after(kInside);
      }
      if (state == kOutside) state = next_after(kOutside);
    }
    MutexLock lock(mutex_);
    reached_ = kEnd;
    changed_.notify_all();
  }

  EpochDomain& domain_;
  Mutex mutex_;
  CondVar changed_;
  State wanted_ VARVE_GUARDED_BY(mutex_) = kOutside;
  State reached_ VARVE_GUARDED_BY(mutex_) = kOutside;
  Thread thread_;
};

// Both kinds of barrier, where the machine has both.
class Epoch : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !process_barrier_available()) GTEST_SKIP() << "no membarrier here";
  }
  std::unique_ptr<EpochDomain> new_domain() { return std::make_unique<EpochDomain>(GetParam()); }
};

TEST_P(Epoch, WithoutGuardsCollectReclaimsEverything) {
  const auto domain = new_domain();
  Object objects[5];
  for (Object& object : objects) domain->retire(&object);
  EXPECT_EQ(domain->collect(), 0u);
  for (Object& object : objects) EXPECT_EQ(object.reclaimed.load(), 1);
  EXPECT_EQ(domain->collect(), 0u);
}

TEST_P(Epoch, AGuardHoldsWhatItMaySee) {
  const auto domain = new_domain();
  Object object;
  Reader reader(*domain);
  reader.enter();
  domain->retire(&object);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(domain->collect(), 1u);
  EXPECT_EQ(object.reclaimed.load(), 0);
  reader.leave();
  EXPECT_EQ(domain->collect(), 0u);
  EXPECT_EQ(object.reclaimed.load(), 1);
}

TEST_P(Epoch, AGuardOfTheRetiringThreadCountsToo) {
  const auto domain = new_domain();
  Object object;
  {
    const EpochDomain::Guard guard(*domain);
    domain->retire(&object);
    EXPECT_EQ(domain->collect(), 1u);
  }
  EXPECT_EQ(domain->collect(), 0u);
}

TEST_P(Epoch, ALaterGuardHoldsNothingOfBefore) {
  const auto domain = new_domain();
  Object before;
  Object after;
  Reader older(*domain);
  Reader newer(*domain);
  older.enter();
  domain->retire(&before);
  EXPECT_EQ(domain->collect(), 1u);
  newer.enter();
  domain->retire(&after);
  EXPECT_EQ(domain->collect(), 2u);
  older.leave();
  EXPECT_EQ(domain->collect(), 1u);
  EXPECT_EQ(before.reclaimed.load(), 1);
  EXPECT_EQ(after.reclaimed.load(), 0);
  newer.leave();
  EXPECT_EQ(domain->collect(), 0u);
}

TEST_P(Epoch, NestedGuardsHoldUntilTheLastLeaves) {
  const auto domain = new_domain();
  Object object;
  auto outer = std::make_unique<EpochDomain::Guard>(*domain);
  auto inner = std::make_unique<EpochDomain::Guard>(*domain);
  domain->retire(&object);
  EXPECT_EQ(domain->collect(), 1u);
  outer.reset();  // not in order: allowed
  EXPECT_EQ(domain->collect(), 1u);
  inner.reset();
  EXPECT_EQ(domain->collect(), 0u);
}

TEST_P(Epoch, DomainsAreIndependent) {
  const auto held = new_domain();
  const auto free = new_domain();
  Object object;
  const EpochDomain::Guard guard(*held);
  free->retire(&object);
  EXPECT_EQ(free->collect(), 0u);
}

TEST_P(Epoch, RetireCollectsNowAndThen) {
  const auto domain = new_domain();
  std::vector<Object> objects(1000);
  for (Object& object : objects) domain->retire(&object);
  int reclaimed = 0;
  for (Object& object : objects) reclaimed += object.reclaimed.load();
  EXPECT_GE(reclaimed, 900);
  domain->collect();
}

TEST_P(Epoch, DestructionReclaimsTheRest) {
  Object objects[3];
  {
    const auto domain = new_domain();
    for (Object& object : objects) domain->retire(&object);
  }
  for (Object& object : objects) EXPECT_EQ(object.reclaimed.load(), 1);
}

// A long chain, each object of which retires the next: no deep stack, nothing lost.
TEST_P(Epoch, ReclaimMayRetire) {
  struct Link : Retired {
    EpochDomain* domain = nullptr;
    Link* following = nullptr;
    size_t* count = nullptr;
  };
  constexpr size_t kLinks = 100'000;
  size_t count = 0;
  std::vector<Link> links(kLinks);
  {
    const auto domain = new_domain();
    for (size_t i = 0; i < kLinks; ++i) {
      links[i].domain = domain.get();
      links[i].count = &count;
      if (i + 1 < kLinks) links[i].following = &links[i + 1];
      links[i].reclaim = [](Retired* self) {
        Link* link = static_cast<Link*>(self);
        ++*link->count;
        if (link->following != nullptr) link->domain->retire(link->following);
      };
    }
    domain->retire(&links[0]);
  }
  EXPECT_EQ(count, kLinks);
}

TEST_P(Epoch, DrainWaitsForReaders) {
  const auto domain = new_domain();
  Object object;
  Reader reader(*domain);
  reader.enter();
  domain->retire(&object);
  Atomic<int> seen_after_drain{-1};
  Thread drainer("varve-test", 0, [&] {
    domain->drain();
    seen_after_drain.store(object.reclaimed.load());
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(seen_after_drain.load(), -1);
  reader.leave();
  drainer.join();
  EXPECT_EQ(seen_after_drain.load(), 1);
  domain->drain();  // nothing left: returns at once
}

// Two threads whose reclaiming never comes to an end at the same time: each is kept busy until the
// other is. drain() waited for a moment when nobody reclaimed, which never came.
TEST_P(Epoch, DrainEndsBesideEndlessReclaiming) {
  static Atomic<uint64_t> entered;
  static Atomic<bool> stop;
  entered.store(0);
  stop.store(false);
  struct Relay : Retired {
    Relay() {
      reclaim = [](Retired* self) {
        const uint64_t mine = entered.fetch_add(1) + 1;
        while (entered.load() == mine && !stop.load()) std::this_thread::yield();
        delete static_cast<Relay*>(self);
      };
    }
  };
  const auto domain = new_domain();
  {
    std::vector<std::unique_ptr<Thread>> runners;
    for (int i = 0; i < 2; ++i) {
      runners.push_back(std::make_unique<Thread>("varve-test", 0, [&] {
        while (!stop.load()) {
          domain->retire(new Relay);
          domain->collect();
        }
      }));
    }
    while (entered.load() < 4) std::this_thread::yield();
    Object object;
    domain->retire(&object);
    domain->drain();
    EXPECT_EQ(object.reclaimed.load(), 1);
    stop.store(true);
    for (const auto& runner : runners) runner->join();
  }
  domain->drain();
}

// What another thread has in hand is waited for.
TEST_P(Epoch, DrainWaitsForWhoReclaims) {
  static Atomic<int> stage;  // 1: it is reclaimed, 2: it may end, 3: it has
  stage.store(0);
  struct Slow : Retired {
    Slow() {
      reclaim = [](Retired*) {
        stage.store(1);
        while (stage.load() != 2) std::this_thread::yield();
        stage.store(3);
      };
    }
  };
  const auto domain = new_domain();
  Slow slow;
  domain->retire_uncollected(&slow);  // a collection would wait here
  Thread reclaimer("varve-test", 0, [&] { domain->collect(); });
  while (stage.load() != 1) std::this_thread::yield();
  Thread drainer("varve-test", 0, [&] {
    domain->drain();
    EXPECT_EQ(stage.load(), 3);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  stage.store(2);
  drainer.join();
  reclaimer.join();
}

// More readers than slots: the last ones share counters.
TEST_P(Epoch, GuardsOfThreadsWithoutASlotHoldToo) {
  const auto domain = new_domain();
  std::vector<std::unique_ptr<Reader>> readers;
  for (size_t i = 0; i < kThreadSlots; ++i) {
    readers.push_back(std::make_unique<Reader>(*domain));
    readers.back()->enter();
    if (i < kThreadSlots - 1) readers.back()->leave();  // keeps its slot, holds nothing
  }
  Reader& without_slot = *readers.back();
  Object first;
  domain->retire(&first);
  EXPECT_EQ(domain->collect(), 1u);
  without_slot.leave();
  EXPECT_EQ(domain->collect(), 0u);
  // Overlapping ones do not hold the epoch for ever: the counters take turns.
  Reader a(*domain);
  Reader b(*domain);
  a.enter();
  Object second;
  domain->retire(&second);
  EXPECT_EQ(domain->collect(), 1u);
  b.enter();
  a.leave();
  EXPECT_EQ(domain->collect(), 0u);
  b.leave();
}

// The thing itself: readers follow a pointer that writers replace, and must never see an object
// after its reclamation. Objects are reused at once, so that a guard that does not hold is seen (by
// the state, and by TSan as a race on `state`).
struct Version : Retired {
  static constexpr uint64_t kAlive = 0xa11fe;
  uint64_t state = 0;
  uint64_t copy = 0;
  Atomic<bool> free{true};
};

TEST_P(Epoch, ReadersNeverSeeWhatIsReclaimed) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  constexpr size_t kReaders = 4;
  constexpr size_t kWriters = 2;
  constexpr size_t kVersionsEach = 256;
  const auto domain = new_domain();
  std::vector<Version> versions(kWriters * kVersionsEach + 1);
  for (Version& version : versions) {
    version.reclaim = [](Retired* self) {
      Version* v = static_cast<Version*>(self);
      v->state = 0;
      v->copy = 1;
      v->free.store(true, kRelease);
    };
  }
  versions.back().state = versions.back().copy = Version::kAlive;
  Atomic<Version*> current{&versions.back()};
  Atomic<bool> ended{false};
  Atomic<uint64_t> violations{0};
  Atomic<uint64_t> reads{0};
  {
    std::vector<Thread> readers;
    for (size_t r = 0; r < kReaders; ++r) {
      readers.emplace_back("varve-test", 0, [&, r] {
        Random random(seed + r);
        uint64_t count = 0;
        while (!ended.load(kRelaxed)) {
          const EpochDomain::Guard guard(*domain);
          const Version* version = current.load(kAcquire);
          const uint64_t spins = random.below(30);
          for (uint64_t i = 0; i <= spins; ++i) {
            if (version->state < Version::kAlive || version->copy != version->state) {
              violations.fetch_add(1);
            }
            spin_pause();
          }
          if (random.one_in(64)) {
            const EpochDomain::Guard nested(*domain);
            std::this_thread::yield();
          }
          ++count;
        }
        reads.fetch_add(count);
      });
    }
    std::vector<Thread> writers;
    for (size_t w = 0; w < kWriters; ++w) {
      writers.emplace_back("varve-test", 0, [&, w] {
        Version* own = &versions[w * kVersionsEach];
        for (uint64_t i = 0; i < 20'000; ++i) {
          Version* version = &own[i % kVersionsEach];
          while (!version->free.load(kAcquire)) {
            domain->collect();
            std::this_thread::yield();
          }
          version->free.store(false, kRelaxed);
          version->state = version->copy = Version::kAlive + i;
          domain->retire(current.exchange(version, kAcqRel));
        }
      });
    }
    writers.clear();
    ended.store(true);
  }
  EXPECT_EQ(violations.load(), 0u);
  EXPECT_GT(reads.load(), 0u);
  domain->retire(current.load());
}

INSTANTIATE_TEST_SUITE_P(Barriers, Epoch, testing::Bool(), [](const auto& info) {
  return std::string(info.param ? "Asymmetric" : "Symmetric");
});

}  // namespace
}  // namespace varve
