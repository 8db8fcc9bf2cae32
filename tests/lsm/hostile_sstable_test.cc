// Sstables whose checksums all hold, and whose contents lie.

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "lsm/sstable.h"
#include "lsm/store.h"
#include "tests/lsm/sstable_fixture.h"
#include "tests/lsm/sstable_reads.h"
#include "tests/support/seeded_test.h"

namespace varve::test {
namespace {

// Changes the payload of the block at `offset`, or its trailer, and seals it again.
std::string resealed(std::string bytes, uint64_t offset, size_t stored_size,
                     const std::function<void(char* block)>& change) {
  char* block = bytes.data() + offset;
  change(block);
  store_le(block + stored_size + 16,
           checksum({block, stored_size + 16}, test::kTestFileId, offset));
  return bytes;
}

std::string with_footer(std::string bytes,
                        const std::function<void(SstableFooter* footer)>& change) {
  const std::string_view tail(bytes.data() + bytes.size() - kSstableFooterSize, kSstableFooterSize);
  SstableFooter footer = *decode_sstable_footer(tail, bytes.size());
  change(&footer);
  encode_sstable_footer(bytes.data() + bytes.size() - kSstableFooterSize, footer);
  return bytes;
}

class HostileSstable : public ::testing::Test {
 protected:
  HostileSstable() {
    home_.write("f", file_.rows, file_.options);
    bytes_ = home_.bytes_of("f");
    const SstablePtr sstable = home_.open("f");
    partition_ = *sstable->partition_handle(0);
    const Result<FrameRef> frame = sstable->partition(0, false);
    data_ = *sstable->block_handle((*frame)->view, 0);
    footer_ = *decode_sstable_footer(
        std::string_view(bytes_).substr(bytes_.size() - kSstableFooterSize), bytes_.size());
  }

  ~HostileSstable() override {
    uint64_t most = 0;
    for (const MemoryReport::Role& role : home_.manager().report().roles) {
      most = std::max(most, role.high_water_bytes);
    }
    EXPECT_LT(most, 32u << 20) << "a file of a few hundred bytes made a reader allocate much";
  }

  // Reading what there is of it ends, with the rows or with an error.
  Status read(const std::string& bytes) {
    home_.set_bytes("hostile", bytes);
    Result<Sstable*> opened = home_.try_open("hostile");
    if (!opened.ok()) return opened.status();
    const SstablePtr sstable(*opened);
    Status status;
    for (uint32_t p = 0; p < std::min(sstable->partition_count(), 10u); ++p) {
      const Result<FrameRef> filter = sstable->filter(p, true);
      if (!filter.ok()) {
        status = filter.status();
      } else if (*filter) {
        (void)(*filter)->filter.may_contain(key_hash("apple"));
      }
    }
    RunCursor cursor(&home_.manager());
    Sstable* const file = sstable.get();
    cursor.reset({&file, 1}, true);
    size_t left = 100;
    for (cursor.seek_to_first(); cursor.valid() && left > 0; cursor.next()) --left;
    if (!cursor.status().ok()) status = cursor.status();
    for (cursor.seek_to_last(); cursor.valid() && left > 0; cursor.prev()) --left;
    if (!cursor.status().ok()) status = cursor.status();
    for (const VersionRow& row : file_.rows) {
      cursor.seek(row.version_key());
      cursor.seek_for_prev(row.version_key());
      bool found = false;
      VersionRow ignored;
      const Status got =
          read_version(&home_, file, row.key, row.timestamp, Way::filling, &found, &ignored);
      if (!got.ok()) status = got;
    }
    return status;
  }
  // The top index with the handle of the only partition changed at `byte`.
  std::string with_partition_handle(size_t byte, uint64_t value, size_t size) {
    return resealed(
        bytes_, footer_.top_index_offset, footer_.top_index_stored_size, [&](char* block) {
          std::memcpy(block + footer_.top_index_stored_size - kPartitionHandleSize + byte, &value,
                      size);
        });
  }
  // The index with the handle of the last data block changed at `byte`.
  std::string with_block_handle(size_t byte, uint64_t value, size_t size) {
    return resealed(bytes_, partition_.offset, partition_.stored_size, [&](char* block) {
      std::memcpy(block + partition_.stored_size - kBlockHandleSize + byte, &value, size);
    });
  }

  SstableHome home_;
  const SmallFile file_;
  std::string bytes_;
  BlockHandle partition_;
  BlockHandle data_;
  SstableFooter footer_;
};

TEST_F(HostileSstable, handles_that_point_nowhere_are_corruption) {
  ASSERT_TRUE(read(with_block_handle(36, 0, 4)).ok()) << "the untouched file";
  struct Case {
    const char* what;
    size_t byte;
    uint64_t value;
    size_t size;
  };
  const uint64_t end = bytes_.size();
  const Case cases[] = {
      {"offset beyond the end", 0, end, 8},
      {"offset near 2^64", 0, UINT64_MAX - 10, 8},
      {"offset of the properties", 0, footer_.properties_offset, 8},
      {"offset of another block", 0, kSstableHeaderSize, 8},
      {"stored size beyond the end", 8, end, 4},
      {"stored size of 2^32 - 1", 8, UINT32_MAX, 4},
      {"raw size of 2^32 - 1", 12, UINT32_MAX, 4},
      {"raw size of 2^30", 12, 1u << 30, 4},
      {"raw size 0", 12, 0, 4},
      {"rows 0", 28, 0, 4},
      {"rows of 2^32 - 1", 28, UINT32_MAX, 4},
      {"another number of rows", 28, 7, 4},
  };
  for (const Case& c : cases) {
    for (const bool partition : {false, true}) {
      const Status status = read(partition ? with_partition_handle(c.byte, c.value, c.size)
                                           : with_block_handle(c.byte, c.value, c.size));
      EXPECT_EQ(status.code(), StatusCode::corruption)
          << (partition ? "partition: " : "block: ") << c.what << ": " << status.to_string();
      EXPECT_TRUE(status.message().starts_with("hostile")) << status.to_string();
    }
  }
  for (const Case& c :
       {Case{"filter beyond the end", 40, end, 8}, Case{"filter near 2^64", 40, UINT64_MAX - 5, 8},
        Case{"filter of 2^32 - 1 bytes", 48, UINT32_MAX, 4},
        Case{"a filter that is a data block", 40, kSstableHeaderSize, 8},
        Case{"a filter of one byte less", 48, partition_.filter_stored_size - 1, 4}}) {
    EXPECT_EQ(read(with_partition_handle(c.byte, c.value, c.size)).code(), StatusCode::corruption)
        << c.what;
  }
}

TEST_F(HostileSstable, footers_that_point_nowhere_are_corruption) {
  const auto changed = [&](const std::function<void(SstableFooter*)>& change) {
    return read(with_footer(bytes_, change)).code();
  };
  EXPECT_EQ(changed([](SstableFooter*) {}), StatusCode::ok);
  for (const uint64_t offset :
       {uint64_t{0}, uint64_t{39}, footer_.top_index_offset + 1, footer_.properties_offset + 1,
        uint64_t{bytes_.size()}, UINT64_MAX - 20, UINT64_MAX}) {
    EXPECT_EQ(changed([&](SstableFooter* f) { f->top_index_offset = offset; }),
              StatusCode::corruption);
    EXPECT_EQ(changed([&](SstableFooter* f) { f->properties_offset = offset; }),
              StatusCode::corruption);
  }
  for (const uint32_t size : {0u, 1u, 1u << 29, UINT32_MAX}) {
    EXPECT_EQ(changed([&](SstableFooter* f) { f->top_index_stored_size = size; }),
              StatusCode::corruption);
    EXPECT_EQ(changed([&](SstableFooter* f) { f->top_index_raw_size = size; }),
              StatusCode::corruption);
    EXPECT_EQ(changed([&](SstableFooter* f) { f->properties_stored_size = size; }),
              StatusCode::corruption);
    EXPECT_EQ(changed([&](SstableFooter* f) { f->top_index_rows = size == 1 ? 2 : size; }),
              StatusCode::corruption);
  }
}

TEST_F(HostileSstable, sealed_random_changes_give_rows_or_an_error) {
  VARVE_SEEDED_TEST(random);
  size_t failed = 0;
  for (int i = 0; i < 3000; ++i) {
    struct Place {
      uint64_t offset;
      uint32_t stored_size;
    };
    const Place places[] = {{data_.offset, data_.stored_size},
                            {partition_.offset, partition_.stored_size},
                            {partition_.filter_offset, partition_.filter_stored_size},
                            {footer_.top_index_offset, footer_.top_index_stored_size},
                            {footer_.properties_offset, footer_.properties_stored_size}};
    const Place at = places[random.below(5)];
    const std::string bytes = resealed(bytes_, at.offset, at.stored_size, [&](char* block) {
      for (uint64_t n = 1 + random.below(3); n > 0; --n) {
        char* const byte = block + random.below(at.stored_size + 16);
        *byte = static_cast<char>(random.one_in(2) ? random.next() : *byte ^ 0x80);
      }
    });
    failed += !read(bytes).ok();
  }
  EXPECT_GT(failed, 100u);
}

TEST_F(HostileSstable, a_compressed_block_that_grows_without_bounds_is_refused) {
  // Blocks of 1 MiB of zeros compress to a few bytes: a hostile index could claim 1 GiB for each.
  EXPECT_EQ(read(resealed(with_block_handle(12, kBlockCompressedRawSizeMax + 1, 4), data_.offset,
                          data_.stored_size, [](char*) {}))
                .code(),
            StatusCode::corruption);
}

TEST_F(HostileSstable, properties_that_lie_are_found_when_all_is_verified) {
  const auto verified = [&](const std::function<void(SstableProperties*)>& change) {
    const uint32_t size = footer_.properties_stored_size;
    SstableProperties properties =
        *decode_properties(std::string_view(bytes_).substr(footer_.properties_offset, size));
    change(&properties);
    std::string fresh;
    encode_properties(properties, &fresh);
    EXPECT_EQ(fresh.size(), size);
    home_.set_bytes("hostile", resealed(bytes_, footer_.properties_offset, size, [&](char* block) {
                      std::memcpy(block, fresh.data(), size);
                    }));
    const SstablePtr sstable = home_.open("hostile");
    VerifyReport report;
    return sstable == nullptr ? Status::io_error("not opened")
                              : verify_sstable(sstable.get(), &home_.manager(), &report);
  };
  using P = SstableProperties;
  EXPECT_TRUE(verified([](P*) {}).ok());
  const struct {
    const char* message;
    std::function<void(P*)> change;
  } lies[] = {
      {"begins at key", [](P* p) { --p->smallest_key.front(); }},
      {"ends at key", [](P* p) { ++p->largest_key.back(); }},
      {"versions:", [](P* p) { ++p->versions; }},
      {"tombstones:", [](P* p) { --p->tombstones; }},
      {"keys:", [](P* p) { --p->user_keys; }},
      {"oldest timestamp", [](P* p) { --p->timestamp_min.nanos; }},
      {"newest timestamp", [](P* p) { ++p->timestamp_max.nanos; }},
  };
  for (const auto& lie : lies) {
    const Status status = verified(lie.change);
    EXPECT_EQ(status.code(), StatusCode::corruption) << lie.message;
    EXPECT_NE(status.to_string().find(lie.message), std::string::npos) << status.to_string();
  }
}

}  // namespace
}  // namespace varve::test
