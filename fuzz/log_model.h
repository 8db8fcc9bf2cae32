// Logs as a fuzz target makes them up: segments of groups with what is known of each, the damage
// done to them, and what recovery may then read of them.

#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "fuzz/check.h"
#include "lsm/batch_format.h"
#include "lsm/wal_format.h"

namespace varve::fuzz {

struct LoggedGroup {
  size_t segment = 0;  // index, from 0
  size_t offset = 0;   // in the segment
  Lsn start;
  Lsn end;
  WalGroupHeader header;
  std::string payload;
};

constexpr DatabaseId kLogDatabase{0xdb, 0xdbdb};

// Segment i has number i + 1.
struct Log {
  std::vector<WalSegmentHeader> headers;
  std::vector<std::string> segments;  // bytes of each
  std::vector<LoggedGroup> groups;    // in the order of their LSN
};

inline FileId segment_id(size_t segment) { return {0xabcdef00 + segment, ~uint64_t{segment}}; }

// Puts right what would be refused at once in a segment whose bytes may be anything, mostly, and
// every checksum. `end`: where its predecessor ends (0: there is none); then where it ends itself.
inline void seal_segment(std::string* segment, FileNumber number, const DatabaseId& database,
                         Lsn* end, Random* random) {
  std::string& bytes = *segment;
  if (bytes.size() < kWalHeaderSize) return;
  char* const header = bytes.data();
  const auto mends = [random](uint64_t n) { return !random->one_in(n); };
  if (mends(16)) store_le(header, kWalMagic);
  if (mends(16)) store_le(header + 8, uint64_t{kWalVersion});
  if (mends(16)) store_le(header + 32, number.value);
  if (*end != Lsn{} && mends(8)) store_le(header + 40, end->value);
  if (mends(8)) store_le(header + 48, number.value - 1);
  const uint64_t start = load_le<uint64_t>(header + 40);
  const FileId id{load_le<uint64_t>(header + 16), load_le<uint64_t>(header + 24)};
  if (mends(64)) {
    store_le(header + 64, database.high);
    store_le(header + 72, database.low);
  }
  constexpr size_t kChecked = kWalHeaderCopySize - 8;
  store_le(header + kChecked, checksum({header, kChecked}, id, 0));
  if (mends(4)) std::memcpy(header + kWalHeaderCopySize, header, kWalHeaderCopySize);
  if (!mends(8)) header[random->below(kWalHeaderCopySize)] ^= 1;  // the other copy counts
  size_t offset = kWalHeaderSize;
  while (offset < bytes.size()) {
    char* const group = bytes.data() + offset;
    const size_t remaining = bytes.size() - offset;
    WalGroupHeader fields;
    if (!decode_wal_group_header(group, remaining, &fields)) {
      if (remaining < kWalGroupHeaderSize || !mends(4)) break;
      group[12] = static_cast<char>(WalKind::commits);
      std::memset(group + 13, 0, 3);
      store_le(group + 20, uint32_t{0});
      if (!decode_wal_group_header(group, remaining, &fields)) break;
    }
    // Now and then one is left as it is, so that there is an end with something behind it.
    if (mends(24)) {
      store_le(group,
               checksum({group + 8, kWalGroupHeaderSize + fields.payload_size - 8}, id, offset));
    }
    offset += wal_group_size(fields.payload_size);
  }
  end->value = start + offset - kWalHeaderSize;
}

// Commits of a group, encoded as WalWriter does.
inline std::string make_payload(Input* input, WalGroupHeader* header) {
  header->timestamp = {input->magnitude() >> 8};
  header->commits = 1 + input->below(3);
  std::string payload;
  uint64_t difference = 0;
  for (uint32_t i = 0; i < header->commits; ++i) {
    std::string batch(input->piece(input->below(40)));
    if (input->below(16) == 15) batch.append(input->u16(), 'b');
    append_varint(&payload, difference);
    append_sized(&payload, batch);
    difference = input->u16();
  }
  return payload;
}

inline Log make_log(Input* input) {
  Log log;
  const size_t segment_count = 1 + input->below(4);
  Lsn position{input->flag() ? 0 : input->u64() >> 20};
  Lsn durable = position;  // trails behind, as syncs allow
  for (size_t s = 0; s < segment_count; ++s) {
    const WalSegmentHeader header{.file = segment_id(s),
                                  .number = {s + 1},
                                  .start = position,
                                  .predecessor = {s},
                                  .durable = durable,
                                  .database = kLogDatabase};
    log.headers.push_back(header);
    std::string bytes(kWalHeaderSize, '\0');
    encode_wal_segment_header(bytes.data(), header);
    const size_t group_count = input->below(8);
    for (size_t g = 0; g < group_count; ++g) {
      const uint8_t shape = input->u8();
      if ((shape & 3) == 0) durable = position;
      LoggedGroup group{.segment = s,
                        .offset = bytes.size(),
                        .start = position,
                        .end = {},
                        .header = {},
                        .payload = {}};
      if ((shape & 0xf0) == 0xf0 && s + 1 == segment_count && g + 1 == group_count) {
        group.header.kind = WalKind::end_marker;
      } else {
        group.payload = make_payload(input, &group.header);
      }
      group.header.payload_size = static_cast<uint32_t>(group.payload.size());
      group.header.durable = durable;
      bytes.append(kWalGroupHeaderSize, '\0').append(group.payload);
      bytes.resize(group.offset + wal_group_size(group.payload.size()));
      seal_wal_group(bytes.data() + group.offset, group.header, header.file, group.offset);
      position.value += bytes.size() - group.offset;
      group.end = position;
      log.groups.push_back(std::move(group));
    }
    log.segments.push_back(std::move(bytes));
  }
  return log;
}

// The segments after something happened to them; one without bytes is not there at all.
inline std::vector<std::string> damage_log(const Log& log, Input* input) {
  std::vector<std::string> segments = log.segments;
  for (int times = input->below(4); times > 0; --times) {
    std::string& bytes = segments[input->below(static_cast<uint32_t>(segments.size()))];
    const uint8_t what = input->u8() % 7;
    const size_t place = bytes.empty() ? 0 : input->u32() % bytes.size();
    const size_t size = bytes.empty() ? 0 : input->u16() % (bytes.size() - place);
    const std::string& other = log.segments[input->below(static_cast<uint32_t>(segments.size()))];
    const std::string remains = other.substr(place % other.size());
    switch (what) {
      case 0:  // a flipped bit
        if (!bytes.empty()) bytes[place] = static_cast<char>(bytes[place] ^ (1 << (size % 8)));
        break;
      case 1:
        bytes.resize(place);
        break;
      case 2:
        std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(place), size, '\0');
        break;
      case 3:  // what another segment held
        bytes.replace(place, std::min(size, remains.size()), remains, 0, size);
        break;
      case 4:  // an earlier life, behind the end
        bytes.append(remains);
        break;
      case 5:  // space that was reserved
        bytes.append(size, '\0');
        break;
      case 6:
        bytes.clear();
        break;
    }
  }
  return segments;
}

// What a reader of damaged segments has to say, found by comparing them with the undamaged ones
// (lsm/wal_format.h, "End of the log and corruption").
struct ExpectedReading {
  bool unsupported = false;  // a header claims a newer version: refused before anything is read
  bool fails_to_open = false;
  bool nothing_there = false;
  size_t first = 0;  // the groups [first, last) are read
  size_t last = 0;
  bool lost = false;  // then corruption, not the end
  Lsn end;
};

class LogReadingModel {
 public:
  LogReadingModel(const Log& log, const std::vector<std::string>& segments)
      : log_(log), segments_(segments) {}

  ExpectedReading expect(Lsn from) const {
    ExpectedReading expected;
    size_t current = SIZE_MAX;
    for (size_t s = 0; s < segments_.size(); ++s) {
      expected.unsupported |= claims_newer_version(s);
      if (!is_header_intact(s)) continue;
      if (current == SIZE_MAX || (from != kLsnMax && log_.headers[s].start <= from)) current = s;
    }
    if (current == SIZE_MAX) {
      expected.nothing_there = from == kLsnMax || from == Lsn{};
      expected.fails_to_open = !expected.nothing_there;
      return expected;
    }
    Lsn position = log_.headers[current].start;
    if (from != kLsnMax && position > from) {
      expected.fails_to_open = true;
      return expected;
    }
    while (expected.first < log_.groups.size() && log_.groups[expected.first].segment < current) {
      ++expected.first;
    }
    expected.last = expected.first;
    for (;;) {
      const size_t next = expected.last;
      if (next < log_.groups.size() && log_.groups[next].segment == current) {
        if (!is_group_intact(next)) break;
        position = log_.groups[next].end;
        ++expected.last;
      } else if (current + 1 < segments_.size() && is_header_intact(current + 1)) {
        ++current;  // nothing is lost between them: its start is where this one ended
      } else {
        break;
      }
    }
    expected.end = position;
    for (size_t g = expected.last; g < log_.groups.size(); ++g) {
      expected.lost |= is_header_intact(log_.groups[g].segment) && is_group_intact(g) &&
                       log_.groups[g].header.durable > position;
    }
    for (size_t s = current + 1; s < segments_.size(); ++s) {
      expected.lost |= is_header_intact(s) && log_.headers[s].durable > position;
    }
    return expected;
  }

 private:
  bool is_same(size_t segment, size_t offset, size_t size) const {
    const std::string& now = segments_[segment];
    return now.size() >= offset + size &&
           std::memcmp(now.data() + offset, log_.segments[segment].data() + offset, size) == 0;
  }
  // Whose header a copy of one is: that of segment i, or none; damage may bring another's.
  std::optional<size_t> owner_of_copy(size_t segment, size_t copy) const {
    const std::string& now = segments_[segment];
    if (now.size() < kWalHeaderSize) return std::nullopt;
    for (size_t s = 0; s < log_.segments.size(); ++s) {
      if (now.compare(copy * kWalHeaderCopySize, kWalHeaderCopySize, log_.segments[s], 0,
                      kWalHeaderCopySize) == 0) {
        return s;
      }
    }
    return std::nullopt;
  }
  // The first sound copy counts.
  bool is_header_intact(size_t segment) const {
    const std::optional<size_t> first = owner_of_copy(segment, 0);
    return (first ? first : owner_of_copy(segment, 1)) == segment;
  }
  // Padding is nobody's.
  bool is_group_intact(size_t group) const {
    const LoggedGroup& g = log_.groups[group];
    return is_same(g.segment, g.offset, kWalGroupHeaderSize + g.payload.size());
  }
  bool claims_newer_version(size_t segment) const {
    if (owner_of_copy(segment, 0) || owner_of_copy(segment, 1)) return false;
    const std::string& now = segments_[segment];
    return now.size() >= kWalHeaderSize && load_le<uint64_t>(now.data()) == kWalMagic &&
           (load_le<uint32_t>(now.data() + 8) > kWalVersion ||
            load_le<uint32_t>(now.data() + 12) != 0);
  }

  const Log& log_;
  const std::vector<std::string>& segments_;
};

}  // namespace varve::fuzz
