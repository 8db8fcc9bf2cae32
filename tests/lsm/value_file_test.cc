#include "lsm/value_file.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lsm/value_writer.h"
#include "tests/lsm/sstable_fixture.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve::test {
namespace {

constexpr const char* kDirectory = "/values";
const ValueFileName kName{.number = {7}, .id = kTestFileId};

class ValueFileTest : public testing::Test {
 protected:
  ValueFileTest() { EXPECT_OK(home_.files().create_directory(kDirectory)); }

  static std::string path() { return path_in(kDirectory, value_file_name(kName.number)); }
  bool is_on_disk() { return home_.files().info(path()).ok(); }

  std::vector<ValuePlace> write(const std::vector<std::string>& values,
                                const ValueWriterOptions& options = {},
                                const ValueFileName& name = kName) {
    std::vector<ValuePlace> places;
    ValueWriter writer(&home_.manager(),
                       *home_.files().open(path_in(kDirectory, value_file_name(name.number)),
                                           OpenMode::create_exclusive),
                       name, options);
    for (const std::string& value : values) {
      const Result<ValuePlace> place = writer.add(value);
      EXPECT_OK(place);
      places.push_back(*place);
    }
    EXPECT_OK(writer.finish());
    return places;
  }
  // Through the cache, as sstables do it.
  Result<std::string> read(ValueFile* file, const ValuePlace& place) {
    if (Status status = file->check(place); !status.ok()) return status;
    const Result<FrameRef> frame = home_.cache().load(file->source(place));
    if (!frame.ok()) return frame.status();
    return std::string((*frame)->content());
  }

  SstableHome home_;
  ValueFiles files_{&home_.files(), kDirectory, &home_.manager()};
};

TEST_F(ValueFileTest, values_come_back) {
  VARVE_SEEDED_TEST(random);
  for (const Compression codec : {Compression::none, Compression::zstd}) {
    std::vector<std::string> values;
    for (const size_t size : {0, 1, 63, 64, 1000, 4096, 70'000, 300'000, 1 << 20, (1 << 20) + 1}) {
      values.push_back(random_text(&random, size));
      values.push_back(random_bytes(&random, size));
    }
    const std::vector<ValuePlace> places = write(values, {.codec = codec});
    const Result<ValueFile*> file = files_.acquire(kName);
    ASSERT_OK(file);
    EXPECT_EQ((*file)->values(), values.size());
    EXPECT_EQ((*file)->file_size(), home_.files().info(path())->size);
    uint64_t data_bytes = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const Result<std::string> found = read(*file, places[i]);
      ASSERT_OK(found);
      EXPECT_EQ(*found, values[i]);
      EXPECT_EQ(places[i].raw_size, values[i].size());
      data_bytes += places[i].end() - places[i].offset;
    }
    EXPECT_EQ((*file)->data_bytes(), data_bytes);
    const bool compressed = places[8].stored_size < places[8].raw_size;
    EXPECT_EQ(compressed, codec == Compression::zstd);
    std::vector<ValuePlace> listed;
    ASSERT_OK((*file)->check_sizes(&home_.manager(), [&](const ValuePlace& place) {
      listed.push_back(place);
      return Status();
    }));
    ASSERT_EQ(listed.size(), places.size());
    for (size_t i = 0; i < listed.size(); ++i) {
      EXPECT_EQ(listed[i].offset, places[i].offset);
      EXPECT_EQ(listed[i].stored_size, places[i].stored_size);
    }
    files_.release(*file, ValueFiles::Holder::obsolete);
  }
}

TEST_F(ValueFileTest, stored_values_are_sealed_anew_for_another_file) {
  VARVE_SEEDED_TEST(random);
  const std::vector<std::string> values{random_text(&random, 5000), random_bytes(&random, 3000)};
  const std::vector<ValuePlace> places = write(values, {.codec = Compression::zstd});
  const ValueFileName other{.number = {8}, .id = {1, 2}};
  const Result<ValueFile*> from = files_.acquire(kName);
  ASSERT_OK(from);
  ValueWriter writer(&home_.manager(),
                     *home_.files().open(path_in(kDirectory, value_file_name(other.number)),
                                         OpenMode::create_exclusive),
                     other, {});
  std::vector<ValuePlace> moved;
  Buffer block(&home_.manager(), MemoryRole::compaction);
  for (const ValuePlace& place : {places[1], places[0]}) {
    const Result<BlockTrailer> trailer = (*from)->read_stored(place, &block);
    ASSERT_OK(trailer);
    const Result<ValuePlace> at = writer.add_stored(block.view(), *trailer);
    ASSERT_OK(at);
    EXPECT_EQ(at->stored_size, place.stored_size);
    moved.push_back(*at);
  }
  ASSERT_OK(writer.finish());
  files_.release(*from, ValueFiles::Holder::obsolete);
  const Result<ValueFile*> to = files_.acquire(other);
  ASSERT_OK(to);
  EXPECT_EQ(read(*to, moved[0]).value(), values[1]);
  EXPECT_EQ(read(*to, moved[1]).value(), values[0]);
  files_.release(*to, ValueFiles::Holder::obsolete);
}

// Whatever byte changes: the file does not open, or the value does not load, or the sizes say so.
TEST_F(ValueFileTest, no_byte_may_change_and_none_be_missing) {
  VARVE_SEEDED_TEST(random);
  const std::vector<std::string> values{random_text(&random, 200), random_bytes(&random, 100), ""};
  const std::vector<ValuePlace> places = write(values, {.codec = Compression::zstd});
  const std::string sound = home_.bytes_of(path());
  const auto is_found = [&](std::string_view bytes) {
    home_.set_bytes(path(), bytes);
    const Result<ValueFile*> file = files_.acquire(kName);
    if (!file.ok()) {
      EXPECT_TRUE(file.status().message().starts_with(path())) << file.status().to_string();
      return true;
    }
    bool found = !(*file)->check_sizes(&home_.manager()).ok();
    for (size_t i = 0; i < values.size(); ++i) {
      const Result<std::string> value = read(*file, places[i]);
      if (value.ok()) {
        EXPECT_EQ(*value, values[i]);
      }
      found |= !value.ok();
    }
    files_.release(*file, ValueFiles::Holder::in_force);
    return found;
  };
  EXPECT_FALSE(is_found(sound));
  for (size_t i = 0; i < sound.size(); ++i) {
    std::string damaged = sound;
    damaged[i] = static_cast<char>(damaged[i] ^ (1u << random.below(8)));
    EXPECT_TRUE(is_found(damaged)) << i;
    EXPECT_TRUE(is_found(sound.substr(0, i))) << i;
  }
  EXPECT_TRUE(is_found(sound + '\0'));
}

TEST_F(ValueFileTest, pointers_beyond_the_values_are_corrupt) {
  const std::vector<ValuePlace> places = write({std::string(100, 'v')});
  const Result<ValueFile*> file = files_.acquire(kName);
  ASSERT_OK(file);
  const uint64_t end = places[0].end();
  for (const ValuePlace& place :
       {ValuePlace{.offset = 0, .stored_size = 10}, ValuePlace{.offset = end, .stored_size = 0},
        ValuePlace{.offset = 40, .stored_size = 101}, ValuePlace{.offset = UINT64_MAX},
        ValuePlace{.offset = 40, .stored_size = UINT32_MAX}}) {
    EXPECT_FAILS((*file)->check(place), corruption, path());
  }
  // Within, but no value is there; or it is another one.
  EXPECT_FAILS(read(*file, {.offset = 41, .stored_size = 99, .raw_size = 99}), corruption,
               "checksum");
  EXPECT_FAILS(read(*file, {.offset = 40, .stored_size = 100, .raw_size = 200}), corruption, "200");
  files_.release(*file, ValueFiles::Holder::in_force);
}

TEST_F(ValueFileTest, it_goes_when_nobody_in_force_names_it) {
  write({"value"});
  const Result<ValueFile*> first = files_.acquire(kName);
  const Result<ValueFile*> second = files_.acquire(kName);
  ASSERT_OK(first);
  EXPECT_EQ(first.value(), second.value());
  EXPECT_TRUE(files_.is_open(kName.number));
  files_.release(*first, ValueFiles::Holder::obsolete);
  EXPECT_TRUE(files_.is_open(kName.number));
  EXPECT_TRUE(is_on_disk());
  files_.release(*second, ValueFiles::Holder::in_force);
  EXPECT_FALSE(files_.is_open(kName.number));
  EXPECT_TRUE(is_on_disk());
  // The order does not matter.
  ASSERT_OK(files_.acquire(kName));
  const Result<ValueFile*> again = files_.acquire(kName);
  ASSERT_OK(again);
  files_.release(*again, ValueFiles::Holder::in_force);
  files_.release(*again, ValueFiles::Holder::obsolete);
  EXPECT_TRUE(is_on_disk());
  const Result<ValueFile*> last = files_.acquire(kName);
  ASSERT_OK(last);
  files_.release(*last, ValueFiles::Holder::obsolete);
  EXPECT_FALSE(is_on_disk());
}

TEST_F(ValueFileTest, another_file_or_none_is_corruption) {
  EXPECT_FAILS(files_.acquire(kName), corruption, "missing");
  write({"value"});
  EXPECT_FAILS(files_.acquire({.number = kName.number, .id = {1, 2}}), corruption, "expected");
  const Result<ValueFile*> file = files_.acquire(kName);
  ASSERT_OK(file);
  EXPECT_FAILS(files_.acquire({.number = kName.number, .id = {1, 2}}), corruption, "expected");
  files_.release(*file, ValueFiles::Holder::in_force);
}

}  // namespace
}  // namespace varve::test
