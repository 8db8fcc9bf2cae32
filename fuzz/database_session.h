// One database that an input opens, writes and closes, in step with the model of what it must hold.

#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/database.h"
#include "fuzz/database_model.h"

namespace varve::fuzz {

class DatabaseSession {
 public:
  static constexpr const char* kDatabaseDirectory = "/db";

  // `surroundings` and files outlive it.
  DatabaseSession(Surroundings* surroundings, const Options& options)
      : surroundings_(surroundings), options_(options), model_(options) {}

  Database* database() { return database_.get(); }
  DatabaseModel& model() { return model_; }

  // With `options` from now on, whatever comes of it.
  Status open(const Options& options) {
    options_ = options;
    Result<std::unique_ptr<Database>> opened = Database::open(options, kDatabaseDirectory);
    if (!opened.ok()) return opened.status();
    database_ = std::move(*opened);
    return Status();
  }
  // After an opening in order: all is there.
  void expect_all() {
    model_.opened(options_);
    promise_all();
    for (const size_t i : model_.living()) {
      const Result<Keyspace> found = database_->find_keyspace(model_.keyspace(i).name);
      FUZZ_CHECK(found.ok() && *found == model_.keyspace(i).id);
    }
  }
  // After an opening that followed a crash: `promised` events at least are there.
  void find_out_what_is_left(uint64_t promised) {
    const Result<FoundState> found = read_state(database_.get());
    check_ok(found.status());
    const std::optional<uint64_t> event = model_.find_event(*found, promised);
    FUZZ_CHECK_SAYING(event.has_value(),
                      "what is there is no prefix of what was committed, or "
                      "lacks what was promised");
    FUZZ_CHECK(model_.forget_after(*event, *found));
    model_.opened(options_);
    promise_all();
  }
  // In order. What reads it was released.
  void close(FileSystem* files) {
    close_and_check(std::move(database_), files);
    promise_all();
  }
  // As if the process died: the files take no more changes.
  void abandon() { database_.reset(); }

  // All of it outlives a loss of power.
  void promise_all() {
    model_.flushed();
    written_ = synced_ = model_.events();
  }

  // The newest events that outlive the process, and a loss of power.
  uint64_t written() const { return written_; }
  uint64_t synced() const { return synced_; }

  // -- each takes place as the input says; the model follows. A failure may leave it open whether
  //    it did --
  Status write_batch(Input* input) {
    constexpr uint32_t kChangesMax = 24;
    std::vector<DatabaseModel::Change> changes;
    const uint8_t shape = input->u8();
    for (uint32_t left = 1 + shape % kChangesMax; left > 0; --left) {
      changes.push_back(read_change(input, /*any_keyspace=*/(shape & 0x80) != 0));
    }
    WriteBatch batch;
    for (const DatabaseModel::Change& change : changes) {
      const Keyspace keyspace = model_.keyspace(change.keyspace).id;
      check_ok(change.value ? batch.put(keyspace, change.key, *change.value)
                            : batch.erase(keyspace, change.key));
    }
    const WriteOptions options = read_write_options(input);
    Timestamp committed;
    const Status status = surroundings_->write(
        options, [&](const WriteOptions& o) { return database_->write(batch, o, &committed); });
    note_commit(changes, options, status, committed);
    return status;
  }
  Status write_one(Input* input) {
    const DatabaseModel::Change change = read_change(input, /*any_keyspace=*/true);
    WriteOptions options = read_write_options(input);
    options.keyspace = model_.keyspace(change.keyspace).id;
    const Status status = surroundings_->write(options, [&](const WriteOptions& o) {
      return change.value ? database_->put(change.key, *change.value, o)
                          : database_->erase(change.key, o);
    });
    note_commit({change}, options, status, status.ok() ? published() : Timestamp{});
    return status;
  }
  Status create_keyspace(Input* input) {
    const std::string name = "keyspace " + std::to_string(input->below(4));
    const KeyspaceOptions options = read_keyspace_options(input);
    const bool exists = database_->find_keyspace(name).ok();
    const Result<Keyspace> created = database_->create_keyspace(name, options);
    if (exists) return refused_with(StatusCode::already_exists, created.status());
    model_.create(name, options, options_, time_if(created.ok()),
                  created.ok() ? *created : Keyspace{});
    if (created.ok()) written_ = synced_ = model_.events();
    return created.status();
  }
  Status drop_keyspace(Input* input) {
    const size_t keyspace = read_keyspace(input);
    const Status status = database_->drop_keyspace(model_.keyspace(keyspace).id);
    if (model_.keyspace(keyspace).id == kDefaultKeyspace) {
      return refused_with(StatusCode::invalid_argument, status);
    }
    model_.drop(keyspace, time_if(status.ok()));
    if (status.ok()) written_ = synced_ = model_.events();
    return status;
  }
  // Ok if the call was refused as it has to be; a fault that it met first is the caller's to judge.
  static Status refused_with(StatusCode code, const Status& status) {
    FUZZ_CHECK(!status.ok());
    return status.code() == code ? Status() : status;
  }
  Status flush() { return note_flush(database_->flush()); }
  Status compact() { return note_flush(database_->compact()); }

  // Index of one that exists.
  size_t read_keyspace(Input* input) const {
    const std::vector<size_t> living = model_.living();
    return living[input->below(static_cast<uint32_t>(living.size()))];
  }

 private:
  DatabaseModel::Change read_change(Input* input, bool any_keyspace) {
    const size_t keyspace = any_keyspace ? read_keyspace(input) : 0;
    std::string key = read_key(input);
    if (input->below(4) == 3) return {keyspace, std::move(key), std::nullopt};
    return {keyspace, std::move(key), read_value(input, ++values_)};
  }
  static WriteOptions read_write_options(Input* input) {
    WriteOptions options;
    const uint8_t durability = input->u8() % 8;
    if (durability < 4) options.durability = static_cast<Durability>(durability);
    return options;
  }

  Timestamp published() {
    Result<Snapshot> now = database_->snapshot();
    check_ok(now.status());
    return now->timestamp();
  }
  std::optional<Timestamp> time_if(bool took_place) {
    return took_place ? std::optional(published()) : std::nullopt;
  }

  void note_commit(const std::vector<DatabaseModel::Change>& changes, const WriteOptions& options,
                   const Status& status, Timestamp committed) {
    if (status.code() == StatusCode::timed_out) return;  // it was not begun
    model_.commit(changes, status.ok() ? std::optional(committed) : std::nullopt);
    if (!status.ok()) return;
    bool logged = false;
    Durability durability = Durability::none;
    for (const DatabaseModel::Change& change : changes) {
      const KeyspaceModel& keyspace = model_.keyspace(change.keyspace);
      logged |= keyspace.logged;
      durability = std::min(durability, keyspace.options.durability.value_or(options_.durability));
    }
    if (options.durability) durability = *options.durability;
    if (logged && durability <= Durability::os) written_ = model_.events();
    if (logged && durability == Durability::sync) synced_ = model_.events();
  }
  Status note_flush(Status status) {
    if (status.ok()) promise_all();
    return status;
  }

  Surroundings* const surroundings_;
  Options options_;
  DatabaseModel model_;
  std::unique_ptr<Database> database_;
  uint64_t values_ = 0;  // made so far
  uint64_t written_ = 0;
  uint64_t synced_ = 0;
};

}  // namespace varve::fuzz
