// Every bit of every file of a database flipped, every file cut at every length, sectors swapped:
// opening, reading or verify() says so, or every answer is right. A wrong answer is a failure.
//
// One place is counted apart, where damage cannot be told from a crash in the middle of a write:
// the last group of a log that was not closed cleanly (with everything behind a cut). There the
// answers must be those at an earlier commit.
//
//   VARVE_TEST_SEED        replays a run
//   VARVE_TEST_ITERATIONS  pieces of damage to try in each test (default: a sample;
//                          tests/campaign.sh tries all)

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "lsm/current_file.h"
#include "lsm/manifest.h"
#include "lsm/wal_reader.h"
#include "memory/memory_manager.h"
#include "tests/sim/sim_history.h"
#include "tests/sim/sim_workload.h"
#include "tests/support/seeded_test.h"
#include "tests/support/sim_file_system.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve::test {
namespace {

constexpr uint64_t kSampleBytes = 48 * 1024;
constexpr uint64_t kWholeBytes = 256 * 1024;
// From so many pieces of damage on, the larger database is made.
constexpr uint64_t kWholeFrom = 100'000;

class BitSweep : public testing::Test {
 protected:
  enum class Verdict : uint8_t { refused, read_error, found_by_verify, all_right, lost_end, wrong };
  static constexpr size_t kVerdicts = 6;

  struct DatabaseFile {
    std::string path;
    std::string kind;
    uint64_t size;
    uint64_t end_from;  // damage from here on may look like a torn write
  };

  // All kinds of files; closed cleanly, or left as by the death of the process right after commits
  // that were synced.
  void make(uint64_t seed, uint64_t bytes, bool clean) {
    const ReplayedEntropy entropy(seed);
    Random seeds(seed);
    disk_ = std::make_unique<SimFileSystem>(seeds.next());
    history_ = history_of_creation();
    SimWorkload workload(
        disk_.get(), history_, {.submitted = 1}, seeds.next(),
        {.value_size_max = 500, .keys = bytes / 2048, .reopens = false, .logs_to_file = true});
    ASSERT_OK(workload.open());
    workload.make_keyspaces();
    while (live_bytes() < bytes) workload.step();
    ASSERT_OK(workload.database()->flush());
    workload.steps(30);
    ASSERT_OK(workload.database()->flush());
    for (int i = 0; i < 4; ++i) workload.expect_writable();
    if (clean) ASSERT_OK(workload.close());
    if (!clean) {
      std::unique_ptr<SimFileSystem> left = disk_->copy();
      disk_->power_off();
      workload.let_go();
      disk_ = std::move(left);
    }
    last_ = history_->submitted();
    clean_ = clean;
    list_files();
  }

  // What the files hold; space that is only reserved aside.
  uint64_t live_bytes() {
    uint64_t bytes = 0;
    for (const std::string& name : std::vector<std::string>(disk_->list(kSimDirectory).value())) {
      bytes += disk_->info(path_in(kSimDirectory, name))->size;
    }
    return bytes;
  }

  void list_files() {
    files_.clear();
    Result<CurrentManifest> current = read_current(disk_.get(), kSimDirectory);
    ASSERT_OK(current);
    Result<ManifestState> state = read_manifest(
        disk_.get(), path_in(kSimDirectory, manifest_name(current->number)), &current->file);
    ASSERT_OK(state);
    std::vector<FileNumber> segments;
    std::vector<std::string> names = disk_->list(kSimDirectory).value();
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      const FileName parsed = parse_file_name(name);
      if (parsed.type == FileType::wal) segments.push_back(parsed.number);
    }
    std::sort(segments.begin(), segments.end());
    MemoryManager memory(4 << 20);
    WalReader reader(disk_.get(), kSimDirectory, &memory, &state->database);
    ASSERT_OK(reader.open(segments, state->log_start));
    WalGroup group;
    FileNumber last_segment;
    uint64_t last_group = 0;
    for (;;) {
      Result<bool> more = reader.next(&group);
      ASSERT_OK(more);
      if (!*more) break;
      last_segment = group.segment;
      last_group = group.offset;
    }
    for (const std::string& name : names) {
      const FileName parsed = parse_file_name(name);
      DatabaseFile file{
          .path = path_in(kSimDirectory, name), .kind = name, .size = 0, .end_from = UINT64_MAX};
      file.size = disk_->info(file.path)->size;
      if (parsed.type == FileType::sstable) file.kind = "sstable";
      if (parsed.type == FileType::values) file.kind = "values";
      if (parsed.type == FileType::wal) file.kind = "log";
      if (parsed.type == FileType::manifest) file.kind = "manifest";
      if (parsed.type == FileType::wal && parsed.number == last_segment && !clean_) {
        file.end_from = last_group;
      }
      if (file.size != 0) files_.push_back(std::move(file));
    }
  }

  static bool is_for_people(const DatabaseFile& file) {
    return file.kind == "LOG" || file.kind == "LOG.old" || file.kind == "STATS";
  }

  // `at_end`: an earlier commit is accepted.
  Verdict judge(SimFileSystem* damaged, bool at_end) {
    SimWorkload reader(damaged, history_, {}, 1, {.logs_to_file = true});
    if (!reader.open().ok()) return Verdict::refused;
    Result<SimState> found = read_state(reader.database());
    Verdict verdict = Verdict::read_error;
    if (found.ok()) {
      const SimPromise all{.durable = last_, .unlogged = last_, .submitted = last_};
      const SimPromise earlier{.submitted = last_};
      if (history_->place(*found, all)) {
        verdict = reader.database()->verify().ok() ? Verdict::all_right : Verdict::found_by_verify;
      } else {
        const bool lost = at_end && history_->place(*found, earlier);
        verdict = lost ? Verdict::lost_end : Verdict::wrong;
        if (verdict == Verdict::wrong) ADD_FAILURE() << history_->describe(*found, all);
      }
    } else {
      EXPECT_FALSE(found.status().message().starts_with("disagree")) << found.status().to_string();
    }
    damaged->power_off();
    reader.let_go();
    return verdict;
  }

  using Damage = std::function<void(std::string* bytes)>;
  // `at_end`: of the newest group of the log.
  void try_damage(const DatabaseFile& file, bool at_end, const std::string& what,
                  const Damage& damage) {
    SCOPED_TRACE(what + " of " + file.path);
    const ReplayedEntropy entropy(1);
    std::unique_ptr<SimFileSystem> copy = disk_->copy();
    Result<std::unique_ptr<File>> open = copy->open(file.path, OpenMode::read_write);
    ASSERT_OK(open);
    // Only the page that differs is written: the others stay shared with the original.
    std::string bytes = read_file(copy.get(), file.path);
    const std::string before = bytes;
    damage(&bytes);
    if (bytes.size() < before.size()) ASSERT_OK((*open)->truncate(bytes.size()));
    for (size_t page = 0; page < bytes.size(); page += kSimPageSize) {
      const std::string_view now = std::string_view(bytes).substr(page, kSimPageSize);
      if (now != std::string_view(before).substr(page, now.size())) {
        ASSERT_OK((*open)->write(page, now));
      }
    }
    open->reset();
    ++counts_[file.kind][static_cast<size_t>(judge(copy.get(), at_end))];
    ++tried_;
  }

  void print(const char* what) const {
    std::printf("%s, %s: %llu tried\n", what, clean_ ? "closed cleanly" : "not closed",
                static_cast<unsigned long long>(tried_));
    std::printf("  %-10s%10s%12s%10s%11s%10s%8s\n", "file", "refused", "read error", "verify",
                "all right", "lost end", "WRONG");
    for (const auto& [kind, counts] : counts_) {
      std::printf(
          "  %-10s%10llu%12llu%10llu%11llu%10llu%8llu\n", kind.c_str(),
          static_cast<unsigned long long>(counts[0]), static_cast<unsigned long long>(counts[1]),
          static_cast<unsigned long long>(counts[2]), static_cast<unsigned long long>(counts[3]),
          static_cast<unsigned long long>(counts[4]), static_cast<unsigned long long>(counts[5]));
    }
  }

  static uint64_t bytes_for(uint64_t iterations) {
    return iterations >= kWholeFrom ? kWholeBytes : kSampleBytes;
  }

  // Calls `each` with `wanted` numbers below `all`, spread evenly, or with all.
  template <typename Each>
  void spread(uint64_t all, uint64_t wanted, Random* random, Each each) {
    wanted = std::min(wanted, all);
    const TestPart part = test_part(wanted);
    for (uint64_t i = part.begin; i < part.end && !HasFailure(); ++i) {
      const uint64_t from = i * all / wanted;
      each(from + random->below((i + 1) * all / wanted - from));
    }
  }

  uint64_t total_bytes() const {
    uint64_t bytes = 0;
    for (const DatabaseFile& file : files_) bytes += file.size;
    return bytes;
  }

  void flip_bits(Random* random, bool clean, uint64_t wanted);
  void cut_files(Random* random, bool clean, uint64_t wanted);
  void swap_sectors(Random* random, bool clean, uint64_t wanted);

  std::unique_ptr<SimFileSystem> disk_;
  std::shared_ptr<SimHistory> history_;
  std::vector<DatabaseFile> files_;
  uint64_t last_ = 0;
  bool clean_ = false;
  std::map<std::string, std::array<uint64_t, kVerdicts>> counts_;
  uint64_t tried_ = 0;
};

void BitSweep::flip_bits(Random* random, bool clean, uint64_t wanted) {
  make(random->next(), bytes_for(wanted), clean);
  if (HasFailure()) return;
  for (const DatabaseFile& file : files_) {
    // Small files whole, as far as that goes.
    const uint64_t share = std::max(wanted * file.size / total_bytes(), wanted / 16);
    spread(file.size * 8, is_for_people(file) ? std::min<uint64_t>(wanted / 64, 2000) : share,
           random, [&](uint64_t bit) {
             try_damage(file, bit / 8 >= file.end_from, "bit " + std::to_string(bit),
                        [bit](std::string* bytes) {
                          (*bytes)[bit / 8] = static_cast<char>((*bytes)[bit / 8] ^ 1 << bit % 8);
                        });
           });
  }
  print("flipped bits");
}

void BitSweep::cut_files(Random* random, bool clean, uint64_t wanted) {
  make(random->next(), bytes_for(wanted), clean);
  if (HasFailure()) return;
  for (const DatabaseFile& file : files_) {
    const uint64_t share = std::max(wanted * file.size / total_bytes(), wanted / 16);
    spread(file.size, is_for_people(file) ? std::min<uint64_t>(wanted / 64, 2000) : share, random,
           [&](uint64_t size) {
             try_damage(file, file.end_from != UINT64_MAX, "cut to " + std::to_string(size),
                        [size](std::string* bytes) { bytes->resize(size); });
           });
  }
  print("cut files");
}

void BitSweep::swap_sectors(Random* random, bool clean, uint64_t wanted) {
  make(random->next(), bytes_for(wanted), clean);
  if (HasFailure()) return;
  for (const DatabaseFile& file : files_) {
    const uint64_t sectors = file.size / kSimSectorSize;
    if (sectors < 2 || is_for_people(file)) continue;
    spread(sectors * (sectors - 1), std::max(wanted * file.size / total_bytes(), wanted / 16),
           random, [&](uint64_t pair) {
             const uint64_t a = pair / (sectors - 1);
             const uint64_t b = (a + 1 + pair % (sectors - 1)) % sectors;
             try_damage(file, (std::max(a, b) + 1) * kSimSectorSize > file.end_from,
                        "sectors " + std::to_string(a) + " and " + std::to_string(b),
                        [a, b](std::string* bytes) {
                          const std::string first =
                              bytes->substr(a * kSimSectorSize, kSimSectorSize);
                          bytes->replace(a * kSimSectorSize, kSimSectorSize, *bytes,
                                         b * kSimSectorSize, kSimSectorSize);
                          bytes->replace(b * kSimSectorSize, kSimSectorSize, first);
                        });
           });
  }
  print("swapped sectors");
}

TEST_F(BitSweep, every_flipped_bit_is_found_or_harmless) {
  VARVE_SEEDED_TEST(random);
  flip_bits(&random, /*clean=*/false, test_iterations(1500));
}

TEST_F(BitSweep, every_flipped_bit_after_a_clean_close_is_found_or_harmless) {
  VARVE_SEEDED_TEST(random);
  flip_bits(&random, /*clean=*/true, test_iterations(1500));
}

TEST_F(BitSweep, every_cut_file_is_found_or_harmless) {
  VARVE_SEEDED_TEST(random);
  cut_files(&random, /*clean=*/false, test_iterations(700));
}

TEST_F(BitSweep, every_cut_file_after_a_clean_close_is_found_or_harmless) {
  VARVE_SEEDED_TEST(random);
  cut_files(&random, /*clean=*/true, test_iterations(700));
}

TEST_F(BitSweep, swapped_sectors_are_found_or_harmless) {
  VARVE_SEEDED_TEST(random);
  swap_sectors(&random, /*clean=*/false, test_iterations(700));
}

TEST_F(BitSweep, swapped_sectors_after_a_clean_close_are_found_or_harmless) {
  VARVE_SEEDED_TEST(random);
  swap_sectors(&random, /*clean=*/true, test_iterations(700));
}

}  // namespace
}  // namespace varve::test
