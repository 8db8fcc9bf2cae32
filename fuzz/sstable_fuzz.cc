// Whole sstables (lsm/sstable_format.h): the input is a file, save its last kPlanSize bytes, which
// say what is asked of it. The mutator changes pieces of the file and seals them again, so that the
// checks behind the checksums are reached.
//
// Oracle: that of fuzz/exercise_sstable.h: data, corruption or not_supported naming the file, in
// bounded memory and time.

#include <algorithm>
#include <string>

#include "fuzz/check.h"
#include "fuzz/exercise_sstable.h"
#include "fuzz/sstable_pieces.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace varve::fuzz {
namespace {

constexpr size_t kPlanSize = 32;

void run(const uint8_t* data, size_t size) {
  const size_t plan_size = std::min(size, kPlanSize);
  Input plan(data + (size - plan_size), plan_size);
  const std::unique_ptr<FileSystem> file_system = FileSystem::create_memory();
  write_file(file_system.get(), kSstablePath,
             {reinterpret_cast<const char*>(data), size - plan_size});
  // Sometimes so small a cache that frames are evicted all the time.
  const uint64_t cache_bytes = plan.flag() ? 4 << 10 : 4 << 20;
  SstableExerciser exerciser(file_system.get(), cache_bytes, &plan);
  if (exerciser.open()) exerciser.exercise();
}

// Bytes of one piece, or of one row's handle in an index, changed where they lie.
void mutate_piece(const SstablePiece& piece, std::string* file, Random* random) {
  if (piece.stored_size == 0) return;
  size_t start = 0;
  size_t length = piece.stored_size;
  if (piece.is_index && length > kBlockHandleSize && random->one_in(2)) {
    length = kBlockHandleSize;
    start = random->below(piece.stored_size - length + 1);
  } else if (random->one_in(2)) {
    start = random->below(length);
    length = std::min<size_t>(length - start, 1 + random->below(24));
  }
  std::string bytes = file->substr(piece.offset + start, length);
  const std::string before = bytes;
  const size_t size =
      LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size(), bytes.size());
  // A piece keeps its size: what a shorter one lacks stays as it was.
  std::copy(before.begin() + static_cast<ptrdiff_t>(size), before.end(),
            bytes.begin() + static_cast<ptrdiff_t>(size));
  file->replace(piece.offset + start, length, bytes);
}

size_t mutate(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Random random(seed);
  const size_t plan_size = std::min(size, kPlanSize);
  std::string plan(reinterpret_cast<char*>(data) + size - plan_size, plan_size);
  std::string file(reinterpret_cast<char*>(data), size - plan_size);
  SstablePieces pieces(&file, &shared_memory());
  const uint64_t choice = random.below(16);
  if (choice == 0 || !pieces.has_frame()) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  if (choice <= 2) {
    plan.resize(kPlanSize);
    LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(plan.data()), plan.size(), plan.size());
  } else if (choice == 3) {  // anything, the length included
    file.resize(max_size - plan.size());
    file.resize(
        LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(file.data()), size - plan.size(), file.size()));
  } else if (choice == 4) {  // a field of the footer
    char* const footer = file.data() + file.size() - kSstableFooterSize;
    LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(footer), 40, 40);
  } else {
    const std::vector<SstablePiece> found = pieces.walk(nullptr);
    if (!found.empty()) {
      // The indexes come first in line half of the time: few, and the most depends on them.
      std::vector<SstablePiece> wanted;
      if (random.one_in(2)) {
        std::copy_if(found.begin(), found.end(), std::back_inserter(wanted),
                     [](const SstablePiece& piece) { return piece.is_index; });
      }
      if (wanted.empty()) wanted = found;
      mutate_piece(wanted[random.below(wanted.size())], &file, &random);
    }
  }
  if (pieces.has_frame() && !random.one_in(32)) pieces.walk(&random);
  if (file.size() + plan.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, file.data(), file.size());
  std::memcpy(data + file.size(), plan.data(), plan.size());
  return file.size() + plan.size();
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
