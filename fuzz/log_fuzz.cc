// The log (lsm/wal_format.h). The first byte says what the others are; the mutator seals again what
// it changed in segments, so that the checks behind the checksums are reached.
//
// Oracle for bytes as segments: WalReader gives groups without a gap, each inside its segment,
// until the end, or refuses with a message that names the directory; it stops. Oracle for bytes as
// groups, segments and damage to them: every group before the damage is read as it was written;
// then comes the end, or corruption, and corruption if and only if something undamaged says that
// the place was durable once. Oracle for bytes as a payload: commits lie inside it, in order, no
// more than the header says.

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "fuzz/check.h"
#include "fuzz/engine.h"
#include "fuzz/log_model.h"
#include "lsm/wal_reader.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace varve::fuzz {
namespace {

enum Mode : uint8_t { kSegments, kDamagedLog, kPayload, kModes };

void check_log_refusal(const Status& status) {
  check_refusal(status);
  FUZZ_CHECK_SAYING(status.message().find(kDirectory) != std::string_view::npos,
                    status.to_string());
}

void check_payload(const WalGroupHeader& header, std::string_view payload) {
  WalCommitReader reader(header, payload);
  WalCommit commit;
  uint32_t commits = 0;
  const char* after = payload.data();
  while (reader.next(&commit)) {
    FUZZ_CHECK(++commits <= header.commits);
    FUZZ_CHECK(commit.batch.data() > after);
    after = commit.batch.data() + commit.batch.size();
    FUZZ_CHECK(after <= payload.data() + payload.size());
  }
  FUZZ_CHECK(!reader.ok() ||
             (commits == header.commits && after == payload.data() + payload.size()));
}

// Puts the segments that have bytes where a reader finds them.
std::vector<FileNumber> write_segments(FileSystem* file_system,
                                       const std::vector<std::string>& segments) {
  std::vector<FileNumber> numbers;
  for (size_t s = 0; s < segments.size(); ++s) {
    if (segments[s].empty()) continue;
    numbers.push_back({s + 1});
    write_file(file_system, path_in(kDirectory, wal_name(numbers.back())), segments[s]);
  }
  return numbers;
}

void check_segments(const std::vector<std::string>& segments, Lsn from) {
  const std::unique_ptr<FileSystem> file_system = FileSystem::create_memory();
  WalReader reader(file_system.get(), kDirectory, &shared_memory(), &kLogDatabase);
  const Status opened = reader.open(write_segments(file_system.get(), segments), from);
  if (!opened.ok()) return check_log_refusal(opened);
  WalGroup group;
  std::optional<Lsn> end;
  size_t steps = 0;
  for (;; ++steps) {
    // A group takes room of its own, so there are no more than the bytes allow.
    FUZZ_CHECK(steps <= 4096);
    const Result<bool> more = reader.next(&group);
    if (!more.ok()) return check_log_refusal(more.status());
    if (!*more) break;
    const std::string& bytes = segments[group.segment.value - 1];
    FUZZ_CHECK(group.offset >= kWalHeaderSize &&
               group.offset + kWalGroupHeaderSize <= bytes.size());
    FUZZ_CHECK(group.payload == std::string_view(bytes).substr(group.offset + kWalGroupHeaderSize,
                                                               group.header.payload_size));
    FUZZ_CHECK(group.payload.size() == group.header.payload_size);
    FUZZ_CHECK(!end || *end == group.start);
    FUZZ_CHECK(group.end.value - group.start.value == wal_group_size(group.payload.size()));
    end = group.end;
    const ExactCopy payload(group.payload);
    check_payload(group.header, payload.view());
  }
  FUZZ_CHECK(!end || reader.end() == *end);
  FUZZ_CHECK(!reader.used().empty() || steps == 0);
}

void check_damaged(Input* input) {
  const Log log = make_log(input);
  const std::vector<std::string> segments = damage_log(log, input);
  Lsn from = kLsnMax;
  if (input->flag()) {
    from = log.headers.front().start;
    const uint8_t group = input->u8();
    if (group < log.groups.size()) from = log.groups[group].start;
  }
  const ExpectedReading expected = LogReadingModel(log, segments).expect(from);

  const std::unique_ptr<FileSystem> file_system = FileSystem::create_memory();
  WalReader reader(file_system.get(), kDirectory, &shared_memory(), &kLogDatabase);
  const Status opened = reader.open(write_segments(file_system.get(), segments), from);
  if (expected.unsupported) {
    FUZZ_CHECK(opened.code() == StatusCode::not_supported);
    return check_log_refusal(opened);
  }
  FUZZ_CHECK_SAYING(opened.ok() == !expected.fails_to_open, opened.to_string());
  if (!opened.ok()) return check_log_refusal(opened);
  WalGroup group;
  for (size_t g = expected.first; g < expected.last; ++g) {
    const Result<bool> more = reader.next(&group);
    FUZZ_CHECK_SAYING(more.ok() && *more, more.status().to_string());
    const LoggedGroup& written = log.groups[g];
    FUZZ_CHECK(group.segment.value == written.segment + 1 && group.offset == written.offset);
    FUZZ_CHECK(group.start == written.start && group.end == written.end);
    FUZZ_CHECK(group.header.kind == written.header.kind);
    FUZZ_CHECK(group.header.commits == written.header.commits);
    FUZZ_CHECK(group.header.timestamp == written.header.timestamp);
    FUZZ_CHECK(group.header.durable == written.header.durable);
    FUZZ_CHECK(group.payload == written.payload);
    check_payload(group.header, group.payload);
  }
  const Result<bool> more = reader.next(&group);
  FUZZ_CHECK_SAYING(more.ok() == !expected.lost, more.status().to_string());
  if (!more.ok()) return check_log_refusal(more.status());
  FUZZ_CHECK(!*more);
  FUZZ_CHECK(expected.nothing_there || reader.end() == expected.end);
  FUZZ_CHECK(reader.clean() == (expected.last > expected.first &&
                                log.groups[expected.last - 1].header.kind == WalKind::end_marker));
}

// Segments as an input holds them: how many, where to read from, and each but the last with its
// size before it.
struct FramedSegments {
  uint8_t from = 0;
  std::vector<std::string> segments;

  static FramedSegments read(Input* input) {
    FramedSegments framed;
    const uint32_t count = 1 + input->below(4);
    framed.from = input->u8();
    for (uint32_t s = 0; s < count; ++s) {
      const size_t size = s + 1 == count ? SIZE_MAX : input->u32();
      framed.segments.emplace_back(input->piece(size));
    }
    return framed;
  }
  Lsn lsn() const {
    const std::string& first = segments.front();
    if ((from & 1) != 0 || first.size() < kWalHeaderSize) return kLsnMax;
    return {load_le<uint64_t>(first.data() + 40) + (from & 0xf8)};
  }
  std::string write() const {
    std::string bytes(1, static_cast<char>(kSegments));
    bytes.push_back(static_cast<char>(segments.size() - 1));
    bytes.push_back(static_cast<char>(from));
    for (size_t s = 0; s < segments.size(); ++s) {
      if (s + 1 != segments.size()) append_le(&bytes, static_cast<uint32_t>(segments[s].size()));
      bytes.append(segments[s]);
    }
    return bytes;
  }
};

void reseal(std::vector<std::string>* segments, Random* random) {
  Lsn position;
  for (size_t s = 0; s < segments->size(); ++s) {
    seal_segment(&(*segments)[s], {s + 1}, kLogDatabase, &position, random);
  }
}

size_t mutate(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Random random(seed);
  if (size == 0 || data[0] % kModes != kSegments || random.one_in(8)) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  Input input(data + 1, size - 1);
  FramedSegments framed = FramedSegments::read(&input);
  std::string& bytes = framed.segments[random.below(framed.segments.size())];
  const size_t room = random.one_in(2) ? bytes.size() : bytes.size() + (max_size - size) / 2;
  const size_t before = bytes.size();
  bytes.resize(std::max<size_t>(room, 1));
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data()), before, bytes.size()));
  reseal(&framed.segments, &random);
  const std::string mutated = framed.write();
  if (mutated.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, mutated.data(), mutated.size());
  return mutated.size();
}

void run(Input* input) {
  switch (input->u8() % kModes) {
    case kSegments: {
      const FramedSegments framed = FramedSegments::read(input);
      return check_segments(framed.segments, framed.lsn());
    }
    case kDamagedLog:
      return check_damaged(input);
    case kPayload: {
      const WalGroupHeader header{.commits = input->u32(), .timestamp = {input->u64()}};
      const ExactCopy payload(input->rest());
      return check_payload(header, payload.view());
    }
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
  varve::fuzz::check_nothing_held();
  return 0;
}
