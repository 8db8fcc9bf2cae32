// Batches (lsm/batch_format.h). The first byte says what the others are.
//
// Oracle for bytes as a batch: BatchReader gives entries that lie inside the bytes and keep the
// limits; encoding them again gives the bytes that were read, up to where it stopped, since there
// is one encoding only. Oracle for bytes as entries: they are read back as they were encoded, and
// of any beginning of their encoding the entries that lie whole in it. Oracle for bytes as calls: a
// WriteBatch encodes what a map of the last change of each key holds, in the order of these
// changes; a call that is refused, or finds no memory, changes nothing; all memory is given back.

#include <list>
#include <map>
#include <string>
#include <vector>

#include "fuzz/check.h"
#include "lsm/batch_format.h"
#include "txn/write_batch_internal.h"
#include "varve/write_batch.h"

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
    FUZZ_CHECK(is_change(entry.kind));
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
    append_entry(
        &encoded,
        {.kind = entry.kind, .keyspace = entry.keyspace, .key = entry.key, .value = entry.value});
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

// The last change of each key, in the order of these changes.
class BatchModel {
 public:
  void change(Keyspace keyspace, std::string key, VersionKind kind, std::string value) {
    const auto place = std::pair(keyspace.id, key);
    if (const auto found = by_key_.find(place); found != by_key_.end()) {
      changes_.erase(found->second);
      by_key_.erase(found);
    }
    changes_.push_back({keyspace, std::move(key), kind, std::move(value)});
    by_key_[place] = std::prev(changes_.end());
  }
  void clear() {
    by_key_.clear();
    changes_.clear();
  }
  void check(WriteBatch* batch) const {
    FUZZ_CHECK(batch->count() == changes_.size());
    const size_t size = batch->size_bytes();
    const std::string_view encoded = batch->encoded();
    FUZZ_CHECK(encoded.size() == size && batch->size_bytes() == size);
    BatchReader reader(encoded);
    BatchEntry entry;
    for (const Change& change : changes_) {
      FUZZ_CHECK(reader.next(&entry));
      FUZZ_CHECK(entry.keyspace == change.keyspace && entry.key == change.key);
      FUZZ_CHECK(entry.kind == change.kind && entry.value == change.value);
    }
    FUZZ_CHECK(!reader.next(&entry) && reader.ok());
  }

 private:
  struct Change {
    Keyspace keyspace;
    std::string key;
    VersionKind kind;
    std::string value;
  };
  std::list<Change> changes_;
  std::map<std::pair<uint32_t, std::string>, std::list<Change>::iterator> by_key_;
};

void check_calls(Input* input) {
  {
    WriteBatch batch;
    BatchModel model;
    while (!input->empty()) {
      const uint8_t call = input->u8();
      const Keyspace keyspace{(call & 0x80) != 0 ? input->u8() % 3u : 0u};
      std::string key(input->piece(1));  // few different ones, so that changes meet
      if ((call & 0x40) != 0) key.append(input->piece(3));
      if ((call & 0x7f) == 0x7f) key.resize(kKeySizeMax + input->u8() % 2, 'k');
      const bool no_memory = (call & 0x70) == 0x70 && input->below(4) == 0;
      if (no_memory) process_memory().fail_allocation_after(1);
      Status status;
      switch (call % 8) {
        case 0:
          status = batch.erase(keyspace, key);
          if (status.ok()) model.change(keyspace, key, VersionKind::tombstone, {});
          break;
        case 1:
          model.check(&batch);
          break;
        case 2:
          if (input->below(8) == 0) {
            batch.clear();
            model.clear();
          }
          break;
        case 3: {
          WriteBatch other = std::move(batch);
          batch = std::move(other);
          break;
        }
        default: {
          std::string value(input->piece(call % 8 * 2));
          if ((call & 0x3f) == 0x3f) value.append(input->u16(), 'v');
          status = batch.put(keyspace, key, value);
          if (status.ok()) model.change(keyspace, key, VersionKind::value, value);
          break;
        }
      }
      process_memory().fail_allocation_after(0);
      if (!status.ok()) {
        const bool bad_key = key.empty() || key.size() > kKeySizeMax;
        FUZZ_CHECK_SAYING(status.code() == StatusCode::invalid_argument
                              ? bad_key
                              : no_memory && status.code() == StatusCode::out_of_memory,
                          status.to_string());
      }
    }
    model.check(&batch);
  }
  FUZZ_CHECK(process_memory().live_bytes(MemoryRole::batch) == 0);
}

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace varve::fuzz;
  Input input(data, size);
  switch (input.u8() % 3) {
    case 0:
      check_bytes(input.rest());
      break;
    case 1:
      check_entries(&input);
      break;
    case 2:
      check_calls(&input);
      break;
  }
  return 0;
}
