#include "txn/spilled_cursor.h"

namespace varve {

void SpilledCursor::let_go() {
  visible_.clear(SIZE_MAX);
  merge_.reset({});
  live_.clear();
  cursors_.clear();
  for (const std::vector<Sstable*>& run : files_) {
    for (Sstable* file : run) file->unref();
  }
  files_.clear();
  positioned_ = false;
}

void SpilledCursor::build() {
  let_go();
  generation_ = writes_->generation();
  for (const std::span<Sstable* const> run : writes_->runs_of(keyspace_)) {
    files_.emplace_back(run.begin(), run.end());
    for (Sstable* file : run) file->ref();
  }
  std::vector<VersionCursor*> sources;
  for (const std::vector<Sstable*>& run : files_) {
    cursors_.push_back(std::make_unique<RunCursor>(manager_));
    cursors_.back()->reset(run, /*fill_cache=*/true);
    live_.push_back(std::make_unique<LiveVersions>(cursors_.back().get(), writes_, cancelled_));
    sources.push_back(live_.back().get());
  }
  merge_.reset(sources);
  visible_.reset(&merge_, SpilledWrites::as_of(place_), cancelled_, /*tombstones=*/true);
}

void SpilledCursor::seek(const OrderedWrites::Query& query) {
  positioned_ = true;
  backward_ = query.backward;
  if (!query.key) {
    query.backward ? visible_.seek_to_last() : visible_.seek_to_first();
    return;
  }
  query.backward ? visible_.seek_for_prev(*query.key) : visible_.seek(*query.key);
}

Result<bool> SpilledCursor::nearest(const OrderedWrites::Query& query, BatchEntry* entry) {
  if (generation_ != writes_->generation()) build();
  const auto is_before = [&] {  // of what is asked for
    const auto order = compare_keys(visible_.key(), *query.key);
    return query.backward ? order > 0 : order < 0;
  };
  const bool stands = positioned_ && backward_ == query.backward && query.key;
  if (!stands || (visible_.valid() && is_before())) seek(query);
  if (visible_.valid() && query.key && !query.inclusive && visible_.key() == *query.key) {
    query.backward ? visible_.prev() : visible_.next();
  }
  if (!visible_.valid()) {
    positioned_ = positioned_ && visible_.status().ok();
    VARVE_RETURN_IF_ERROR(visible_.status());
    return false;
  }
  *entry = {.kind = visible_.kind(),
            .keyspace = keyspace_,
            .key = visible_.key(),
            .value = visible_.value()};
  return true;
}

}  // namespace varve
