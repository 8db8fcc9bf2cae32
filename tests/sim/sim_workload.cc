#include "tests/sim/sim_workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "tests/support/status_check.h"

namespace varve::test {

class SimWorkload::Quiet final : public Logger {
  void write(LogLevel, std::string_view) override {}
};

SimWorkload::SimWorkload(FileSystem* files, std::shared_ptr<SimHistory> history,
                         const SimPromise& promise, uint64_t seed, const Settings& settings)
    : files_(files),
      history_(std::move(history)),
      promise_(promise),
      random_(seed),
      settings_(settings),
      logger_(std::make_unique<Quiet>()) {
  visible_ = history_->submitted();
}

SimWorkload::~SimWorkload() = default;

Status SimWorkload::open() {
  Options options;
  options.memory_budget = 4 << 20;
  options.write_buffer_size = 16 * 1024;
  options.cache_size = 256 * 1024;
  options.block_size = 512;
  options.compression = random_.one_in(2) ? Compression::none : Compression::zstd;
  options.separate_values_from = random_.one_in(2) ? 0 : 24;
  options.durability = Durability::os;
  options.latency_sampling = 0;  // drawn by the thread, not by the seed; STATS tells of it
  options.file_system = files_;
  options.clock = &clock_;
  options.executor = &executor_;
  if (!settings_.logs_to_file) options.logger = logger_.get();
  VARVE_ASSIGN_OR_RETURN(database_, Database::open(options, kSimDirectory));
  read_only_ = false;
  buffered_ = 0;
  ids_.clear();
  for (const KeyspaceInfo& keyspace : database_->keyspaces()) {
    ids_[keyspace.name] = keyspace.keyspace;
  }
  return clean_ && !settings_.may_lose_edits ? Status() : adopt();
}

Status SimWorkload::adopt() {
  Result<SimState> found = read_state(database_.get());
  if (!found.ok()) {
    allow(found.status(), "read");
    let_go();
    return std::move(found).status();
  }
  if (!history_->place(*found, promise_)) {
    const bool earlier = history_->place(*found, {.submitted = promise_.submitted}).has_value();
    if (!settings_.may_lose_edits && !(settings_.may_lose_end && earlier)) {
      ADD_FAILURE() << history_->describe(*found, promise_);
    }
    ++ends_lost_;
  }
  clean_ = true;
  start_over(std::make_shared<SimHistory>(std::move(*found)), {});
  return Status();
}

void SimWorkload::let_go() {
  clean_ &= database_ == nullptr;
  database_.reset();
}

void SimWorkload::start_over(std::shared_ptr<SimHistory> history, const SimPromise& promise) {
  history_ = std::move(history);
  promise_ = promise;
  visible_ = history_->submitted();
}

Status SimWorkload::close() {
  if (database_ == nullptr) return Status();
  const Status status = database_->close();
  if (status.ok()) {
    promise_.durable = promise_.written = promise_.unlogged = history_->submitted();
  } else {
    allow(status, "close");
    clean_ = false;
  }
  database_.reset();
  return status;
}

// -- what statuses mean --

SimWorkload::Outcome SimWorkload::outcome_of(const Status& status, bool write) const {
  switch (status.code()) {
    case StatusCode::ok:
      return Outcome::done;
    case StatusCode::io_error:
      return Outcome::unknown;
    case StatusCode::read_only:  // of a keyspace: the manifest may have failed just now
      return write || read_only_ ? Outcome::refused : Outcome::unknown;
    default:
      return Outcome::refused;
  }
}

void SimWorkload::allow(const Status& status, const char* what) {
  if (status.ok()) return;
  if (!settings_.may_fail) {
    ADD_FAILURE() << what << ": " << status.to_string();
    return;
  }
  const bool known =
      status.code() == StatusCode::io_error || status.code() == StatusCode::no_space ||
      status.code() == StatusCode::read_only || status.code() == StatusCode::busy ||
      status.code() == StatusCode::timed_out || status.code() == StatusCode::corruption ||
      status.code() == StatusCode::not_supported;  // a flipped bit in a version
  EXPECT_TRUE(known) << what << ": " << status.to_string();
  if (status.code() == StatusCode::read_only) read_only_ = true;
}

// After the newest commit of the history was answered.
void SimWorkload::settle(const Status& status, bool write, std::optional<Durability> durability,
                         bool logged) {
  const uint64_t commit = history_->submitted();
  switch (outcome_of(status, write)) {
    case Outcome::done:
      EXPECT_FALSE(read_only_) << "a commit after the store became read-only";
      EXPECT_EQ(visible_ + 1, commit) << "a commit after one whose outcome is unknown";
      visible_ = commit;
      if (!logged) return;
      if (!durability || *durability == Durability::sync) promise_.durable = commit;
      if (!durability || *durability <= Durability::os) promise_.written = commit;
      if (durability && *durability >= Durability::buffered) buffered_ = commit;
      return;
    case Outcome::refused:
      withdraw();
      break;
    case Outcome::unknown:
      // Behind one that is unknown already nothing can be written any more.
      if (visible_ + 1 != commit) withdraw();
      break;
  }
  allow(status, "commit");
}

// -- choices --

Durability SimWorkload::pick_durability() {
  if (random_.one_in(settings_.sync_one_in)) return Durability::sync;
  switch (random_.below(8)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return Durability::os;
    case 4:
      return Durability::none;  // counts as buffered
    default:
      return Durability::buffered;
  }
}

std::string SimWorkload::pick_key() {
  return "key" + std::to_string(1000 + random_.below(settings_.keys));
}

std::string SimWorkload::pick_value() {
  std::string value = std::to_string(++number_) + ":" + std::to_string(random_.next());
  const uint64_t size = random_.one_in(3) ? 0 : random_.below(settings_.value_size_max);
  if (value.size() < size) value.resize(size, static_cast<char>('a' + number_ % 26));
  return value;
}

std::string SimWorkload::pick_keyspace() {
  auto at = ids_.begin();
  std::advance(at, static_cast<ptrdiff_t>(random_.below(ids_.size())));
  return at->first;
}

// -- operations --

void SimWorkload::steps(uint64_t count) {
  for (uint64_t i = 0; i < count && database_ != nullptr; ++i) step();
}

void SimWorkload::step() {
  clock_.advance(random_.below(20'000'000));
  switch (random_.below(40)) {
    default:
      return random_.one_in(2) ? write_one() : write_batch();
    case 28:
    case 29:
      return write_transaction();
    case 30:
      return flush();
    case 31:
      return random_.one_in(2) ? compact() : check_reads();
    case 32:
      return create_keyspace("made" + std::to_string(random_.next()));
    case 33:
      return random_.one_in(2) ? drop_keyspace() : allow(database_->verify().status(), "verify");
    case 34:
      if (settings_.reopens && random_.one_in(2)) reopen();
      return;
    case 35:
    case 36:
    case 37:
    case 38:
    case 39:
      return background();
  }
}

void SimWorkload::make_keyspaces() {
  create_keyspace(kUnloggedKeyspace);
  create_keyspace("first");
  create_keyspace("second");
}

void SimWorkload::submit(SimState after) {
  history_->submit(std::move(after));
  promise_.submitted = history_->submitted();
}

void SimWorkload::withdraw() {
  history_->withdraw();
  promise_.submitted = history_->submitted();
}

void SimWorkload::write_one() {
  const std::string name = pick_keyspace();
  const std::string key = pick_key();
  SimState after = history_->state(visible_);
  WriteOptions options;
  options.keyspace = keyspace(name);
  options.durability = pick_durability();
  options.timeout = std::chrono::nanoseconds(0);
  Status status;
  if (random_.one_in(4)) {
    after.keyspaces[name].erase(key);
    submit(std::move(after));
    status = database_->erase(key, options);
  } else {
    const std::string value = pick_value();
    after.keyspaces[name][key] = value_hash(value);
    submit(std::move(after));
    status = database_->put(key, value, options);
  }
  if (status.code() == StatusCode::timed_out) {
    withdraw();
    return background();
  }
  settle(status, /*write=*/true, options.durability, name != kUnloggedKeyspace);
}

void SimWorkload::write_batch() {
  SimState after = history_->state(visible_);
  WriteBatch batch;
  bool logged = false;
  for (uint64_t i = 2 + random_.below(6); i > 0; --i) {
    const std::string name = pick_keyspace();
    const std::string key = pick_key();
    logged |= name != kUnloggedKeyspace;
    if (random_.one_in(4)) {
      after.keyspaces[name].erase(key);
      ASSERT_OK(batch.erase(keyspace(name), key));
    } else {
      const std::string value = pick_value();
      after.keyspaces[name][key] = value_hash(value);
      ASSERT_OK(batch.put(keyspace(name), key, value));
    }
  }
  WriteOptions options;
  options.durability = pick_durability();
  options.timeout = std::chrono::nanoseconds(0);
  submit(std::move(after));
  const Status status = database_->write(batch, options);
  if (status.code() == StatusCode::timed_out) {
    withdraw();
    return background();
  }
  settle(status, /*write=*/true, options.durability, logged);
}

void SimWorkload::write_transaction() {
  SimState after = history_->state(visible_);
  TransactionOptions options;
  options.write_memory_max = 1 + random_.below(500);
  options.durability = pick_durability();
  options.timeout = std::chrono::nanoseconds(0);
  const uint64_t spills = database_->statistics().spills;
  Result<Transaction> transaction = database_->begin(options);
  if (!transaction.ok()) return allow(transaction.status(), "begin");
  bool logged = false;
  bool unlogged = false;
  std::optional<Savepoint> savepoint;
  SimState at_savepoint;
  Status status;
  for (uint64_t i = 4 + random_.below(16); i > 0 && status.ok(); --i) {
    const std::string name = pick_keyspace();
    const std::string key = pick_key();
    (name == kUnloggedKeyspace ? unlogged : logged) = true;
    WriteOptions write;
    write.keyspace = keyspace(name);
    if (random_.one_in(4)) {
      after.keyspaces[name].erase(key);
      status = transaction->erase(key, write);
    } else {
      const std::string value = pick_value();
      after.keyspaces[name][key] = value_hash(value);
      status = transaction->put(key, value, write);
    }
    if (!savepoint && random_.one_in(8)) {
      savepoint = transaction->set_savepoint().value();
      at_savepoint = after;
    }
  }
  const bool undoes = savepoint && random_.one_in(2);
  if (status.ok() && undoes) {
    status = transaction->rollback_to(*savepoint);
    after = std::move(at_savepoint);
  }
  if (status.ok()) {
    // So that its state is no other commit's, though all else may be undone, or say what was there.
    const std::string value = pick_value();
    after.keyspaces["default"]["transaction"] = value_hash(value);
    logged = true;
    status = transaction->put("transaction", value);
  }
  if (!status.ok()) {
    static_cast<void>(transaction->rollback());
    return status.code() == StatusCode::timed_out ? background() : allow(status, "transaction");
  }
  submit(std::move(after));
  // What was not undone was spilled, if anything, and is durable with all that came before.
  const bool spilled = database_->statistics().spills != spills && !undoes;
  status = transaction->commit().status();
  // It is not withdrawn, as a write is that met no file yet: what is in the files by now would be
  // taken for another commit that changes nothing.
  for (int i = 0; i < 100 && status.code() == StatusCode::timed_out; ++i) {
    background();
    status = transaction->commit().status();
  }
  if (status.code() == StatusCode::timed_out) {
    EXPECT_TRUE(settings_.may_fail) << status.to_string();
    return withdraw();
  }
  const bool done = status.ok();
  settle(status, /*write=*/true, spilled ? std::nullopt : options.durability, logged);
  if (done && spilled && unlogged) promise_.unlogged = visible_;
}

void SimWorkload::create_keyspace(const std::string& name) {
  if (ids_.size() >= 7) return;
  KeyspaceOptions options;
  if (name == kUnloggedKeyspace) options.durability = Durability::none;
  SimState after = history_->state(visible_);
  after.keyspaces[name];
  submit(std::move(after));
  Result<Keyspace> created = database_->create_keyspace(name, options);
  settle(created.status(), /*write=*/false, std::nullopt);
  if (created.ok()) ids_[name] = *created;
}

void SimWorkload::drop_keyspace() {
  const std::string name = pick_keyspace();
  if (!name.starts_with("made")) return;
  SimState after = history_->state(visible_);
  after.keyspaces.erase(name);
  submit(std::move(after));
  const Status status = database_->drop_keyspace(keyspace(name));
  settle(status, /*write=*/false, std::nullopt);
  if (status.ok()) ids_.erase(name);
}

void SimWorkload::flush() {
  const Status status = database_->flush();
  if (!status.ok()) return allow(status, "flush");
  promise_.durable = promise_.written = promise_.unlogged = visible_;
}

void SimWorkload::compact() {
  const Status status = database_->compact();
  if (!status.ok()) return allow(status, "compact");
  promise_.durable = promise_.written = promise_.unlogged = visible_;
}

// Delays are ignored, so the loss window of what was buffered is over.
void SimWorkload::background() {
  if (random_.one_in(3)) {
    static_cast<void>(executor_.run_all(1 + random_.below(2)));
    return;
  }
  // What fails and is tried again would be for ever.
  static_cast<void>(executor_.run_all(settings_.may_fail ? 20 : SIZE_MAX));
  if (settings_.may_fail || buffered_ == 0) return;
  promise_.durable = std::max(promise_.durable, buffered_);
  promise_.written = std::max(promise_.written, buffered_);
}

void SimWorkload::reopen() {
  static_cast<void>(close());
  const Status status = open();
  allow(status, "open");
}

// -- checks --

void SimWorkload::check_reads() {
  Result<SimState> found = read_state(database_.get());
  if (!found.ok()) {
    EXPECT_FALSE(found.status().message().starts_with("disagree")) << found.status().to_string();
    return allow(found.status(), "read");
  }
  const SimPromise now{
      .durable = visible_, .written = visible_, .unlogged = visible_, .submitted = visible_};
  if (!history_->place(*found, now)) ADD_FAILURE() << history_->describe(*found, now);
}

void SimWorkload::expect_writable() {
  executor_.run_all();
  WriteOptions options;
  options.durability = Durability::sync;
  options.timeout = std::chrono::nanoseconds(0);
  SimState after = history_->state(visible_);
  const std::string value = pick_value();
  after.keyspaces["default"]["writable"] = value_hash(value);
  submit(std::move(after));
  const Status status = database_->put("writable", value, options);
  EXPECT_OK(status);
  settle(status, /*write=*/true, Durability::sync);
  check_reads();
}

}  // namespace varve::test
