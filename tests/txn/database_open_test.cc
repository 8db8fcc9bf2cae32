// Opening: what may lie in the directory, and every way in which it may be bad. A failed opening
// changes nothing that was committed.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "lsm/manifest.h"
#include "lsm/sstable_format.h"
#include "lsm/wal_format.h"
#include "tests/support/seeded_test.h"
#include "tests/support/temp_directory.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

using DatabaseOpenTest = DatabaseTest;

TEST_F(DatabaseOpenTest, creates_a_missing_directory_unless_told_otherwise) {
  options_.create_if_missing = false;
  EXPECT_FAILS(try_open(), not_found, "/db: no such directory");
  EXPECT_FALSE(disk_->info(kPath).ok());
  ASSERT_OK(disk_->create_directory(kPath));
  EXPECT_FAILS(try_open(), not_found, "/db: no database");
  options_.create_if_missing = true;
  open();
  close();
  options_.create_if_missing = false;
  open();
}

TEST_F(DatabaseOpenTest, refuses_one_that_exists_if_told_so) {
  options_.error_if_exists = true;
  open();
  close();
  EXPECT_FAILS(try_open(), already_exists, "/db");
  options_.error_if_exists = false;
  open();
}

TEST_F(DatabaseOpenTest, directory_name_may_end_with_slashes) {
  Result<std::unique_ptr<Database>> opened = Database::open(options_, "/db//");
  ASSERT_OK(opened);
  EXPECT_EQ((*opened)->directory(), "/db");
  opened->reset();
  open();
  EXPECT_FAILS(Database::open(options_, ""), invalid_argument, "empty");
}

TEST_F(DatabaseOpenTest, missing_parent_and_a_file_in_its_place_are_refused) {
  EXPECT_FAILS(Database::open(options_, "/none/db"), not_found, "/none");
  write_file(disk_.get(), "/file", "x");
  EXPECT_FAILS(Database::open(options_, "/file"), invalid_argument, "/file: not a directory");
}

TEST_F(DatabaseOpenTest, foreign_directory_is_refused_and_left_alone) {
  ASSERT_OK(disk_->create_directory(kPath));
  write_file(disk_.get(), "/db/holiday.jpg", "jpeg");
  EXPECT_FAILS(try_open(), invalid_argument, "holiday.jpg");
  EXPECT_EQ(disk_->list(kPath).value(), std::vector<std::string>{"holiday.jpg"});
  EXPECT_EQ(read_file(disk_.get(), "/db/holiday.jpg"), "jpeg");
}

// Whatever ended with .tmp was once taken for the engine's own, and removed.
TEST_F(DatabaseOpenTest, temporary_files_of_others_are_left_alone) {
  ASSERT_OK(disk_->create_directory(kPath));
  const std::string path = std::string(kPath) + "/thesis.tmp";
  write_file(disk_.get(), path, "chapter 1");
  EXPECT_FAILS(try_open(), invalid_argument, "thesis.tmp");
  ASSERT_OK(disk_->remove(path));
  open();
  write_file(disk_.get(), path, "chapter 1");
  kill_and_reopen();
  EXPECT_EQ(read_file(disk_.get(), path), "chapter 1");
  ASSERT_OK(disk_->remove(path));
}

TEST_F(DatabaseOpenTest, second_owner_is_busy_and_harmless) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  EXPECT_FAILS(try_open(), busy, "LOCK");
  EXPECT_EQ(get("k"), "v");
  ASSERT_OK(db_->put("k", "w"));
  reopen();
  EXPECT_EQ(get("k"), "w");
}

TEST_F(DatabaseOpenTest, second_owner_is_busy_on_a_real_disk) {
  TempDirectory directory;
  options_.file_system = nullptr;
  Result<std::unique_ptr<Database>> first = Database::open(options_, directory / "db");
  ASSERT_OK(first);
  EXPECT_FAILS(Database::open(options_, directory / "db"), busy, "LOCK");
  struct stat info;
  ASSERT_EQ(stat((directory / "db").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  ASSERT_EQ(stat((directory / "db/CURRENT").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  close_and_check(std::move(*first), FileSystem::posix());
}

TEST_F(DatabaseOpenTest, read_only_directory_is_an_io_error_that_names_it) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  close();
  ReadOnlyFiles read_only(disk_.get());
  options_.file_system = &read_only;
  EXPECT_FAILS(try_open(), io_error, "/db/");
  EXPECT_FAILS(Database::open(options_, "/new"), io_error, "/new");
  options_.file_system = &files_;
  open();
  EXPECT_EQ(get("k"), "v");
}

TEST_F(DatabaseOpenTest, contradicting_options_are_refused) {
  const auto refused = [this](auto change, const char* part) {
    Options changed = options_;
    change(&changed);
    EXPECT_FAILS(Database::open(changed, kPath), invalid_argument, part);
  };
  refused([](Options* o) { o->memory_budget = kMemoryBudgetMin - 1; }, "memory_budget");
  refused([](Options* o) { o->write_buffer_size = 1024; }, "write_buffer_size");
  refused([](Options* o) { o->cache_size = 1 << 30; }, "exceed the budget");
  refused([](Options* o) { o->block_size = 100; }, "block_size");
  refused([](Options* o) { o->block_size = 8 << 20; }, "block_size");
  refused([](Options* o) { o->filter_bits_per_key = 65; }, "filter_bits_per_key");
  refused([](Options* o) { o->history_retention = std::chrono::nanoseconds(-1); }, "negative");
  refused([](Options* o) { o->durability = static_cast<Durability>(9); }, "durability");
  EXPECT_FALSE(disk_->info(kPath).ok()) << "nothing was created";
}

TEST_F(DatabaseOpenTest, files_that_nothing_names_are_removed) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  close();
  for (const char* name : {"000900.sst", "000901.manifest", "CURRENT.tmp", "000902.free"}) {
    write_file(disk_.get(), std::string("/db/") + name, "remains");
  }
  open();
  EXPECT_EQ(get("k"), "v");
  ASSERT_OK(db_->put("l", "w"));
  ASSERT_OK(db_->flush());
  close();  // looks at the directory
  open();
  EXPECT_EQ(get("l"), "w");
}

// -- bad files --

// A database with something in an sstable and something in the log, closed or killed.
class BadFilesTest : public DatabaseTest {
 protected:
  void make(bool killed, Durability durability) {
    options_.durability = durability;
    open();
    for (int i = 0; i < 40; ++i) {
      ASSERT_OK(db_->put("in sstable " + std::to_string(i), std::string(50, 's')));
    }
    ASSERT_OK(db_->flush());
    for (int i = 0; i < 10; ++i) {
      ASSERT_OK(db_->put("logged " + std::to_string(i), std::string(30, 'l')));
    }
    expected_ = rows();
    if (killed) {
      kill();
    } else {
      close();
    }
    for (const std::string& name : std::vector<std::string>(disk_->list(kPath).value())) {
      image_.emplace_back(std::string(kPath) + "/" + name,
                          read_file(disk_.get(), std::string(kPath) + "/" + name));
    }
  }
  void restore() {
    for (const std::string& name : std::vector<std::string>(disk_->list(kPath).value())) {
      ASSERT_OK(disk_->remove(std::string(kPath) + "/" + name));
    }
    for (const auto& [path, bytes] : image_) write_file(disk_.get(), path, bytes);
  }
  std::string only(const char* suffix) {
    const std::vector<std::string> paths = files_with_suffix(disk_.get(), kPath, suffix);
    EXPECT_EQ(paths.size(), 1u) << suffix;
    return paths.empty() ? std::string() : paths[0];
  }
  void change(const std::string& path, size_t offset, std::string_view bytes) {
    std::string content = read_file(disk_.get(), path);
    ASSERT_LE(offset + bytes.size(), content.size());
    content.replace(offset, bytes.size(), bytes);
    write_file(disk_.get(), path, content);
  }
  void flip(const std::string& path, size_t offset) {
    const std::string content = read_file(disk_.get(), path);
    change(path, offset, std::string(1, static_cast<char>(content.at(offset) ^ 0x10)));
  }
  // Rows may be missing only from the end of the log.
  void expect_prefix(const Rows& found) {
    ASSERT_LE(found.size(), expected_.size());
    ASSERT_GE(found.size(), 40u);
    for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], expected_[i]);
  }

  Rows expected_;  // in the order in which they were logged
  std::vector<std::pair<std::string, std::string>> image_;
};

TEST_F(BadFilesTest, newer_format_of_each_kind_is_not_supported) {
  make(/*killed=*/false, Durability::sync);
  for (const char* suffix : {".manifest", ".sst", ".wal"}) {
    const std::string path = only(suffix);
    // Both copies of a log segment's header, as a newer writer would.
    const std::vector<size_t> copies = suffix == std::string_view(".wal")
                                           ? std::vector<size_t>{0, kWalHeaderCopySize}
                                           : std::vector<size_t>{0};
    for (const size_t at : copies) change(path, at + 8, std::string_view("\x63\0\0\0", 4));
    EXPECT_FAILS(try_open(), not_supported, path);
    EXPECT_FAILS(try_open(), not_supported, "99");
    restore();
    for (const size_t at : copies) change(path, at + 12, std::string_view("\x80\0\0\0", 4));
    EXPECT_FAILS(try_open(), not_supported, path);
    restore();
  }
  open();
  EXPECT_EQ(rows(), expected_);
}

// Every message names the file and the place, what was found there and what should have been.
TEST_F(BadFilesTest, messages_name_file_offset_found_and_expected) {
  make(/*killed=*/false, Durability::sync);
  struct Damage {
    const char* suffix;
    std::vector<size_t> at;  // a flipped bit at each
    size_t cut_to;           // 0: it is not
    const char* offset;
  };
  const size_t sst_size = read_file(disk_.get(), only(".sst")).size();
  const std::string footer = "offset " + std::to_string(sst_size - kSstableFooterSize);
  const std::vector<size_t> both{20, kWalHeaderCopySize + 20};
  for (const Damage& damage : std::vector<Damage>{
           {"CURRENT", {9}, 0, "offset 0"},
           {"CURRENT", {}, 5, "offset 0"},
           {".manifest", {0}, 0, "offset 0"},
           {".manifest", {20}, 0, "offset 0"},
           {".manifest", {kManifestRecordsOffset + 20}, 0, "offset 12288"},
           {".manifest", {}, 10, "offset 0"},
           {".manifest", {}, kManifestRecordsOffset + 8, "offset 12288"},
           {".wal", {0, kWalHeaderCopySize}, 0, "offset 0"},
           {".wal", both, 0, "offset 0"},
           {".wal", {}, 10, "offset 0"},
           {".sst", {0}, 0, "offset 0"},
           {".sst", {20}, 0, "offset 0"},
           {".sst", {sst_size - 1}, 0, footer.c_str()},
           {".sst", {sst_size - kSstableFooterSize + 3}, 0, footer.c_str()},
           {".sst", {}, 10, "10 bytes"},
           {".sst", {}, sst_size - 1, "offset"},
       }) {
    const std::string path = only(damage.suffix);
    for (const size_t at : damage.at) flip(path, at);
    if (damage.cut_to != 0) {
      write_file(disk_.get(), path, read_file(disk_.get(), path).substr(0, damage.cut_to));
    }
    const Status status = try_open().status();
    SCOPED_TRACE(status.to_string());
    EXPECT_EQ(status.code(), StatusCode::corruption);
    EXPECT_NE(status.message().find(path), std::string::npos);
    EXPECT_NE(status.message().find(damage.offset), std::string::npos);
    EXPECT_TRUE(std::regex_search(std::string(status.message()),
                                  std::regex("expected|of [0-9]+|at least|up to offset")));
    restore();
  }
  open();
  EXPECT_EQ(rows(), expected_);
}

TEST_F(BadFilesTest, missing_file_of_each_kind_is_corruption_that_names_it) {
  make(/*killed=*/false, Durability::sync);
  for (const char* suffix : {".manifest", ".sst", "CURRENT"}) {
    const std::string path = only(suffix);
    ASSERT_OK(disk_->remove(path));
    EXPECT_FAILS(try_open(), corruption, path);
    restore();
  }
  // A segment in the middle: see wal_reader_test.cc.
  ASSERT_OK(disk_->remove(only(".wal")));
  EXPECT_FAILS(try_open(), corruption, "no log segment is there");
  restore();
  open();
  EXPECT_EQ(rows(), expected_);
}

// Sound, and of the right name and number, but another database's: nothing of it is taken, and
// nothing that was there is thrown away.
TEST_F(BadFilesTest, files_of_another_database_are_corruption_that_names_them) {
  for (const bool killed : {false, true}) {
    SCOPED_TRACE(killed);
    make(killed, Durability::sync);
    const auto ours = image_;
    const Rows expected = expected_;
    for (const auto& [path, bytes] : ours) ASSERT_OK(disk_->remove(path));
    image_.clear();
    make(killed, Durability::sync);
    const auto others = image_;
    image_ = ours;
    expected_ = expected;
    restore();
    for (const char* suffix : {".manifest", ".sst", ".wal"}) {
      const std::string path = only(suffix);
      const auto other = std::find_if(others.begin(), others.end(),
                                      [&](const auto& file) { return file.first == path; });
      ASSERT_NE(other, others.end()) << "the same name in both";
      write_file(disk_.get(), path, other->second);
      EXPECT_FAILS(try_open(), corruption, path);
      EXPECT_EQ(read_file(disk_.get(), path), other->second) << "left as it was";
      restore();
    }
    open();
    EXPECT_EQ(rows(), expected_);
    close();
    for (const std::string& name : std::vector<std::string>(disk_->list(kPath).value())) {
      ASSERT_OK(disk_->remove(std::string(kPath) + "/" + name));
    }
    image_.clear();
  }
}

TEST_F(BadFilesTest, empty_and_truncated_files_are_corruption_that_names_them) {
  make(/*killed=*/false, Durability::sync);
  for (const char* suffix : {".manifest", ".sst", "CURRENT"}) {
    const std::string path = only(suffix);
    const std::string whole = read_file(disk_.get(), path);
    for (const size_t size : {size_t{0}, size_t{1}, whole.size() / 3, whole.size() - 1}) {
      if (suffix == std::string(".manifest") && size == whole.size() - 1) continue;  // padding
      write_file(disk_.get(), path, std::string_view(whole).substr(0, size));
      EXPECT_FAILS(try_open(), corruption, path);
      restore();
    }
  }
  open();
  EXPECT_EQ(rows(), expected_);
}

TEST_F(BadFilesTest, flipped_bytes_give_what_was_there_or_corruption_that_names_the_file) {
  VARVE_SEEDED_TEST(random);
  make(/*killed=*/false, Durability::sync);
  for (const char* suffix : {"CURRENT", ".manifest", ".sst", ".wal"}) {
    const std::string path = only(suffix);
    const size_t size = read_file(disk_.get(), path).size();
    for (uint64_t i = 0; i < test_iterations(60); ++i) {
      const size_t offset = random.below(size);
      SCOPED_TRACE(path + " at " + std::to_string(offset));
      flip(path, offset);
      Result<std::unique_ptr<Database>> opened = try_open();
      if (!opened.ok()) {
        const StatusCode code = opened.status().code();
        EXPECT_TRUE(code == StatusCode::corruption || code == StatusCode::not_supported)
            << opened.status().to_string();
        EXPECT_NE(opened.status().message().find("/db/"), std::string_view::npos)
            << opened.status().to_string();
      } else {
        db_ = std::move(*opened);
        if (std::string_view(suffix) == ".sst") {
          Result<VerifyReport> report = db_->verify();
          EXPECT_FAILS(report, corruption, path);
          EXPECT_FAILS(report, corruption, "offset");
          // Reads fail, or answer right.
          Result<Cursor> cursor = db_->scan();
          ASSERT_OK(cursor);
          size_t row = 0;
          for (cursor->seek_to_first(); cursor->valid(); cursor->next(), ++row) {
            ASSERT_EQ(cursor->key(), expected_.at(row).first);
            ASSERT_EQ(cursor->value(), expected_.at(row).second);
          }
          if (cursor->status().ok()) {
            EXPECT_EQ(row, expected_.size());
          } else {
            EXPECT_FAILS(cursor->status(), corruption, path);
          }
          cursor = Status::closed("done");
        } else {
          expect_prefix(rows());
        }
        EXPECT_OK(db_->close());
        db_.reset();
      }
      restore();
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(BadFilesTest, damaged_blocks_fail_gets_scans_and_compaction_but_not_the_rest) {
  make(/*killed=*/false, Durability::sync);
  const std::string path = only(".sst");
  flip(path, 100);  // in the first data block
  open();
  std::string value;
  EXPECT_FAILS(db_->get("in sstable 0", &value), corruption, path);
  EXPECT_FAILS(db_->get("in sstable 0"), corruption, "offset");
  const std::string_view keys[] = {"logged 0", "in sstable 0"};
  std::optional<PinnedValue> values[2];
  EXPECT_FAILS(db_->multi_get(keys, values), corruption, path);
  values[0].reset();
  EXPECT_FAILS(db_->history("in sstable 0"), corruption, path);
  EXPECT_EQ(get("logged 0"), std::string(30, 'l'));
  EXPECT_EQ(get("in sstable 9"), std::string(50, 's'));
  Result<Cursor> cursor = db_->scan();
  ASSERT_OK(cursor);
  cursor->seek_to_last();
  size_t rows = 0;
  for (; cursor->valid(); cursor->prev()) ++rows;
  EXPECT_FAILS(cursor->status(), corruption, path);
  EXPECT_GT(rows, 10u);
  EXPECT_LT(rows, expected_.size());
  cursor = Status::closed("done");
  EXPECT_FAILS(db_->compact(), corruption, path);
  EXPECT_TRUE(disk_->info(path).ok()) << "the damaged file stays";
  EXPECT_EQ(get("logged 0"), std::string(30, 'l'));
  static_cast<void>(db_->close());
  db_.reset();
}

TEST_F(BadFilesTest, torn_tail_of_the_log_is_normal) {
  make(/*killed=*/true, Durability::os);
  const std::string path = only(".wal");
  const size_t size = read_file(disk_.get(), path).size();
  for (size_t cut = 0; cut < 200; cut += 7) {
    write_file(disk_.get(), path,
               std::string_view(read_file(disk_.get(), path)).substr(0, size - cut));
    open();
    expect_prefix(rows());
    if (cut == 0) EXPECT_EQ(rows(), expected_);
    ASSERT_OK(db_->put("logged 99", "after"));  // it goes on
    close();
    open();
    EXPECT_EQ(get("logged 99"), "after");
    close();
    restore();
  }
}

TEST_F(BadFilesTest, zeros_and_noise_behind_the_log_are_ignored) {
  VARVE_SEEDED_TEST(random);
  make(/*killed=*/true, Durability::sync);
  const std::string path = only(".wal");
  std::string noise(5000, '\0');
  for (int kind = 0; kind < 2; ++kind) {
    write_file(disk_.get(), path, read_file(disk_.get(), path) + noise);
    open();
    EXPECT_EQ(rows(), expected_);
    close();
    restore();
    for (char& c : noise) c = static_cast<char>(random.next());
  }
}

TEST_F(BadFilesTest, damage_in_the_middle_of_a_synced_log_is_corruption) {
  make(/*killed=*/true, Durability::sync);
  const std::string path = only(".wal");
  const std::string log = read_file(disk_.get(), path);
  const size_t target = log.find("logged 3");
  ASSERT_NE(target, std::string::npos);
  flip(path, target);
  EXPECT_FAILS(try_open(), corruption, path);
  EXPECT_FAILS(try_open(), corruption, "was durable");
  restore();
  // Of a log that was never synced the same damage reads as its end (protocol 14).
  open();
  EXPECT_EQ(rows(), expected_);
}

TEST_F(BadFilesTest, damage_to_an_unsynced_log_ends_it) {
  make(/*killed=*/true, Durability::os);
  const std::string path = only(".wal");
  flip(path, read_file(disk_.get(), path).find("logged 3"));
  open();
  EXPECT_EQ(rows().size(), 43u);
  expect_prefix(rows());
}

TEST_F(BadFilesTest, damage_anywhere_in_a_cleanly_closed_log_is_corruption) {
  make(/*killed=*/false, Durability::os);
  const std::string path = only(".wal");
  flip(path, read_file(disk_.get(), path).find("logged 9"));  // the last one
  EXPECT_FAILS(try_open(), corruption, path);
}

TEST_F(BadFilesTest, sstables_of_other_databases_are_told_apart) {
  make(/*killed=*/false, Durability::sync);
  const std::string path = only(".sst");
  const std::string mine = read_file(disk_.get(), path);
  Result<std::unique_ptr<Database>> other = Database::open(options_, "/other");
  ASSERT_OK(other);
  for (int i = 0; i < 40; ++i) {
    ASSERT_OK((*other)->put("in sstable " + std::to_string(i), std::string(50, 's')));
  }
  ASSERT_OK((*other)->flush());
  close_and_check(std::move(*other), &files_);
  const std::vector<std::string> others = files_with_suffix(disk_.get(), "/other", ".sst");
  ASSERT_EQ(others.size(), 1u);
  write_file(disk_.get(), path, read_file(disk_.get(), others[0]));
  EXPECT_FAILS(try_open(), corruption, path);
}

}  // namespace
}  // namespace varve::test
