#include "lsm/manifest.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/random.h"
#include "lsm/current_file.h"
#include "tests/lsm/random_edit.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve::test {
namespace {

constexpr const char* kDirectory = "/m";

std::string bytes_of(const ManifestState& state) {
  std::string bytes;
  encode_edit(state.as_edit(), &bytes);
  return bytes;
}

class ManifestTest : public testing::Test {
 protected:
  ManifestTest() { EXPECT_OK(disk_->create_directory(kDirectory)); }

  std::unique_ptr<ManifestWriter> create(FileNumber number, const ManifestState& state) {
    Result<std::unique_ptr<ManifestWriter>> writer =
        ManifestWriter::create(&files_, kDirectory, number, state);
    EXPECT_OK(writer);
    return writer.ok() ? std::move(*writer) : nullptr;
  }
  std::string path(FileNumber number) { return path_in(kDirectory, manifest_name(number)); }

  // A manifest of edits that apply; the state after each stands in states_.
  void write_some(Random* random, int edits) {
    ManifestState state;
    state.keyspaces[0].name = "default";
    const std::unique_ptr<ManifestWriter> writer = create({1}, state);
    ASSERT_NE(writer, nullptr);
    states_.push_back(bytes_of(state));
    for (uint64_t i = 0; i < static_cast<uint64_t>(edits); ++i) {
      LevelsEdit edit;
      AddedFile file = random_file(random, {0});
      file.info.number = {100 + i};
      edit.added.push_back(file);
      if (i % 3 == 2) edit.removed.push_back({.keyspace = {0}, .number = {100 + i - 1}});
      if (i % 4 == 1) {
        edit.keyspaces_added.push_back({.keyspace = {static_cast<uint32_t>(i)},
                                        .name = "k" + std::to_string(i),
                                        .options = {},
                                        .created = {i},
                                        .flushed = {i}});
      }
      edit.flushed.push_back({.keyspace = {0}, .lsn = {i * 10}});
      edit.lease = Timestamp{1000 + i};
      ASSERT_OK(writer->append(edit));
      ASSERT_OK(state.apply(edit));
      states_.push_back(bytes_of(state));
    }
    ASSERT_OK(writer->close());
  }

  const std::unique_ptr<FileSystem> disk_ = FileSystem::create_memory();
  HookedFiles files_{disk_.get()};
  std::vector<std::string> states_;
};

TEST_F(ManifestTest, comes_back_edit_by_edit) {
  VARVE_SEEDED_TEST(random);
  write_some(&random, 12);
  const Result<CurrentManifest> current = read_current(&files_, kDirectory);
  ASSERT_OK(current);
  EXPECT_EQ(current->number, FileNumber{1});
  std::vector<uint64_t> offsets;
  const Result<ManifestState> state =
      read_manifest(&files_, path({1}), &current->file,
                    [&](uint64_t offset, const LevelsEdit&) { offsets.push_back(offset); });
  ASSERT_OK(state);
  EXPECT_EQ(bytes_of(*state), states_.back());
  ASSERT_EQ(offsets.size(), 13u);
  EXPECT_EQ(offsets[0], kManifestRecordsOffset);
  EXPECT_EQ(offsets[1] % 8, 0u);
  // Its state as one edit makes the same state.
  ManifestState copy;
  ASSERT_OK(copy.apply(state->as_edit()));
  EXPECT_EQ(bytes_of(copy), states_.back());
}

TEST_F(ManifestTest, edits_that_do_not_fit_are_corruption) {
  ManifestState state;
  state.keyspaces[0].name = "default";
  Random random(1);
  LevelsEdit edit;
  edit.added.push_back(random_file(&random, {0}));
  const FileNumber number = edit.added[0].info.number;
  ASSERT_OK(state.apply(edit));
  EXPECT_FAILS(state.apply(edit), corruption, "added twice");
  LevelsEdit remove;
  remove.removed.push_back({.keyspace = {0}, .number = number});
  ASSERT_OK(state.apply(remove));
  EXPECT_FAILS(state.apply(remove), corruption, "not there");
  const auto unknown = [&](auto fill) {
    LevelsEdit changed;
    fill(&changed);
    EXPECT_FAILS(state.apply(changed), corruption, "keyspace 9 is unknown");
  };
  unknown([&](LevelsEdit* e) { e->added.push_back(random_file(&random, {9})); });
  unknown([](LevelsEdit* e) { e->removed.push_back({.keyspace = {9}, .number = {1}}); });
  unknown([](LevelsEdit* e) { e->flushed.push_back({.keyspace = {9}, .lsn = {1}}); });
  unknown([](LevelsEdit* e) { e->watermarks.push_back({.keyspace = {9}, .watermark = {1}}); });
  unknown([](LevelsEdit* e) { e->keyspaces_dropped.push_back({.keyspace = {9}, .dropped = {1}}); });
  LevelsEdit twice;
  twice.keyspaces_added.push_back(
      {.keyspace = {0}, .name = "n", .options = {}, .created = {}, .flushed = {}});
  EXPECT_FAILS(state.apply(twice), corruption, "keyspace 0 is added twice");
}

TEST_F(ManifestTest, positions_only_rise) {
  ManifestState state;
  state.keyspaces[0].name = "default";
  LevelsEdit high;
  high.flushed.push_back({.keyspace = {0}, .lsn = {100}});
  high.watermarks.push_back({.keyspace = {0}, .watermark = {100}});
  high.next_file = FileNumber{100};
  high.next_keyspace = Keyspace{100};
  high.log_start = Lsn{100};
  LevelsEdit low = high;
  low.flushed[0].lsn = {5};
  low.watermarks[0].watermark = {5};
  low.next_file = FileNumber{5};
  low.next_keyspace = Keyspace{5};
  low.log_start = Lsn{5};
  ASSERT_OK(state.apply(high));
  const std::string before = bytes_of(state);
  ASSERT_OK(state.apply(low));
  EXPECT_EQ(bytes_of(state), before);
}

// Each place is sealed, and the marks say how far records go: what is damaged is found, or was of
// no use.
TEST_F(ManifestTest, every_byte_flipped) {
  VARVE_SEEDED_TEST(random);
  write_some(&random, 5);
  const std::string bytes = read_file(disk_.get(), path({1}));
  uint64_t refused = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    SCOPED_TRACE(at);
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1 << at % 8);
    write_file(disk_.get(), path({1}), changed);
    const Result<ManifestState> state = read_manifest(&files_, path({1}), nullptr);
    if (state.ok()) {
      ASSERT_EQ(bytes_of(*state), states_.back());
    } else {
      ++refused;
      const StatusCode code = state.status().code();
      ASSERT_TRUE(code == StatusCode::corruption || (code == StatusCode::not_supported && at < 16))
          << state.status().to_string();
      ASSERT_NE(state.status().message().find(path({1})), std::string_view::npos);
    }
  }
  // All but marks, of which there are several, and padding.
  EXPECT_GT(refused + 8 * states_.size(),
            kManifestHeaderSize + bytes.size() - kManifestRecordsOffset);
}

TEST_F(ManifestTest, every_truncation) {
  VARVE_SEEDED_TEST(random);
  write_some(&random, 5);
  const std::string bytes = read_file(disk_.get(), path({1}));
  for (size_t size = 0; size < bytes.size(); ++size) {
    SCOPED_TRACE(size);
    write_file(disk_.get(), path({1}), std::string_view(bytes).substr(0, size));
    const Result<ManifestState> state = read_manifest(&files_, path({1}), nullptr);
    if (state.ok()) {
      ASSERT_GT(size + 8, bytes.size()) << "only padding may be gone";
      ASSERT_EQ(bytes_of(*state), states_.back());
    } else {
      ASSERT_EQ(state.status().code(), StatusCode::corruption);
    }
  }
}

// A loss of power may undo the newest marks, in part or whole: older ones count then.
TEST_F(ManifestTest, older_marks_count_where_newer_ones_are_gone) {
  VARVE_SEEDED_TEST(random);
  write_some(&random, 4);  // 5 records: the newest mark lies in the second page
  const std::string bytes = read_file(disk_.get(), path({1}));
  std::vector<uint64_t> offsets;
  ASSERT_OK(read_manifest(&files_, path({1}), nullptr,
                          [&](uint64_t offset, const LevelsEdit&) { offsets.push_back(offset); }));
  ASSERT_EQ(offsets.size(), 5u);
  const auto state_of = [&](std::initializer_list<std::pair<uint64_t, size_t>> gone, size_t size) {
    std::string changed = bytes.substr(0, size);
    for (const auto& [records, copy] : gone) changed[manifest_mark_offset(records, copy)] ^= 1;
    write_file(disk_.get(), path({1}), changed);
    return read_manifest(&files_, path({1}), nullptr);
  };
  for (const size_t copy : {0, 1}) {
    EXPECT_OK(state_of({{5, copy}}, bytes.size()));
    EXPECT_FAILS(state_of({{5, copy}}, offsets[4]), corruption, "cut off: 5 records");
  }
  // The record that the lost marks were for may be torn; the one before may not.
  EXPECT_EQ(bytes_of(*state_of({{5, 0}, {5, 1}}, bytes.size())), states_[4]);
  EXPECT_EQ(bytes_of(*state_of({{5, 0}, {5, 1}}, offsets[4])), states_[3]);
  EXPECT_FAILS(state_of({{5, 0}, {5, 1}}, offsets[4] - 8), corruption, "cut off: 4 records");
  EXPECT_FAILS(state_of({{5, 0}, {5, 1}, {4, 0}, {4, 1}}, bytes.size()), corruption, "no mark");
}

// On a file system that copies on write even a mark may find no room: the next one says the same.
TEST_F(ManifestTest, a_mark_without_room_is_made_up_for) {
  VARVE_SEEDED_TEST(random);
  ManifestState state;
  state.keyspaces[0].name = "default";
  const std::unique_ptr<ManifestWriter> writer = create({1}, state);
  LevelsEdit edit;
  edit.next_file = FileNumber{50};
  int writes = 0;
  files_.set_hook([&writes](const FileCall& call) {
    const bool is_mark = call.kind == FileCall::Kind::write && ++writes == 2;
    return is_mark ? Status::no_space("injected") : Status();
  });
  ASSERT_OK(writer->append(edit));
  files_.set_hook(nullptr);
  ASSERT_EQ(writes, 2);
  edit.next_file = FileNumber{51};
  ASSERT_OK(writer->append(edit));
  ASSERT_OK(writer->close());
  const std::string bytes = read_file(disk_.get(), path({1}));
  EXPECT_EQ(read_manifest(&files_, path({1}), nullptr)->next_file, FileNumber{51});
  write_file(disk_.get(), path({1}), std::string_view(bytes).substr(0, bytes.size() - 16));
  EXPECT_FAILS(read_manifest(&files_, path({1}), nullptr), corruption, "cut off: 3 records");
}

// A new manifest without a mark would read as a damaged one, and nothing but it would be there.
TEST_F(ManifestTest, is_not_begun_without_its_mark) {
  ManifestState state;
  state.keyspaces[0].name = "default";
  ASSERT_OK(create({1}, state)->close());
  for (int nth = 1; nth <= 3; ++nth) {  // header, record, mark
    int writes = 0;
    files_.set_hook([&](const FileCall& call) {
      const bool fails = call.kind == FileCall::Kind::write && ++writes == nth;
      return fails ? Status::no_space("injected") : Status();
    });
    EXPECT_FAILS(ManifestWriter::create(&files_, kDirectory, {2}, state), no_space, "injected");
    files_.set_hook(nullptr);
    EXPECT_FALSE(disk_->info(path({2})).ok()) << "nothing is left lying";
  }
  const Result<CurrentManifest> current = read_current(&files_, kDirectory);
  ASSERT_OK(current);
  EXPECT_OK(read_manifest(&files_, path(current->number), &current->file));
}

// It would take its place on a full disk until the next opening, one for each try.
TEST_F(ManifestTest, is_removed_where_current_does_not_come_to_name_it) {
  ManifestState state;
  state.keyspaces[0].name = "default";
  ASSERT_OK(create({1}, state)->close());
  files_.set_hook([&](const FileCall& call) {
    return call.kind == FileCall::Kind::create && call.path.ends_with("CURRENT.tmp")
               ? Status::no_space("injected")
               : Status();
  });
  EXPECT_FAILS(ManifestWriter::create(&files_, kDirectory, {2}, state), no_space, "injected");
  files_.set_hook(nullptr);
  EXPECT_FALSE(disk_->info(path({2})).ok());
  EXPECT_EQ(read_current(&files_, kDirectory)->number, FileNumber{1});
}

// A tool reads while the owner appends: it does not take the growth for a loss.
TEST_F(ManifestTest, grows_while_it_is_read) {
  ManifestState state;
  state.keyspaces[0].name = "default";
  const std::unique_ptr<ManifestWriter> writer = create({1}, state);
  LevelsEdit edit;
  edit.next_file = FileNumber{50};
  int appended = 0;
  // Between the look at the size and the reading of bytes.
  files_.set_hook([&](const FileCall& call) {
    if (call.kind == FileCall::Kind::read && appended < 2) {
      EXPECT_OK(writer->append(edit));
      ++appended;
    }
    return Status();
  });
  const Result<ManifestState> read = read_manifest(&files_, path({1}), nullptr);
  files_.set_hook(nullptr);
  ASSERT_OK(read);
  EXPECT_EQ(read->next_file, FileNumber{50});
  EXPECT_EQ(appended, 2);
}

TEST_F(ManifestTest, zeros_and_noise_behind_the_end) {
  VARVE_SEEDED_TEST(random);
  write_some(&random, 3);
  const std::string bytes = read_file(disk_.get(), path({1}));
  for (int i = 0; i < 40; ++i) {
    std::string tail(random.below(2000), '\0');
    if (i % 2 == 1) {
      for (char& c : tail) c = static_cast<char>(random.next());
    }
    write_file(disk_.get(), path({1}), bytes + tail);
    const Result<ManifestState> state = read_manifest(&files_, path({1}), nullptr);
    ASSERT_OK(state);
    ASSERT_EQ(bytes_of(*state), states_.back());
  }
}

TEST_F(ManifestTest, another_file_under_its_name_is_told) {
  VARVE_SEEDED_TEST(random);
  write_some(&random, 2);
  const Result<CurrentManifest> first = read_current(&files_, kDirectory);
  ASSERT_OK(first);
  ManifestState state;
  state.keyspaces[0].name = "default";
  create({2}, state);
  write_file(disk_.get(), path({1}), read_file(disk_.get(), path({2})));
  EXPECT_FAILS(read_manifest(&files_, path({1}), &first->file), corruption, "CURRENT expects");
}

TEST_F(ManifestTest, current_names_the_newest) {
  ManifestState state;
  state.keyspaces[0].name = "default";
  EXPECT_FAILS(read_current(&files_, kDirectory), not_found, "CURRENT");
  for (const uint64_t number : {1, 2, 1234567}) {
    ASSERT_NE(create({number}, state), nullptr);
    EXPECT_EQ(read_current(&files_, kDirectory)->number, FileNumber{number});
  }
}

// Creation fails at every call: what was in force still is, or the new one is; both say the same.
TEST_F(ManifestTest, failed_creation_leaves_one_in_force) {
  ManifestState state;
  state.keyspaces[0].name = "default";
  state.next_file = {7};
  ASSERT_OK(create({1}, state)->close());
  for (uint64_t nth = 0; nth < 30; ++nth) {
    uint64_t calls = 0;
    files_.set_hook([&](const FileCall& call) {
      return call.changes() && calls++ == nth ? Status::io_error("injected") : Status();
    });
    const Result<std::unique_ptr<ManifestWriter>> writer =
        ManifestWriter::create(&files_, kDirectory, {10 + nth}, state);
    files_.set_hook(nullptr);
    const Result<CurrentManifest> current = read_current(&files_, kDirectory);
    ASSERT_OK(current);
    const Result<ManifestState> found =
        read_manifest(&files_, path(current->number), &current->file);
    ASSERT_OK(found);
    EXPECT_EQ(bytes_of(*found), bytes_of(state));
    if (writer.ok()) {
      EXPECT_GE(nth, 5u) << "each of the calls matters";
      return;
    }
  }
  FAIL() << "it never got through";
}

TEST_F(ManifestTest, failed_append_is_final_but_for_a_full_disk) {
  ManifestState state;
  state.keyspaces[0].name = "default";
  const std::unique_ptr<ManifestWriter> writer = create({1}, state);
  LevelsEdit edit;
  edit.next_file = FileNumber{50};
  const auto fail_with = [&](FileCall::Kind kind, const Status& status) {
    files_.set_hook([=](const FileCall& call) { return call.kind == kind ? status : Status(); });
    const Status appended = writer->append(edit);
    files_.set_hook(nullptr);
    return appended;
  };
  EXPECT_FAILS(fail_with(FileCall::Kind::write, Status::no_space("full")), no_space, "full");
  ASSERT_OK(writer->append(edit));
  EXPECT_EQ(read_manifest(&files_, path({1}), nullptr)->next_file, FileNumber{50});
  EXPECT_FAILS(fail_with(FileCall::Kind::sync, Status::no_space("full")), io_error, "full");
  EXPECT_FAILS(writer->append(edit), read_only, "failed before");
}

}  // namespace
}  // namespace varve::test
