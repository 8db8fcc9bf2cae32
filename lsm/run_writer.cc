#include "lsm/run_writer.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "base/assert.h"
#include "base/format.h"
#include "base/random.h"
#include "base/sync_point.h"

namespace varve {

namespace {

// How many versions pass between two looks at the cancel flag.
constexpr uint64_t kCancelInterval = 4096;

class RunWriter {
 public:
  RunWriter(const GcHorizon& horizon, bool bottom, const RunWriterOptions& options)
      : options_(options),
        horizon_(horizon),
        gc_(horizon, bottom),
        last_key_(options.memory, options.role),
        moved_(options.memory, options.role) {}

  Status add_all(VersionCursor* input, const Atomic<bool>& cancel) {
    bool first = true;
    for (input->seek_to_first(); input->valid(); input->next()) {
      if (++run_.versions_in % kCancelInterval == 0 && cancel.load()) {
        return Status(StatusCode::cancelled, "the database is being closed");
      }
      const std::string_view key = input->user_key();
      const std::strong_ordering order =
          first ? std::strong_ordering::less : compare_keys(last_key_.view(), key);
      const bool new_key = order < 0;
      // Sums that hold say nothing of the order, and what follows relies on it.
      if (order > 0 || (order == 0 && input->timestamp() >= last_timestamp_)) {
        return Status::corruption(format(
            "keyspace %u: version %llu of key %s is out of order", options_.keyspace.id,
            static_cast<unsigned long long>(input->timestamp().nanos), readable(key).c_str()));
      }
      last_timestamp_ = input->timestamp();
      if (new_key) {
        first = false;
        if (!last_key_.assign(key)) return Status::out_of_memory("no memory for a merge");
        hash_ = key_hash(key);
        key_written_ = false;
        held_.reset();  // it hid nothing
      }
      const VersionGc::Verdict verdict = gc_.next(new_key, input->timestamp(), input->kind());
      if (!verdict.keep) continue;
      if (verdict.hold) {
        held_ = input->timestamp();
        continue;
      }
      if (held_) VARVE_RETURN_IF_ERROR(add(*held_, VersionKind::tombstone, {}));
      held_.reset();
      const bool to_zero = verdict.collapse || options_.undated;
      VARVE_RETURN_IF_ERROR(add(to_zero ? kTimestampMin : input->timestamp(), *input));
    }
    VARVE_RETURN_IF_ERROR(input->status());
    if (writer_ != nullptr) VARVE_RETURN_IF_ERROR(finish_file());
    if (value_writer_ != nullptr) VARVE_RETURN_IF_ERROR(finish_value_file());
    return run_.files.empty() || !options_.durable
               ? Status()
               : options_.file_system->sync_directory(options_.directory);
  }

  void remove_files() {
    writer_.reset();
    value_writer_.reset();
    for (const FileNumber number : begun_) {
      static_cast<void>(options_.file_system->remove(path_of(number)));
    }
    for (const FileNumber number : run_.value_files) {
      static_cast<void>(options_.file_system->remove(value_path_of(number)));
    }
  }

  WrittenRun take() { return std::move(run_); }

 private:
  std::string path_of(FileNumber number) const {
    return path_in(options_.directory, sstable_name(number));
  }
  std::string value_path_of(FileNumber number) const {
    return path_in(options_.directory, value_file_name(number));
  }

  // The version that the input stands on.
  Status add(Timestamp timestamp, const VersionCursor& input) {
    const std::string_view value = input.value();
    if (input.kind() == VersionKind::value_pointer) {
      return add_pointer(timestamp, *input.pointer_source(), value);
    }
    const bool is_large = options_.separate_from != 0 && value.size() >= options_.separate_from;
    if (input.kind() != VersionKind::value || !is_large) {
      return add(timestamp, input.kind(), value);
    }
    VARVE_RETURN_IF_ERROR(make_room_for_value());
    VARVE_ASSIGN_OR_RETURN(const ValuePlace place, value_writer_->add(value));
    return add_at(timestamp, value_writer_->name(), place);
  }

  Status add_pointer(Timestamp timestamp, const Sstable& source, std::string_view pointer) {
    VARVE_ASSIGN_OR_RETURN(const Sstable::ValueAt at, source.locate(pointer));
    const ValueFileName& file = at.file->name();
    if (!std::binary_search(options_.emptied.begin(), options_.emptied.end(), file.number)) {
      return add_at(timestamp, file, at.place);
    }
    VARVE_ASSIGN_OR_RETURN(const BlockTrailer trailer, at.file->read_stored(at.place, &moved_));
    VARVE_RETURN_IF_ERROR(make_room_for_value());
    VARVE_ASSIGN_OR_RETURN(const ValuePlace place,
                           value_writer_->add_stored(moved_.view(), trailer));
    return add_at(timestamp, value_writer_->name(), place);
  }

  // There is a value file, and it is not full.
  Status make_room_for_value() {
    if (value_writer_ != nullptr && value_writer_->size() >= options_.value_file_size_max) {
      VARVE_RETURN_IF_ERROR(finish_value_file());
    }
    if (value_writer_ != nullptr) return Status();
    const ValueFileName name{.number = options_.numbers->next_file_number(),
                             .id = random_file_id()};
    VARVE_ASSIGN_OR_RETURN(
        std::unique_ptr<File> file,
        options_.file_system->open(value_path_of(name.number), OpenMode::create_exclusive));
    run_.value_files.push_back(name.number);
    value_writer_ = std::make_unique<ValueWriter>(
        options_.memory, std::move(file), name,
        ValueWriterOptions{
            .codec = options_.value_codec, .durable = options_.durable, .role = options_.role});
    return Status();
  }

  Status finish_value_file() {
    VARVE_RETURN_IF_ERROR(value_writer_->finish());
    VARVE_SYNC_POINT("value_file_finished");
    run_.bytes += value_writer_->size();
    run_.value_bytes += value_writer_->size();
    value_writer_.reset();
    return Status();
  }

  // A version of last_key_. Versions of one key never lie in two files.
  Status add(Timestamp timestamp, VersionKind kind, std::string_view value) {
    VARVE_RETURN_IF_ERROR(make_room());
    return writer_->add(last_key_.view(), hash_, timestamp, kind, value);
  }
  Status add_at(Timestamp timestamp, const ValueFileName& file, const ValuePlace& place) {
    VARVE_RETURN_IF_ERROR(make_room());
    return writer_->add_pointer(last_key_.view(), hash_, timestamp, file, place);
  }

  // There is a file for a version of last_key_, which is about to be added.
  Status make_room() {
    if (writer_ != nullptr && !key_written_ && writer_->size_estimate() >= options_.file_size_max) {
      VARVE_RETURN_IF_ERROR(finish_file());
    }
    if (writer_ == nullptr) VARVE_RETURN_IF_ERROR(begin_file());
    key_written_ = true;
    ++run_.versions_out;
    return Status();
  }

  Status begin_file() {
    number_ = options_.numbers->next_file_number();
    VARVE_ASSIGN_OR_RETURN(
        std::unique_ptr<File> file,
        options_.file_system->open(path_of(number_), OpenMode::create_exclusive));
    begun_.push_back(number_);
    writer_ = std::make_unique<SstableWriter>(
        options_.memory, std::move(file), random_file_id(),
        SstableWriterOptions{.keyspace = options_.keyspace,
                             .block_size = options_.block_size,
                             .filter_bits_per_key = options_.filter_bits_per_key,
                             .codec = options_.codec,
                             .created_nanos = options_.clock->realtime_nanos(),
                             .collapse_horizon = horizon_.watermark,
                             .undated = options_.undated,
                             .durable = options_.durable,
                             .role = options_.role,
                             .kept = options_.kept});
    return Status();
  }

  Status finish_file() {
    VARVE_ASSIGN_OR_RETURN(const SstableProperties properties, writer_->finish());
    VARVE_SYNC_POINT("sstable_finished");
    run_.files.push_back({.number = number_,
                          .id = writer_->id(),
                          .file_size = writer_->file_size(),
                          .smallest_key = properties.smallest_key,
                          .largest_key = properties.largest_key,
                          .versions = properties.versions,
                          .tombstones = properties.tombstones,
                          .timestamp_min = properties.timestamp_min,
                          .timestamp_max = properties.timestamp_max,
                          .collapse_horizon = properties.collapse_horizon,
                          .raw_bytes = properties.raw_bytes,
                          .undated = properties.undated});
    run_.bytes += writer_->file_size();
    writer_.reset();
    return Status();
  }

  const RunWriterOptions& options_;
  const GcHorizon& horizon_;
  VersionGc gc_;
  Buffer last_key_;
  Timestamp last_timestamp_;
  uint64_t hash_ = 0;
  bool key_written_ = false;       // some version of last_key_ is in the file
  std::optional<Timestamp> held_;  // a tombstone of last_key_ that may turn out to hide nothing
  FileNumber number_;
  std::unique_ptr<SstableWriter> writer_;
  std::unique_ptr<ValueWriter> value_writer_;
  Buffer moved_;  // a value, as it is stored
  std::vector<FileNumber> begun_;
  WrittenRun run_;
};

}  // namespace

Result<WrittenRun> write_run(VersionCursor* input, const GcHorizon& horizon, bool bottom,
                             const RunWriterOptions& options, const Atomic<bool>& cancel) {
  RunWriter writer(horizon, bottom, options);
  Status status = writer.add_all(input, cancel);
  if (!status.ok()) {
    writer.remove_files();
    return status;
  }
  return writer.take();
}

}  // namespace varve
