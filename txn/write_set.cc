#include "txn/write_set.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "txn/batch_cursor.h"

namespace varve {

Status WriteSet::append(VersionKind kind, Keyspace keyspace, std::string_view key,
                        std::string_view value) {
  compact_if_wasteful();
  // Before anything is changed, so that nothing has to be taken back.
  if (!savepoints_.empty() && !folded_.reserve(folded_.size() + sizeof(Folded))) {
    return Status::out_of_memory("no memory for a savepoint");
  }
  const uint64_t at = batch_.size_;
  std::optional<uint64_t> folded;
  VARVE_RETURN_IF_ERROR(batch_.append(static_cast<uint8_t>(kind), keyspace, key, value, &folded));
  if (folded && !savepoints_.empty()) {
    const Folded fold{.by = at, .what = *folded};
    const bool fits = folded_.append({reinterpret_cast<const char*>(&fold), sizeof fold});
    VARVE_ASSERT(fits);
  }
  return Status();
}

Result<bool> WriteSet::find(Keyspace keyspace, std::string_view key, BatchEntry* entry,
                            FoundVersion* spilled) const {
  const char* found = batch_.count_ == 0 ? nullptr : batch_.find(keyspace, key);
  if (found != nullptr) {
    *entry = read_batch_entry(found).entry;
    return true;
  }
  if (spilled_.empty()) return false;
  VARVE_ASSIGN_OR_RETURN(const bool is_there, spilled_.find(keyspace, key, spilled));
  if (is_there) {
    *entry = {.kind = spilled->kind, .keyspace = keyspace, .key = key, .value = spilled->value};
  }
  return is_there;
}

size_t WriteSet::size_bytes_without(Keyspace keyspace, std::string_view key) const {
  const size_t size = batch_.size_bytes();
  const char* found = batch_.count_ == 0 ? nullptr : batch_.find(keyspace, key);
  return found == nullptr ? size : size - read_batch_entry(found).size;
}

std::string_view WriteSet::encode() {
  savepoints_.clear();
  folded_.clear();
  ordered_.clear();
  return batch_.encoded();
}

void WriteSet::clear() {
  empty_batch();
  savepoints_.clear();
  spilled_.clear();
  base_ = 0;
}

void WriteSet::empty_batch() {
  batch_.clear();
  if (batch_.held_bytes() > kKeptBytesMax) batch_ = WriteBatch(batch_.memory_);
  ordered_.clear();
  folded_.clear();
  if (folded_.capacity() > kKeptBytesMax) folded_.reset();
}

// -- what is more than memory may hold --

std::vector<Timestamp> WriteSet::readers(std::span<const uint64_t> cursors) const {
  std::vector<uint64_t> places(cursors.begin(), cursors.end());
  for (const Savepoint& savepoint : savepoints_) places.push_back(savepoint.place);
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  std::vector<Timestamp> readers;
  for (const uint64_t each : places) {
    if (each < place()) readers.push_back(SpilledWrites::as_of(each));
  }
  return readers;
}

Status WriteSet::spill(std::span<const uint64_t> cursors) {
  const std::vector<Timestamp> readers = this->readers(cursors);
  if (batch_.entries_ != 0) {
    // Where there are too many already, first that.
    if (spilled_.is_crowded()) VARVE_RETURN_IF_ERROR(spilled_.merge_if_due(readers));
    ordered_.clear();
    SortedBatch sorted(batch_.memory_->manager);
    if (!sorted.sort(batch_.data_, batch_.size_, batch_.entries_)) {
      return Status::out_of_memory("no memory to spill what a transaction wrote");
    }
    std::vector<BatchCursor> versions;
    versions.reserve(sorted.parts().size());
    std::vector<SpilledWrites::Source> sources;
    for (const SortedBatch::Part& part : sorted.parts()) {
      versions.emplace_back(batch_.data_, base_, part.places);
      sources.push_back({.keyspace = part.keyspace, .versions = &versions.back()});
    }
    VARVE_RETURN_IF_ERROR(spilled_.add(sources, place(), readers));
    base_ = place();
    empty_batch();
  }
  return spilled_.merge_if_due(readers);
}

Status WriteSet::finish() {
  savepoints_.clear();
  folded_.clear();
  VARVE_RETURN_IF_ERROR(spill({}));
  return spilled_.finish();
}

void WriteSet::compact_if_wasteful() {
  if (batch_.dead_bytes_ < kWastedBytesMin || batch_.dead_bytes_ < batch_.size_ / 2 ||
      !savepoints_.empty() || cursors_ != 0) {
    return;
  }
  batch_.compact();
  ordered_.clear();
}

// -- savepoints --

uint64_t WriteSet::set_savepoint() {
  savepoints_.push_back({.number = next_savepoint_, .place = place()});
  return next_savepoint_++;
}

std::optional<uint64_t> WriteSet::rollback_to(uint64_t savepoint) {
  const auto found = std::find_if(savepoints_.begin(), savepoints_.end(),
                                  [&](const Savepoint& each) { return each.number == savepoint; });
  if (found == savepoints_.end()) return std::nullopt;
  const uint64_t set_at = found->place;
  savepoints_.erase(found + 1, savepoints_.end());
  if (set_at == this->place()) return set_at;
  if (set_at < base_) {
    spilled_.undo(set_at, this->place());
    // Places of what is undone are not given again.
    base_ = this->place();
    empty_batch();
    return set_at;
  }
  const uint64_t place = set_at - base_;
  ordered_.truncate(batch_.data_, place);
  batch_.truncate(place);
  // Newest first: an entry that was folded away twice over comes back once.
  size_t left = folded_.size();
  while (left != 0) {
    Folded fold;
    std::memcpy(&fold, folded_.data() + left - sizeof fold, sizeof fold);
    if (fold.by < place) break;
    if (fold.what < place) batch_.set_dead(batch_.data_ + fold.what, false);
    left -= sizeof fold;
  }
  const bool shrunk = folded_.resize(left);
  VARVE_ASSERT(shrunk);
  batch_.rebuild_index();
  return set_at;
}

bool WriteSet::release(uint64_t savepoint) {
  const auto found = std::find_if(savepoints_.begin(), savepoints_.end(),
                                  [&](const Savepoint& each) { return each.number == savepoint; });
  if (found == savepoints_.end()) return false;
  savepoints_.erase(found, savepoints_.end());
  if (savepoints_.empty()) folded_.clear();
  return true;
}

// -- order --

Result<bool> WriteSet::nearest(const Query& of_set, BatchEntry* entry) {
  if (batch_.entries_ == 0 || of_set.place <= base_) return false;
  Query query = of_set;
  query.place -= base_;
  if (batch_.entries_ <= kUnorderedMax) return nearest_unordered(query, entry);
  for (uint64_t at = ordered_.place(); at < batch_.size_;) {
    const uint64_t end = at + read_batch_entry(batch_.data_ + at).size;
    if (!ordered_.add(batch_.data_, at, end)) {
      return Status::out_of_memory("no memory to order what a transaction wrote");
    }
    at = end;
  }
  const std::optional<uint64_t> found = ordered_.nearest(batch_.data_, query);
  if (found) *entry = read_batch_entry(batch_.data_ + *found).entry;
  return found.has_value();
}

bool WriteSet::nearest_unordered(const Query& query, BatchEntry* entry) const {
  bool found = false;
  const uint64_t end = std::min(batch_.size_, query.place);
  for (uint64_t at = 0; at < end;) {
    const EncodedEntry read = read_batch_entry(batch_.data_ + at);
    at += read.size;
    if (read.entry.keyspace != query.keyspace) continue;
    if (query.key) {
      const auto order = compare_keys(read.entry.key, *query.key);
      const bool beyond = query.backward ? order < 0 : order > 0;
      if (!beyond && !(query.inclusive && order == 0)) continue;
    }
    if (found) {
      // Of the same key the later one counts.
      const auto order = compare_keys(read.entry.key, entry->key);
      if (query.backward ? order < 0 : order > 0) continue;
    }
    *entry = read.entry;
    found = true;
  }
  return found;
}

}  // namespace varve
