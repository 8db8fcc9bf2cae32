// Batches (lsm/batch_format.h). The first byte says what the others are.
//
// Oracle for bytes as a batch: BatchReader gives entries that lie inside the bytes and keep the
// limits; encoding them again gives the bytes that were read, up to where it stopped, since there is
// one encoding only.
// Oracle for bytes as entries: they are read back as they were encoded, and of any beginning of their
// encoding the entries that lie whole in it.

#include <string>
#include <vector>

#include "fuzz/check.h"
#include "lsm/batch_format.h"

namespace varve::fuzz {
namespace {

void append_entry(std::string* to, const BatchEntry& entry) {
  const size_t start = to->size();
  to->resize(start + batch_entry_size_max(entry.key.size(), entry.value.size()));
  const char* end = encode_batch_entry(to->data() + start, entry);
  to->resize(static_cast<size_t>(end - to->data()));
}

void check_bytes(std::string_view bytes) {
  const ExactCopy batch(bytes);
  BatchReader reader(batch.view());
  BatchEntry entry;
  std::string again;
  size_t offset = 0;
  while (reader.next(&entry)) {
    FUZZ_CHECK(is_known(entry.kind));
    FUZZ_CHECK(!entry.key.empty() && entry.key.size() <= kKeySizeMax);
    FUZZ_CHECK(entry.value.size() <= kValueSizeMax);
    FUZZ_CHECK(batch.holds(entry.key));
    FUZZ_CHECK(entry.value.empty() || batch.holds(entry.value));
    FUZZ_CHECK(entry.kind == VersionKind::value || entry.value.empty());
    FUZZ_CHECK(reader.offset() > offset && reader.offset() <= bytes.size());
    offset = reader.offset();
    append_entry(&again, entry);
    FUZZ_CHECK(again.size() == offset);
  }
  FUZZ_CHECK(again == bytes.substr(0, again.size()));
  FUZZ_CHECK(reader.ok() == (again.size() == bytes.size()));
  FUZZ_CHECK(!reader.next(&entry));  // and stays so
}

void check_entries(Input* input) {
  struct Entry {
    VersionKind kind;
    Keyspace keyspace;
    std::string key;
    std::string value;
    size_t end;
  };
  const uint16_t cut = input->u16();
  std::vector<Entry> entries;
  std::string encoded;
  while (!input->empty() && entries.size() < 64) {
    const uint8_t shape = input->u8();
    Entry entry{.kind = (shape & 1) != 0 ? VersionKind::value : VersionKind::tombstone,
                .keyspace = {(shape & 2) != 0 ? input->u32() : 0u},
                .key = std::string(input->piece(1 + (shape >> 4))),
                .value = {},
                .end = 0};
    if ((shape & 4) != 0) entry.key.append(input->u16(), 'k');
    if (entry.key.empty() || entry.key.size() > kKeySizeMax) entry.key = "key";
    if (entry.kind == VersionKind::value) {
      entry.value = input->piece(input->u8());
      if ((shape & 8) != 0) entry.value.append(input->u16(), 'v');
    }
    append_entry(&encoded, {.kind = entry.kind,
                            .keyspace = entry.keyspace,
                            .key = entry.key,
                            .value = entry.value});
    entry.end = encoded.size();
    entries.push_back(std::move(entry));
  }
  const size_t size = (cut & 1) != 0 ? encoded.size() : cut % (encoded.size() + 1);
  const ExactCopy batch(std::string_view(encoded).substr(0, size));
  BatchReader reader(batch.view());
  BatchEntry read;
  size_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.end > size) break;
    end = entry.end;
    FUZZ_CHECK(reader.next(&read));
    FUZZ_CHECK(read.kind == entry.kind && read.keyspace == entry.keyspace);
    FUZZ_CHECK(read.key == entry.key && read.value == entry.value);
    FUZZ_CHECK(reader.offset() == end);
  }
  FUZZ_CHECK(!reader.next(&read));
  FUZZ_CHECK(reader.ok() == (end == size));
}

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace varve::fuzz;
  Input input(data, size);
  if ((input.u8() & 1) == 0) {
    check_bytes(input.rest());
  } else {
    check_entries(&input);
  }
  return 0;
}
