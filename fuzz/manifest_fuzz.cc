// Manifests (lsm/manifest.h), edits (lsm/levels_edit.h) and CURRENT (lsm/current_file.h). The first
// byte says what the others are; the mutator seals again what it changed in a manifest or in
// CURRENT, so that the checks behind the checksums are reached.
//
// Oracle for bytes as a manifest, an edit or CURRENT: data, or a refusal, which for files names the
// path. What is taken of an edit or of CURRENT is encoded into bytes that mean the same; a state is
// made again by its own edit. Oracle for bytes as edits and damage: the manifest is read back edit
// by edit; damaged, it is corruption, unless no mark says so much: then the state before the
// damage.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/check.h"
#include "fuzz/engine.h"
#include "fuzz/manifest_model.h"
#include "lsm/current_file.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace varve::fuzz {
namespace {

enum Mode : uint8_t { kManifest, kEdit, kEdits, kCurrent, kModes };

constexpr FileNumber kNumber{12};
constexpr FileId kId{0x0123456789abcdef, 0x0f1e2d3c4b5a6978};

std::string manifest_path() { return path_in(kDirectory, manifest_name(kNumber)); }

void check_file_refusal(const Status& status) {
  check_refusal(status);
  FUZZ_CHECK_SAYING(status.message().find(kDirectory) != std::string_view::npos,
                    status.to_string());
}

void check_edit(const LevelsEdit& edit) {
  const std::string text = text_of(edit);
  const Result<LevelsEdit> again = decode_edit(text);
  FUZZ_CHECK_SAYING(again.ok(), again.status().to_string());
  FUZZ_CHECK(text_of(*again) == text);
}

void check_state(const ManifestState& state) {
  const LevelsEdit edit = state.as_edit();
  check_edit(edit);
  ManifestState again;
  FUZZ_CHECK(again.apply(edit).ok());
  FUZZ_CHECK(text_of(again.as_edit()) == text_of(edit));
}

void check_manifest(std::string_view bytes) {
  const std::unique_ptr<FileSystem> file_system = FileSystem::create_memory();
  write_file(file_system.get(), manifest_path(), bytes);
  uint64_t previous = 0;
  const Result<ManifestState> state = read_manifest(
      file_system.get(), manifest_path(), nullptr, [&](uint64_t offset, const LevelsEdit& edit) {
        FUZZ_CHECK(offset > previous && offset < bytes.size());
        previous = offset;
        check_edit(edit);
      });
  if (!state.ok()) return check_file_refusal(state.status());
  check_state(*state);
  // As CURRENT would have it: with another identity it is refused.
  const FileId other{};
  const FileId own{load_le<uint64_t>(bytes.data() + 16), load_le<uint64_t>(bytes.data() + 24)};
  FUZZ_CHECK(read_manifest(file_system.get(), manifest_path(), &own).ok());
  if (own != other) {
    check_file_refusal(read_manifest(file_system.get(), manifest_path(), &other).status());
  }
}

void check_current(std::string_view bytes) {
  const std::unique_ptr<FileSystem> file_system = FileSystem::create_memory();
  write_file(file_system.get(), path_in(kDirectory, kCurrentName), bytes);
  const Result<CurrentManifest> current = read_current(file_system.get(), kDirectory);
  if (!current.ok()) return check_file_refusal(current.status());
  const Result<CurrentManifest> again = decode_current(encode_current(*current));
  FUZZ_CHECK(again.ok() && *again == *current);
}

// A manifest of `edits`, and CURRENT, as the writer leaves them; the random identity is replaced,
// so that an input always does the same.
std::string write_manifest(const ManifestState& initial, const std::vector<LevelsEdit>& edits) {
  const std::unique_ptr<FileSystem> file_system = FileSystem::create_memory();
  FUZZ_CHECK(file_system->create_directory(kDirectory).ok());
  Result<std::unique_ptr<ManifestWriter>> writer =
      ManifestWriter::create(file_system.get(), kDirectory, kNumber, initial);
  FUZZ_CHECK_SAYING(writer.ok(), writer.status().to_string());
  for (const LevelsEdit& edit : edits) FUZZ_CHECK((*writer)->append(edit).ok());
  FUZZ_CHECK((*writer)->close().ok());
  const Result<CurrentManifest> current = read_current(file_system.get(), kDirectory);
  FUZZ_CHECK_SAYING(current.ok(), current.status().to_string());
  FUZZ_CHECK(current->number == kNumber);
  std::string bytes = read_file(file_system.get(), manifest_path());
  FUZZ_CHECK((*writer)->size() == bytes.size());
  FUZZ_CHECK(read_manifest(file_system.get(), manifest_path(), &current->file).ok());
  seal_manifest(&bytes, &kId, nullptr);
  return bytes;
}

void damage(std::string* bytes, Input* input) {
  const size_t place = input->u32() % bytes->size();
  const size_t size = input->u16() % (bytes->size() - place);
  switch (input->u8() % 5) {
    case 0:
      break;
    case 1:
      (*bytes)[place] = static_cast<char>((*bytes)[place] ^ (1 << (size % 8)));
      break;
    case 2:
      bytes->resize(place);
      break;
    case 3:
      std::fill_n(bytes->begin() + static_cast<ptrdiff_t>(place), size, '\0');
      break;
    case 4:
      bytes->append(size, '\0');
      break;
  }
}

void check_edits(Input* input) {
  ManifestState state;
  std::vector<LevelsEdit> edits;
  std::vector<std::string> states;  // before the first edit, after each
  for (uint32_t left = input->below(3); left > 0; --left) {
    FUZZ_CHECK(state.apply(make_edit(state, input)).ok());
  }
  const ManifestState initial = state;
  states.push_back(text_of(state.as_edit()));
  for (uint32_t left = input->below(8); left > 0; --left) {
    edits.push_back(make_edit(state, input));
    check_edit(edits.back());
    FUZZ_CHECK(state.apply(edits.back()).ok());
    states.push_back(text_of(state.as_edit()));
  }
  check_state(state);
  const std::string written = write_manifest(initial, edits);
  const std::vector<ManifestRecord> records = find_records(written);
  FUZZ_CHECK(records.size() == states.size());
  std::string bytes = written;
  damage(&bytes, input);

  const auto is_same = [&](size_t offset, size_t size) {
    return bytes.size() >= offset + size && bytes.compare(offset, size, written, offset, size) == 0;
  };
  const bool header_intact = is_same(0, kManifestHeaderSize);
  size_t intact = 0;  // records before the first damaged one
  while (intact < records.size() && is_same(records[intact].offset, records[intact].size)) ++intact;
  std::optional<uint64_t> marked;  // records, by the newest mark that is whole
  for (const size_t offset : mark_offsets()) {
    if (!is_same(offset, kManifestMarkSize)) continue;
    marked = std::max(marked.value_or(0), load_le<uint64_t>(bytes.data() + offset + 16));
  }
  const std::unique_ptr<FileSystem> file_system = FileSystem::create_memory();
  write_file(file_system.get(), manifest_path(), bytes);
  size_t seen = 0;
  const Result<ManifestState> read = read_manifest(
      file_system.get(), manifest_path(), &kId, [&](uint64_t offset, const LevelsEdit& edit) {
        FUZZ_CHECK(seen < intact && offset == records[seen].offset);
        if (seen > 0) FUZZ_CHECK(text_of(edit) == text_of(edits[seen - 1]));
        ++seen;
      });
  const bool readable = header_intact && marked && intact >= std::max<uint64_t>(*marked, 1);
  FUZZ_CHECK_SAYING(read.ok() == readable, read.status().to_string());
  if (!read.ok()) return check_file_refusal(read.status());
  FUZZ_CHECK(seen == intact && text_of(read->as_edit()) == states[intact - 1]);
}

size_t mutate(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Random random(seed);
  size = LLVMFuzzerMutate(data, size, max_size);
  if (size == 0 || random.one_in(16)) return size;
  std::string bytes(reinterpret_cast<char*>(data) + 1, size - 1);
  const uint8_t mode = data[0] % kModes;
  if (mode == kManifest) {
    std::string file = with_gaps(bytes);
    seal_manifest(&file, nullptr, &random);
    if (file.size() >= kManifestRecordsOffset) bytes = without_gaps(file);
  }
  if (mode == kCurrent) seal_current(&bytes);
  std::memcpy(data + 1, bytes.data(), bytes.size());
  return size;
}

void run(Input* input) {
  switch (input->u8() % kModes) {
    case kManifest:
      return check_manifest(with_gaps(input->rest()));
    case kEdit: {
      const ExactCopy bytes(input->rest());
      const Result<LevelsEdit> edit = decode_edit(bytes.view());
      return edit.ok() ? check_edit(*edit) : check_refusal(edit.status());
    }
    case kEdits:
      return check_edits(input);
    case kCurrent:
      return check_current(input->rest());
  }
}

}  // namespace
}  // namespace varve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return varve::fuzz::mutate(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::Input input(data, size);
  varve::fuzz::run(&input);
  return 0;
}
