// Files of values (lsm/value_format.h). The first byte says what the others are. The mutator seals
// again what it changed in a file, so that the checks behind the checksums are reached.
//
// Oracle for bytes as a file, and pointers into it: values of the size that the pointer says, or
// corruption or not_supported naming the file; sizes that are accepted fill the file. Oracle for
// bytes as values and a place of damage: all come back, also when they were moved to another file
// as they are stored; with one byte changed, something says so.

#include <algorithm>
#include <string>
#include <vector>

#include "fuzz/check.h"
#include "fuzz/engine.h"
#include "lsm/value_file.h"
#include "lsm/value_writer.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace varve::fuzz {
namespace {

enum Mode : uint8_t { kFile, kValues, kModes };

constexpr size_t kPlanSize = 24;
constexpr ValueFileName kName{.number = {12}, .id = {0x1122334455667788, 0x99aabbccddeeff00}};

std::string path_of(const ValueFileName& name) {
  return path_in(kDirectory, value_file_name(name.number));
}

void check_file_refusal(const Status& status) {
  check_refusal(status);
  FUZZ_CHECK_SAYING(status.message().find(kDirectory) != std::string_view::npos,
                    status.to_string());
}

class Home {
 public:
  FileSystem* files() { return file_system_.get(); }
  ValueFiles& values() { return values_; }

  Result<std::string> read(ValueFile* file, const ValuePlace& place) {
    if (Status status = file->check(place); !status.ok()) return status;
    const Result<FrameRef> frame = cache_.load(file->source(place));
    if (!frame.ok()) return frame.status().with_context(file->path());
    FUZZ_CHECK((*frame)->content().size() == place.raw_size);
    return std::string((*frame)->content());
  }

 private:
  const std::unique_ptr<FileSystem> file_system_ = FileSystem::create_memory();
  BlockCache cache_{&shared_memory(), &shared_epochs(), 1 << 20};
  ValueFiles values_{file_system_.get(), kDirectory, &shared_memory()};
};

// Whatever is there is read through sizes and through pointers.
void exercise(Home* home, ValueFile* file, Input* plan) {
  uint64_t end = kValueFileHeaderSize;
  const Status sizes = file->check_sizes(&shared_memory(), [&](const ValuePlace& place) {
    FUZZ_CHECK(place.offset == end);
    end = place.end();
    Buffer block(&shared_memory(), MemoryRole::cursor);
    const Result<BlockTrailer> trailer = file->read_stored(place, &block);
    if (!trailer.ok()) {
      check_file_refusal(trailer.status());
      return Status();
    }
    ValuePlace whole = place;
    whole.raw_size = trailer->raw_size;
    const Result<std::string> value = home->read(file, whole);
    if (!value.ok()) check_file_refusal(value.status());
    return Status();
  });
  if (sizes.ok()) {
    FUZZ_CHECK(end - kValueFileHeaderSize == file->data_bytes());
  } else {
    check_file_refusal(sizes);
  }
  for (int i = 0; i < 3; ++i) {
    const ValuePlace place{
        .offset = plan->below(400), .stored_size = plan->below(200), .raw_size = plan->below(400)};
    const Result<std::string> value = home->read(file, place);
    if (!value.ok()) check_file_refusal(value.status());
  }
}

void check_file(std::string_view bytes, Input* plan) {
  Home home;
  write_file(home.files(), path_of(kName), bytes);
  const Result<ValueFile*> file = home.values().acquire(kName);
  if (!file.ok()) return check_file_refusal(file.status());
  exercise(&home, *file, plan);
  home.values().release(*file, ValueFiles::Holder::obsolete);
  FUZZ_CHECK(!home.files()->info(path_of(kName)).ok());
}

std::vector<ValuePlace> write_values(Home* home, const std::vector<std::string_view>& values,
                                     const ValueWriterOptions& options) {
  std::vector<ValuePlace> places;
  ValueWriter writer(&shared_memory(), create_file(home->files(), path_of(kName)), kName, options);
  for (const std::string_view value : values) {
    const Result<ValuePlace> place = writer.add(value);
    FUZZ_CHECK_SAYING(place.ok(), place.status().to_string());
    places.push_back(*place);
  }
  FUZZ_CHECK(writer.finish().ok());
  return places;
}

// All of them to another file.
void check_moved(Home* home, ValueFile* from, const std::vector<std::string_view>& values,
                 const std::vector<ValuePlace>& places) {
  constexpr ValueFileName kOther{.number = {13}, .id = {1, 2}};
  Result<std::unique_ptr<File>> created =
      home->files()->open(path_of(kOther), OpenMode::create_exclusive);
  FUZZ_CHECK(created.ok());
  ValueWriter writer(&shared_memory(), std::move(*created), kOther, {});
  std::vector<ValuePlace> moved;
  Buffer block(&shared_memory(), MemoryRole::cursor);
  for (const ValuePlace& place : places) {
    const Result<BlockTrailer> trailer = from->read_stored(place, &block);
    FUZZ_CHECK(trailer.ok());
    const Result<ValuePlace> at = writer.add_stored(block.view(), *trailer);
    FUZZ_CHECK(at.ok());
    moved.push_back(*at);
  }
  FUZZ_CHECK(writer.finish().ok());
  const Result<ValueFile*> to = home->values().acquire(kOther);
  FUZZ_CHECK(to.ok());
  for (size_t i = 0; i < moved.size(); ++i) {
    const Result<std::string> value = home->read(*to, moved[i]);
    FUZZ_CHECK(value.ok() && *value == values[i]);
  }
  home->values().release(*to, ValueFiles::Holder::obsolete);
}

void check_values(std::string_view bytes, Input* plan) {
  Home home;
  const bool compresses = plan->flag();
  std::vector<std::string_view> values;
  while (!bytes.empty()) {
    const size_t size = std::min<size_t>(plan->below(300), bytes.size());
    values.push_back(bytes.substr(0, size));
    bytes.remove_prefix(std::max<size_t>(size, 1));
  }
  if (values.empty()) return;
  const std::vector<ValuePlace> places =
      write_values(&home, values, {.codec = compresses ? Compression::zstd : Compression::none});
  Result<ValueFile*> file = home.values().acquire(kName);
  FUZZ_CHECK(file.ok());
  for (size_t i = 0; i < values.size(); ++i) {
    const Result<std::string> value = home.read(*file, places[i]);
    FUZZ_CHECK(value.ok() && *value == values[i]);
  }
  FUZZ_CHECK((*file)->check_sizes(&shared_memory()).ok());
  check_moved(&home, *file, values, places);
  home.values().release(*file, ValueFiles::Holder::in_force);

  std::string damaged = read_file(home.files(), path_of(kName));
  const size_t at = plan->below(static_cast<uint32_t>(damaged.size()));
  damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1 + plan->below(255)));
  FUZZ_CHECK(home.files()->remove(path_of(kName)).ok());
  Result<std::unique_ptr<File>> created =
      home.files()->open(path_of(kName), OpenMode::create_exclusive);
  FUZZ_CHECK(created.ok() && (*created)->write(0, damaged).ok());
  file = home.values().acquire(kName);
  if (!file.ok()) return check_file_refusal(file.status());
  bool found = !(*file)->check_sizes(&shared_memory()).ok();
  for (size_t i = 0; i < values.size(); ++i) {
    const Result<std::string> value = home.read(*file, places[i]);
    FUZZ_CHECK(!value.ok() || *value == values[i]);
    found |= !value.ok();
  }
  FUZZ_CHECK(found);
  home.values().release(*file, ValueFiles::Holder::obsolete);
}

void run(const uint8_t* data, size_t size) {
  if (size == 0) return;
  const size_t plan_size = std::min(size - 1, kPlanSize);
  Input plan(data + (size - plan_size), plan_size);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1 - plan_size);
  if (data[0] % kModes == kFile) {
    check_file(bytes, &plan);
  } else {
    check_values(bytes, &plan);
  }
}

// What would be refused at once is put right, and everything is sealed, as far as sizes lead.
void seal(std::string* file) {
  char* const bytes = file->data();
  const uint64_t size = file->size();
  encode_value_file_header(bytes, kName.id);
  char* const footer = bytes + size - kValueFileFooterSize;
  const uint64_t sizes_offset = load_le<uint64_t>(footer);
  if (sizes_offset < kValueFileHeaderSize ||
      sizes_offset > size - kValueFileFooterSize - kBlockTrailerSize) {
    return;
  }
  const uint64_t sizes_size = size - kValueFileFooterSize - kBlockTrailerSize - sizes_offset;
  encode_value_file_footer(footer, {.sizes_offset = sizes_offset,
                                    .sizes_stored_size = static_cast<uint32_t>(sizes_size),
                                    .values = load_le<uint64_t>(footer + 16),
                                    .file_size = size,
                                    .file = kName.id});
  seal_block(bytes + sizes_offset, sizes_size,
             {.raw_size = static_cast<uint32_t>(sizes_size), .row_count = 0}, kName.id,
             sizes_offset);
  Decoder decoder(std::string_view(*file).substr(sizes_offset, sizes_size));
  for (uint64_t offset = kValueFileHeaderSize; decoder.remaining() != 0;) {
    const uint64_t stored = decoder.varint32();
    if (!decoder.ok() || stored + kBlockTrailerSize > sizes_offset - offset) return;
    char* const trailer = bytes + offset + stored;
    store_le(trailer + 16, checksum({bytes + offset, stored + 16}, kName.id, offset));
    offset += stored + kBlockTrailerSize;
    if (offset > sizes_offset) return;
  }
}

size_t mutate(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  const size_t least =
      1 + kPlanSize + kValueFileHeaderSize + kBlockTrailerSize + kValueFileFooterSize;
  if (size < least || data[0] % kModes != kFile || seed % 8 == 0) return size;
  std::string file(reinterpret_cast<char*>(data) + 1, size - 1 - kPlanSize);
  seal(&file);
  std::copy(file.begin(), file.end(), reinterpret_cast<char*>(data) + 1);
  return size;
}

}  // namespace
}  // namespace varve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return varve::fuzz::mutate(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::run(data, size);
  varve::fuzz::check_nothing_held();
  return 0;
}
