// The simulated disk keeps what it promises to keep, and loses the rest in every way that it says.

#include "tests/support/sim_file_system.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve::test {
namespace {

class SimFileSystemTest : public testing::Test {
 protected:
  SimFileSystemTest() {
    EXPECT_OK(disk_.create_directory("/d"));
    EXPECT_OK(disk_.sync_directory("/"));
  }
  std::unique_ptr<File> create(const std::string& path) {
    Result<std::unique_ptr<File>> file = disk_.open(path, OpenMode::create_exclusive);
    EXPECT_OK(file);
    return std::move(*file);
  }
  // A file of `bytes`, durable with its name.
  std::unique_ptr<File> create_durable(const std::string& path, const std::string& bytes) {
    std::unique_ptr<File> file = create(path);
    EXPECT_OK(file->write(0, bytes));
    EXPECT_OK(file->sync());
    EXPECT_OK(disk_.sync_directory("/d"));
    return file;
  }
  // What a file holds after each of many crashes.
  std::set<std::string> outcomes(const std::string& path, PagePolicy pages, NamePolicy names) {
    std::set<std::string> found;
    for (int i = 0; i < 200; ++i) {
      const std::unique_ptr<SimFileSystem> after = disk_.crash(pages, names, &random_);
      found.insert(after->info(path).ok() ? read_file(after.get(), path) : "(none)");
    }
    return found;
  }

  SimFileSystem disk_{1};
  Random random_{2};
};

TEST_F(SimFileSystemTest, what_was_synced_survives_under_every_policy) {
  const std::string bytes(10'000, 'x');
  const std::unique_ptr<File> file = create_durable("/d/f", bytes);
  EXPECT_OK(file->write(10'000, std::string(9'000, 'y')));
  for (size_t pages = 0; pages < kPagePolicies; ++pages) {
    for (size_t names = 0; names < kNamePolicies; ++names) {
      for (const std::string& found :
           outcomes("/d/f", static_cast<PagePolicy>(pages), static_cast<NamePolicy>(names))) {
        EXPECT_EQ(found.substr(0, bytes.size()), bytes) << page_policy_name(PagePolicy(pages));
      }
    }
  }
}

TEST_F(SimFileSystemTest, unsynced_page_meets_every_fate) {
  const std::unique_ptr<File> file = create_durable("/d/f", std::string(kSimPageSize, 'a'));
  EXPECT_OK(file->write(0, std::string(kSimPageSize, 'b')));
  EXPECT_OK(file->write(0, std::string(kSimPageSize, 'c')));
  const std::string a(kSimPageSize, 'a');
  const std::string b(kSimPageSize, 'b');
  const std::string c(kSimPageSize, 'c');
  using Outcomes = std::set<std::string>;
  EXPECT_EQ(outcomes("/d/f", PagePolicy::all_old, NamePolicy::lose_all), Outcomes{a});
  EXPECT_EQ(outcomes("/d/f", PagePolicy::all_new, NamePolicy::lose_all), Outcomes{c});
  EXPECT_EQ(outcomes("/d/f", PagePolicy::versions, NamePolicy::lose_all), (Outcomes{a, b, c}));
  const Outcomes torn = outcomes("/d/f", PagePolicy::torn, NamePolicy::lose_all);
  EXPECT_GT(torn.size(), 20u);
  for (const std::string& bytes : torn) {
    for (size_t sector = 0; sector < kSimPageSize; sector += kSimSectorSize) {
      const std::string one(kSimSectorSize, bytes[sector]);
      EXPECT_EQ(bytes.substr(sector, kSimSectorSize), one) << "torn within a sector";
    }
  }
  // Something durable was there: no zeros, no garbage.
  EXPECT_EQ(outcomes("/d/f", PagePolicy::zeros, NamePolicy::lose_all), (Outcomes{a, b, c}));
  EXPECT_EQ(outcomes("/d/f", PagePolicy::garbage, NamePolicy::lose_all), (Outcomes{a, b, c}));
}

TEST_F(SimFileSystemTest, new_page_may_be_zeros_or_garbage) {
  const std::unique_ptr<File> file = create_durable("/d/f", "");
  EXPECT_OK(file->write(0, std::string(kSimPageSize, 'n')));
  EXPECT_TRUE(outcomes("/d/f", PagePolicy::zeros, NamePolicy::lose_all)
                  .contains(std::string(kSimPageSize, '\0')));
  bool garbage = false;
  for (const std::string& bytes : outcomes("/d/f", PagePolicy::garbage, NamePolicy::lose_all)) {
    const std::string with_nul("n\0", 2);
    garbage |= bytes.find_first_not_of(with_nul) != std::string::npos;
  }
  EXPECT_TRUE(garbage);
}

TEST_F(SimFileSystemTest, names_are_durable_with_their_directory_only) {
  const std::unique_ptr<File> file = create("/d/f");
  EXPECT_OK(file->write(0, "x"));
  EXPECT_OK(file->sync());
  using Outcomes = std::set<std::string>;
  EXPECT_EQ(outcomes("/d/f", PagePolicy::any, NamePolicy::lose_all), Outcomes{"(none)"});
  EXPECT_EQ(outcomes("/d/f", PagePolicy::any, NamePolicy::subset), (Outcomes{"(none)", "x"}));
  EXPECT_OK(disk_.sync_directory("/d"));
  EXPECT_OK(disk_.rename("/d/f", "/d/g", /*replace=*/true));
  EXPECT_OK(disk_.remove("/d/g"));
  EXPECT_EQ(outcomes("/d/f", PagePolicy::any, NamePolicy::lose_all), Outcomes{"x"});
  EXPECT_EQ(outcomes("/d/g", PagePolicy::any, NamePolicy::prefix), (Outcomes{"(none)", "x"}));
  EXPECT_OK(disk_.sync_directory("/d"));
  EXPECT_EQ(outcomes("/d/f", PagePolicy::any, NamePolicy::subset), Outcomes{"(none)"});
}

TEST_F(SimFileSystemTest, rename_may_be_durable_before_its_data) {
  create_durable("/d/f", "old");
  const std::unique_ptr<File> file = create("/d/t");
  EXPECT_OK(file->write(0, "new"));
  EXPECT_OK(disk_.rename("/d/t", "/d/f", /*replace=*/true));
  EXPECT_TRUE(outcomes("/d/f", PagePolicy::all_old, NamePolicy::keep_all).contains(""));
}

TEST_F(SimFileSystemTest, pages_of_a_failed_sync_are_not_written_by_the_next) {
  bool lost = false;
  for (int i = 0; i < 20; ++i) {
    const std::string path = "/d/f" + std::to_string(i);
    const std::unique_ptr<File> file = create_durable(path, std::string(kSimPageSize, 'a'));
    EXPECT_OK(file->write(0, std::string(kSimPageSize, 'b')));
    disk_.inject({.error = SimError::io_error, .call = FileCall::Kind::sync});
    EXPECT_FAILS(file->sync(), io_error, "injected");
    EXPECT_OK(file->sync());
    const auto after = disk_.crash(PagePolicy::all_new, NamePolicy::keep_all, &random_);
    lost |= read_file(after.get(), path) != std::string(kSimPageSize, 'b');
  }
  EXPECT_TRUE(lost);
}

TEST_F(SimFileSystemTest, full_disk_takes_what_fits_and_has_room_again) {
  const std::unique_ptr<File> file = create("/d/f");
  disk_.set_capacity(disk_.used_bytes() + 2 * kSimPageSize);
  EXPECT_FAILS(file->write(0, std::string(3 * kSimPageSize, 'x')), no_space, "");
  EXPECT_EQ(file->size().value(), 2 * kSimPageSize);
  EXPECT_EQ(disk_.open("/d/g", OpenMode::create_exclusive).status().code(), StatusCode::no_space);
  EXPECT_OK(file->write(0, "y"));
  EXPECT_OK(disk_.remove("/d/f"));
  const std::unique_ptr<File> other = create("/d/g");
  EXPECT_OK(other->write(0, std::string(2 * kSimPageSize, 'x')));
}

TEST_F(SimFileSystemTest, faults_meet_the_nth_call_of_their_kind_once_or_from_then_on) {
  const std::unique_ptr<File> file = create("/d/000001.wal");
  disk_.inject({.error = SimError::io_error,
                .call = FileCall::Kind::write,
                .file = FileType::wal,
                .nth = 1});
  EXPECT_OK(file->write(0, "x"));
  EXPECT_FAILS(file->write(1, "x"), io_error, "injected");
  EXPECT_OK(file->write(2, "x"));
  EXPECT_EQ(disk_.faults_met(), 1u);
  disk_.inject({.error = SimError::bit_flip, .call = FileCall::Kind::read, .sticky = true});
  char byte;
  for (int i = 0; i < 3; ++i) {
    EXPECT_OK(file->read(0, &byte, 1));
    EXPECT_NE(byte, 'x');
  }
  disk_.clear_faults();
  EXPECT_OK(file->read(0, &byte, 1));
  EXPECT_EQ(byte, 'x');
}

TEST(SimFileSystemTrace, same_calls_have_the_same_hash) {
  const auto run = [](const std::string& bytes) {
    SimFileSystem disk(1);
    EXPECT_OK((*disk.open("/f", OpenMode::create_exclusive))->write(0, bytes));
    return disk.trace_hash();
  };
  EXPECT_EQ(run("x"), run("x"));
  EXPECT_NE(run("x"), run("y"));
}

}  // namespace
}  // namespace varve::test
