#include "lsm/batch_format.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/lsm/golden_file.h"
#include "tests/lsm/version_rows.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

struct Entry {
  VersionKind kind = VersionKind::value;
  uint32_t keyspace = 0;
  std::string key;
  std::string value;
  friend bool operator==(const Entry&, const Entry&) = default;
};

std::string encoded(const std::vector<Entry>& entries) {
  std::string bytes;
  for (const Entry& entry : entries) {
    const size_t size = bytes.size();
    const size_t size_max = batch_entry_size_max(entry.key.size(), entry.value.size());
    bytes.resize(size + size_max);
    const char* end = encode_batch_entry(
        bytes.data() + size,
        {.kind = entry.kind, .keyspace = {entry.keyspace}, .key = entry.key, .value = entry.value});
    EXPECT_LE(static_cast<size_t>(end - bytes.data()), size + size_max);
    bytes.resize(static_cast<size_t>(end - bytes.data()));
  }
  return bytes;
}

// The entries up to the end or the first bad one.
std::vector<Entry> decoded(std::string_view bytes, bool* ok) {
  // Where the memory ends AddressSanitizer watches.
  const std::unique_ptr<char[]> exact(new char[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), exact.get());
  BatchReader reader({exact.get(), bytes.size()});
  std::vector<Entry> entries;
  BatchEntry entry;
  while (reader.next(&entry)) {
    entries.push_back(
        {entry.kind, entry.keyspace.id, std::string(entry.key), std::string(entry.value)});
  }
  *ok = reader.ok();
  EXPECT_LE(reader.offset(), bytes.size());
  EXPECT_FALSE(reader.next(&entry)) << "the end stays the end";
  return entries;
}

TEST(BatchFormat, golden_batches) {
  struct Case {
    const char* name;
    const char* description;
    std::vector<Entry> entries;
  };
  for (const Case& c : {
           Case{"batch",
                "the example of lsm/batch_format.h: put('ab', 'xyz') in keyspace 0",
                {{VersionKind::value, 0, "ab", "xyz"}}},
           Case{"batch_three_entries",
                "put(300, 130 x 'k', 200 x 'v'), erase(2^32 - 1, 'gone'), put(0, 'empty', '')",
                {{VersionKind::value, 300, std::string(130, 'k'), std::string(200, 'v')},
                 {VersionKind::tombstone, UINT32_MAX, "gone", ""},
                 {VersionKind::value, 0, "empty", ""}}},
       }) {
    test::expect_golden(c.name, c.description, encoded(c.entries));
    bool ok = false;
    EXPECT_EQ(decoded(test::golden_bytes(c.name), &ok), c.entries);
    EXPECT_TRUE(ok);
  }
  EXPECT_EQ(encoded({{VersionKind::value, 0, "ab", "xyz"}}),
            test::bytes_of_hex("01 00 02 61 62 03 78 79 7a"));
}

TEST(BatchFormat, random_batches_come_back) {
  VARVE_SEEDED_TEST(random);
  for (int round = 0; round < 200; ++round) {
    std::vector<Entry> entries;
    for (uint64_t i = random.below(20); i > 0; --i) {
      Entry entry{.keyspace = static_cast<uint32_t>(random.next() >> random.below(64)),
                  .key = test::random_key(&random, {}),
                  .value = {}};
      if (random.one_in(3)) {
        entry.kind = VersionKind::tombstone;
      } else {
        entry.value = test::random_bytes(&random, random.below(300));
      }
      entries.push_back(std::move(entry));
    }
    bool ok = false;
    ASSERT_EQ(decoded(encoded(entries), &ok), entries);
    ASSERT_TRUE(ok);
  }
}

TEST(BatchFormat, cut_off_batch_yields_its_whole_entries_then_fails) {
  const std::vector<Entry> entries{{VersionKind::value, 7, "key1", "value1"},
                                   {VersionKind::tombstone, 7, "key2", ""}};
  const std::string bytes = encoded(entries);
  const size_t first_size = encoded({entries[0]}).size();
  for (size_t size = 0; size < bytes.size(); ++size) {
    bool ok = false;
    const std::vector<Entry> found = decoded(std::string_view(bytes).substr(0, size), &ok);
    EXPECT_EQ(found.size(), size >= first_size ? 1u : 0u) << size;
    EXPECT_EQ(ok, size == 0 || size == first_size) << size;
  }
}

TEST(BatchFormat, bytes_that_no_encoder_makes_are_refused) {
  const std::string huge_key =
      test::bytes_of_hex("01 00 818004") + std::string(kKeySizeMax + 1, 'k');
  const std::string largest_key =
      test::bytes_of_hex("02 00 808004") + std::string(kKeySizeMax, 'k');
  bool ok = false;
  EXPECT_EQ(decoded(largest_key, &ok).size(), 1u);
  EXPECT_TRUE(ok);
  struct Case {
    const char* what;
    std::string bytes;
  };
  for (const Case& c : {
           Case{"kind 0", test::bytes_of_hex("00 00 01 61")},
           Case{"a reserved kind", test::bytes_of_hex("03 00 01 61 00")},
           Case{"kind 255", test::bytes_of_hex("ff 00 01 61 00")},
           Case{"a keyspace of 2^32", test::bytes_of_hex("01 8080808010 01 61 00")},
           Case{"an empty key", test::bytes_of_hex("01 00 00 00")},
           Case{"a key over the limit", huge_key + std::string(1, '\0')},
           Case{"a value of 2^64 - 1 bytes",
                test::bytes_of_hex("01 00 01 61 ffffffffffffffffff01")},
           Case{"a number in more bytes than it needs", test::bytes_of_hex("01 8000 01 61 00")},
       }) {
    EXPECT_TRUE(decoded(c.bytes, &ok).empty()) << c.what;
    EXPECT_FALSE(ok) << c.what;
  }
}

TEST(BatchFormat, random_bytes_never_lead_outside) {
  VARVE_SEEDED_TEST(random);
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = test::random_bytes(&random, random.below(40));
    for (char& c : bytes) {
      if (random.one_in(2)) c = static_cast<char>(c & 3);
    }
    bool ok = false;
    (void)decoded(bytes, &ok);
  }
}

}  // namespace
}  // namespace varve
