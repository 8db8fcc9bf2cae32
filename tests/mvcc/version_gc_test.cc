#include "mvcc/version_gc.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "mvcc/visibility.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

constexpr VersionKind kValue = VersionKind::value;
constexpr VersionKind kTombstone = VersionKind::tombstone;

struct Version {
  Timestamp timestamp;
  VersionKind kind = kValue;
  uint64_t content = 0;  // tells versions apart; the timestamp as it was written
  friend bool operator==(const Version&, const Version&) = default;
};

// Of one key, newest first.
using Chain = std::vector<Version>;

struct Readers {
  Timestamp watermark;
  std::vector<Timestamp> snapshots;  // below it, ascending
};

std::string text(const Chain& chain, const Readers& readers) {
  std::string all = "W " + std::to_string(readers.watermark.nanos) + ", snapshots";
  for (const Timestamp s : readers.snapshots) all += " " + std::to_string(s.nanos);
  all += ", versions";
  for (const Version& v : chain) {
    all += " " + std::to_string(v.timestamp.nanos) + (v.kind == kTombstone ? "-" : "+");
  }
  return all;
}

Chain collected(const Chain& chain, VersionGc* gc) {
  Chain kept;
  std::optional<Version> held;
  for (size_t i = 0; i < chain.size(); ++i) {
    const VersionGc::Verdict verdict = gc->next(i == 0, chain[i].timestamp, chain[i].kind);
    if (!verdict.keep) continue;
    if (verdict.hold) {
      held = chain[i];
      continue;
    }
    if (held) kept.push_back(*held);
    held.reset();
    kept.push_back(chain[i]);
    if (verdict.collapse) kept.back().timestamp = kTimestampMin;
  }
  return kept;
}

Chain collected(const Chain& chain, const Readers& readers, bool bottom) {
  VersionGc gc({.watermark = readers.watermark, .snapshots = readers.snapshots}, bottom);
  return collected(chain, &gc);
}

const Version* seen(const Chain& chain, Timestamp reader) {
  const auto at = std::find_if(chain.begin(), chain.end(), [reader](const Version& version) {
    return is_visible(version.timestamp, reader);
  });
  return at == chain.end() ? nullptr : &*at;
}

// What a reader gets: not bottom, a tombstone is told from nothing, since it hides older runs.
std::optional<std::pair<VersionKind, uint64_t>> answer(const Chain& chain, Timestamp reader,
                                                       bool bottom) {
  const Version* version = seen(chain, reader);
  if (version == nullptr || (bottom && version->kind == kTombstone)) return std::nullopt;
  return std::pair(version->kind, version->content);
}

// Every reader that the horizon allows, up to `newest`.
std::vector<Timestamp> all_readers(const Readers& readers, uint64_t newest) {
  std::vector<Timestamp> all = readers.snapshots;
  for (uint64_t t = readers.watermark.nanos; t <= newest; ++t) all.push_back({t});
  all.push_back(kTimestampMax);
  return all;
}

// One failure is enough of so many cases.
void check(const Chain& chain, const Readers& readers, bool bottom, uint64_t newest) {
  const Chain kept = collected(chain, readers, bottom);
  const std::vector<Timestamp> all = all_readers(readers, newest);
  const auto describe = [&] {
    return text(chain, readers) + (bottom ? ", bottom" : "") + ", kept " + text(kept, {});
  };
  for (const Timestamp reader : all) {
    ASSERT_EQ(answer(kept, reader, bottom), answer(chain, reader, bottom))
        << "reader at " << reader.nanos << ": " << describe();
  }
  const Timestamp oldest_reader = all.front();
  for (size_t i = 0; i < kept.size(); ++i) {
    if (i > 0) {
      ASSERT_LT(kept[i].timestamp, kept[i - 1].timestamp) << "order: " << describe();
    }
    const Timestamp written{kept[i].content};
    ASSERT_TRUE(std::any_of(all.begin(), all.end(),
                            [&](Timestamp reader) {
                              const Version* version = seen(chain, reader);
                              return version != nullptr && version->timestamp == written;
                            }))
        << "nobody sees " << written.nanos << ": " << describe();
    if (bottom && i + 1 == kept.size() && written <= readers.watermark) {
      ASSERT_NE(kept[i].kind, kTombstone) << "hides nothing: " << describe();
    }
    if (bottom && written <= oldest_reader) {
      ASSERT_NE(kept[i].kind, kTombstone) << "hides nothing: " << describe();
      ASSERT_EQ(kept[i].timestamp, kTimestampMin) << "not collapsed: " << describe();
    } else {
      ASSERT_EQ(kept[i].timestamp, written) << "collapsed: " << describe();
    }
  }
}

TEST(VersionGc, every_reader_sees_the_same_and_nothing_superfluous_is_kept) {
  constexpr uint64_t kNewest = 5;  // versions at 0..5, each absent, a value or a tombstone
  for (uint64_t code = 0; code < 729; ++code) {
    Chain chain;
    uint64_t rest = code;
    for (uint64_t t = 0; t <= kNewest; ++t, rest /= 3) {
      if (rest % 3 != 0) chain.insert(chain.begin(), {{t}, rest % 3 == 1 ? kValue : kTombstone, t});
    }
    for (uint64_t watermark = 0; watermark <= kNewest + 1; ++watermark) {
      for (uint64_t set = 0; set < (1u << watermark); ++set) {
        Readers readers{.watermark = {watermark}, .snapshots = {}};
        for (uint64_t t = 0; t < watermark; ++t) {
          if ((set >> t & 1) != 0) readers.snapshots.push_back({t});
        }
        for (const bool bottom : {false, true}) {
          check(chain, readers, bottom, kNewest);
          if (::testing::Test::HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(VersionGc, long_chains_of_many_keys_under_many_snapshots) {
  VARVE_SEEDED_TEST(random);
  for (int round = 0; round < 500; ++round) {
    const uint64_t newest = 1 + random.below(60);
    Readers readers{.watermark = {random.below(newest + 2)}, .snapshots = {}};
    for (uint64_t t = 0; t < readers.watermark.nanos; ++t) {
      if (random.one_in(4)) readers.snapshots.push_back({t});
    }
    const bool bottom = random.one_in(2);
    // One collector over a stream of keys does what a fresh one does for each.
    VersionGc gc({.watermark = readers.watermark, .snapshots = readers.snapshots}, bottom);
    for (int key = 0; key < 5; ++key) {
      Chain chain;
      for (uint64_t t = newest + 1; t-- > 0;) {
        if (random.one_in(3)) chain.push_back({{t}, random.one_in(3) ? kTombstone : kValue, t});
      }
      check(chain, readers, bottom, newest);
      ASSERT_FALSE(::testing::Test::HasFatalFailure());
      ASSERT_EQ(collected(chain, &gc), collected(chain, readers, bottom)) << text(chain, readers);
    }
  }
}

TEST(VersionGc, example_of_the_header) {
  // As drawn in mvcc/version_gc.h: v9 v7, W, v5 v4, s2, v3 v2, s1, v1.
  const Chain chain{{{90}, kValue, 90}, {{70}, kValue, 70}, {{50}, kValue, 50}, {{40}, kValue, 40},
                    {{30}, kValue, 30}, {{20}, kValue, 20}, {{10}, kValue, 10}};
  const Readers readers{.watermark = {60}, .snapshots = {{15}, {35}}};
  const auto content = [](const Chain& kept) {
    std::vector<uint64_t> all;
    for (const Version& version : kept) all.push_back(version.content);
    return all;
  };
  EXPECT_EQ(content(collected(chain, readers, false)), (std::vector<uint64_t>{90, 70, 50, 30, 10}));
  const Chain at_bottom = collected(chain, readers, true);
  EXPECT_EQ(content(at_bottom), (std::vector<uint64_t>{90, 70, 50, 30, 10}));
  EXPECT_EQ(at_bottom.back().timestamp, kTimestampMin);
}

TEST(VersionGc, an_erased_key_that_nobody_remembers_is_gone_at_the_bottom) {
  const Chain chain{{{5}, kTombstone, 5}, {{3}, kValue, 3}};
  EXPECT_TRUE(collected(chain, {.watermark = {5}, .snapshots = {}}, true).empty());
  EXPECT_EQ(collected(chain, {.watermark = {5}, .snapshots = {}}, false).size(), 1u)
      << "above the bottom it still hides older runs";
  EXPECT_EQ(collected(chain, {.watermark = {4}, .snapshots = {}}, true).size(), 2u)
      << "a reader at the watermark sees the value";
  EXPECT_EQ(collected(chain, {.watermark = {9}, .snapshots = {{3}}}, true).size(), 2u)
      << "a snapshot sees the value";
}

}  // namespace
}  // namespace varve
