// Offsets beyond 4 GiB, where 32 bits would wrap: in files, and in sstables.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "tests/lsm/sstable_fixture.h"
#include "tests/support/hooked_files.h"
#include "tests/support/status_check.h"
#include "tests/support/temp_directory.h"

namespace varve {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

TEST(LargeOffsets, files_keep_bytes_beyond_them) {
  test::TempDirectory directory;
  FileSystem* files = FileSystem::posix();
  const std::unique_ptr<File> file =
      std::move(*files->open(directory / "sparse", OpenMode::create_exclusive));
  for (const uint64_t at : {2 * kGiB - 2, 4 * kGiB - 2, 5 * kGiB}) {
    ASSERT_OK(file->write(at, "here " + std::to_string(at)));
  }
  for (const uint64_t at : {2 * kGiB - 2, 4 * kGiB - 2, 5 * kGiB}) {
    const std::string written = "here " + std::to_string(at);
    std::string got(written.size(), '\0');
    EXPECT_EQ(*file->read(at, got.data(), got.size()), got.size());
    EXPECT_EQ(got, written);
  }
  EXPECT_EQ(*file->size(), 5 * kGiB + std::to_string(5 * kGiB).size() + 5);
}

// What is not kFill is kept.
constexpr char kFill = 'v';
class SparseContent {
 public:
  void write(uint64_t offset, std::string_view bytes) {
    size_ = std::max(size_, offset + bytes.size());
    while (!bytes.empty()) {
      const std::string_view piece = bytes.substr(0, kPiece - offset % kPiece);
      const bool filled =
          piece[0] == kFill && std::memcmp(piece.data(), piece.data() + 1, piece.size() - 1) == 0;
      if (!filled) pieces_[offset] = piece;
      offset += piece.size();
      bytes.remove_prefix(piece.size());
    }
  }
  size_t read(uint64_t offset, char* to, size_t size) const {
    size = offset < size_ ? std::min<uint64_t>(size, size_ - offset) : 0;
    std::memset(to, kFill, size);
    for (auto at = pieces_.lower_bound(offset - std::min(offset, kPiece));
         at != pieces_.end() && at->first < offset + size; ++at) {
      const uint64_t from = std::max(offset, at->first);
      const uint64_t end = std::min(offset + size, at->first + at->second.size());
      if (from < end) std::memcpy(to + (from - offset), &at->second[from - at->first], end - from);
    }
    return size;
  }
  uint64_t size() const { return size_; }

 private:
  static constexpr uint64_t kPiece = 64 * 1024;
  std::map<uint64_t, std::string> pieces_;
  uint64_t size_ = 0;
};

class SparseFile final : public File {
 public:
  explicit SparseFile(SparseContent* content) : content_(content) {}
  void submit(IoRequest* request) override {
    request->status = Status();
    request->transferred = request->size;
    if (request->kind == IoRequest::Kind::write) {
      content_->write(request->offset, {request->data, request->size});
    } else if (request->kind == IoRequest::Kind::read) {
      request->transferred = content_->read(request->offset, request->data, request->size);
    }
  }
  void wait(IoRequest*) override {}
  Result<uint64_t> size() override { return content_->size(); }
  Status truncate(uint64_t) override { return Status::not_supported("sparse"); }
  Status allocate(uint64_t, bool) override { return Status(); }
  Status close() override { return Status(); }

 private:
  SparseContent* const content_;
};

class SparseFiles final : public test::HookedFiles {
 public:
  SparseFiles() : HookedFiles(nullptr) {}
  Result<std::unique_ptr<File>> open(const std::string&, OpenMode) override {
    return std::unique_ptr<File>(std::make_unique<SparseFile>(&content_));
  }

 private:
  SparseContent content_;
};

TEST(LargeOffsets, sstables_read_back_what_lies_beyond_them) {
#if defined(VARVE_DEBUG)
  GTEST_SKIP() << "writes 4.5 GB: in release builds only";
#endif
  test::SstableHome home(1 << 20);
  SparseFiles files;
  SstableWriter writer(&home.manager(), std::move(*files.open("f", OpenMode::create_exclusive)),
                       test::kTestFileId, {});
  const auto key = [](int i) { return "key" + std::to_string(100 + i); };
  const std::string large(16 << 20, kFill);
  constexpr int kLarge = 280;
  for (int i = 0; i < kLarge; ++i) {
    ASSERT_OK(writer.add(key(i), key_hash(key(i)), {5}, VersionKind::value, large));
  }
  for (int i = kLarge; i < 800; ++i) {  // blocks and partitions beyond
    const std::string value = "small " + std::to_string(i) + std::string(10'000, 's');
    ASSERT_OK(writer.add(key(i), key_hash(key(i)), {5}, VersionKind::value, value));
  }
  ASSERT_OK(writer.finish());
  EXPECT_GT(writer.file_size(), 4 * kGiB);

  Result<Sstable*> opened = Sstable::open_unknown(&files, "f", &home.cache());
  ASSERT_OK(opened);
  const test::SstablePtr sstable(*opened);
  EXPECT_GT(sstable->partition_count(), 1u);
  for (const int i : {0, 127, 128, 256, kLarge - 1, kLarge, 500, 799}) {
    ReadAccess access;
    FoundVersion found;
    Result<bool> got = sstable->get(key(i), key_hash(key(i)), {9}, &access, &found);
    ASSERT_OK(got);
    ASSERT_TRUE(*got) << key(i);
    if (i < kLarge) {
      EXPECT_EQ(found.value.size(), large.size());
    } else {
      EXPECT_TRUE(found.value.starts_with("small " + std::to_string(i))) << key(i);
    }
  }
}

}  // namespace
}  // namespace varve
