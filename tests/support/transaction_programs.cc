#include "tests/support/transaction_programs.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/thread.h"
#include "tests/support/directory_complaints.h"
#include "tests/support/transaction_recording.h"
#include "varve/varve.h"

namespace varve::test {
namespace {

constexpr size_t kThreadsMax = 4;
constexpr uint64_t kStepsMax = 6;        // of a transaction
constexpr int kTransactionsMax = 12;     // of a thread in a life
constexpr uint64_t kIdsOfThread = 1000;  // at least so many
constexpr size_t kLongValue = 3000;

struct Silence final : Logger {
  void write(LogLevel, std::string_view) override {}
};

uint64_t now() { return Clock::system()->monotonic_nanos(); }

struct Shape {
  size_t threads;
  uint32_t keys;
  uint8_t isolation;  // 0: snapshot, 1: serializable, more: either
  PlannedFault fault;
  Options options;
};

Shape read_shape(Input* input, std::optional<PlannedFault> fault, FileSystem* files,
                 Logger* logger) {
  Shape shape{};
  shape.threads = 2 + input->below(kThreadsMax - 1);
  shape.keys = 1 + input->below(6);
  shape.isolation = static_cast<uint8_t>(input->below(4));
  const uint32_t kind = input->below(16);
  if (kind < 5) shape.fault.fault = static_cast<ProgramFault>(kind);
  shape.fault.after = input->u8();
  if (fault.has_value()) shape.fault = *fault;
  shape.options.memory_budget = kMemoryBudgetMin;
  shape.options.write_buffer_size = 16 << 10;
  shape.options.compression = Compression::none;
  // What was acknowledged has to survive the loss of power.
  const bool sync = input->flag() || shape.fault.fault == ProgramFault::power;
  shape.options.durability = sync ? Durability::sync : Durability::os;
  shape.options.background_threads = 1 + static_cast<int>(input->below(2));
  shape.options.file_system = files;
  shape.options.logger = logger;
  return shape;
}

class ProgramRun {
 public:
  ProgramRun(Input* input, std::optional<PlannedFault> fault)
      : input_(input), shape_(read_shape(input, fault, disk_.files(), &silence_)) {}

  ProgramReport run() {
    const size_t lives = 1 + (input_->u8() & 1);
    for (size_t life = 0; life < lives && report_.complaint.empty(); ++life) {
      const uint8_t pages = input_->u8();
      const uint8_t names = input_->u8();
      const uint8_t seed = input_->u8();
      if (!open()) break;
      if (life == 0) fill();
      live(life, lives);
      if (shape_.fault.fault == ProgramFault::power) {
        abandon();
        disk_.cut_power(static_cast<PagePolicy>(pages % kPagePolicies),
                        static_cast<NamePolicy>(names % kNamePolicies), seed);
        shape_.options.file_system = disk_.files();
        ++report_.crashes;
      } else if (shape_.fault.fault != ProgramFault::none) {
        abandon();
      } else {
        close();
      }
    }
    if (report_.complaint.empty() && open()) {
      read_all();
      expect(database_->verify().status());
      close();
    }
    judge();
    report_.faults = disk_.failed();
    return std::move(report_);
  }

 private:
  // -- the database --
  bool open() {
    Result<std::unique_ptr<Database>> opened = Database::open(shape_.options, "/db");
    if (!expect(opened.status())) return false;
    database_ = std::move(*opened);
    Result<Keyspace> other = database_->find_keyspace("other");
    if (!other.ok()) other = database_->create_keyspace("other");
    if (!expect(other.status())) return false;
    keyspaces_[1] = *other;
    return true;
  }

  void close() {
    if (!expect(database_->close())) return;
    const MemoryReport memory = database_->memory_report();
    for (size_t i = 0; i < kMemoryRoleCount; ++i) {
      if (memory.roles[i].live_bytes == 0) continue;
      complain("closed, and memory is live: " +
               std::string(memory_role_name(static_cast<MemoryRole>(i))));
    }
    database_.reset();
    for (const std::string& complaint : directory_complaints(shape_.options.file_system, "/db")) {
      complain(complaint);
    }
  }

  // After faults a close may fail.
  void abandon() {
    const Status status = database_->close();
    if (disk_.failed() == failed_before_) expect(status);
    database_.reset();
    disk_.disarm();
  }

  // What is there before the first transaction.
  void fill() {
    for (uint32_t key = 0; key < shape_.keys; key += 2) {
      TransactionRecord record = begin_record(/*session=*/0);
      WriteBatch batch(*database_);
      for (const Keyspace keyspace : keyspaces_) {
        batch_put(&batch, keyspace, key_name(key), &record);
      }
      write(&batch, std::move(record));
    }
  }

  void live(size_t life, size_t lives) {
    failed_before_ = disk_.failed();
    disk_.arm(shape_.fault);
    const size_t share = input_->rest().size() / (lives - life) / shape_.threads;
    std::vector<Thread> threads;
    for (size_t i = 1; i <= shape_.threads; ++i) {
      const std::string_view bytes = input_->piece(share);
      threads.emplace_back("program", 0, [this, i, bytes] {
        run_thread(i, Input(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
      });
    }
  }

  // -- threads --
  void run_thread(size_t session, Input input) {
    for (int i = 0; i < kTransactionsMax && !input.empty(); ++i) {
      const uint32_t choice = input.below(32);
      if (choice == 0) {
        allow(database_->flush());
      } else if (choice == 1) {
        allow(database_->compact());
      } else if (choice < 5) {
        run_batch(session, &input);
      } else {
        run_transaction(session, &input);
      }
    }
  }

  void run_batch(size_t session, Input* input) {
    TransactionRecord record = begin_record(session);
    WriteBatch batch(*database_);
    for (uint32_t writes = 1 + input->below(3); writes > 0; --writes) {
      const Keyspace keyspace = read_keyspace(input);
      const std::string key = read_key(input);
      if (input->below(4) != 0) {
        batch_put(&batch, keyspace, key, &record);
      } else if (allow(batch.erase(keyspace, key))) {
        drop_earlier(keyspace, key, &record);
        OperationRecord erased = OperationRecord::erase(key);
        erased.keyspace = keyspace;
        record.operations.push_back(std::move(erased));
      }
    }
    write(&batch, std::move(record));
  }

  void run_transaction(size_t session, Input* input) {
    const uint8_t shape = input->u8();
    TransactionOptions options;
    const bool serializable = shape_.isolation == 1 || (shape_.isolation > 1 && (shape & 1) != 0);
    options.isolation = serializable ? Isolation::serializable : Isolation::snapshot;
    TransactionRecord record = begin_record(session);
    record.isolation = serializable ? RecordedIsolation::serializable : RecordedIsolation::snapshot;
    Result<Transaction> begun = database_->begin(options);
    if (!allow(begun.status())) return;
    record.snapshot = begun->snapshot_timestamp();
    Recording recording(&record);
    bool goes_on = true;
    for (uint64_t steps = 1 + input->below(kStepsMax); goes_on && steps > 0; --steps) {
      goes_on = run_step(&*begun, input, &record, &recording);
    }
    record.outcome = RecordedOutcome::aborted;
    if (goes_on && (shape & 0xf0) != 0) {
      commit(&*begun, recording.wrote(), &record);
    } else if ((shape & 2) != 0) {
      allow(begun->rollback());
    }
    begun = Transaction();
    finish(std::move(record));
  }

  void commit(Transaction* transaction, bool wrote, TransactionRecord* record) {
    const Result<Timestamp> committed = transaction->commit();
    if (committed.ok()) {
      record->outcome = RecordedOutcome::committed;
      if (wrote) record->commit = *committed;
      return;
    }
    allow(committed.status());
    if (committed.status().code() == StatusCode::io_error) {
      record->outcome = RecordedOutcome::unknown;
    }
  }

  // False: the transaction has lost.
  bool run_step(Transaction* transaction, Input* input, TransactionRecord* record,
                Recording* recording) {
    const uint32_t choice = input->below(16);
    switch (choice) {
      case 0:
        return scan(transaction, input, record, recording);
      case 1:
        return savepoint(transaction, input, recording);
      case 2:
      case 3:
        // Where there is one, what comes after it is undone often.
        if (recording->marks() != 0) return savepoint(transaction, input, recording);
        return read_several(transaction, input, recording);
      case 4:
      case 5:
      case 6:
      case 7:
        return read(transaction, input, choice == 4, recording);
      default:
        return change(transaction, input, record, recording);
    }
  }

  bool read(Transaction* transaction, Input* input, bool for_update, Recording* recording) {
    ReadOptions options;
    options.keyspace = read_keyspace(input);
    const std::string key = read_key(input);
    Result<std::optional<PinnedValue>> got =
        for_update ? transaction->get_for_update(key, options) : transaction->get(key, options);
    if (!allow(got.status())) return false;
    recording->read(options.keyspace, key, *got, for_update);
    return true;
  }

  bool read_several(Transaction* transaction, Input* input, Recording* recording) {
    ReadOptions options;
    options.keyspace = read_keyspace(input);
    const std::string names[] = {read_key(input), read_key(input)};
    const std::string_view keys[] = {names[0], names[1]};
    std::optional<PinnedValue> values[2];
    if (!allow(transaction->multi_get(keys, values, options))) return false;
    for (size_t i = 0; i < 2; ++i) recording->read(options.keyspace, names[i], values[i], false);
    return true;
  }

  bool change(Transaction* transaction, Input* input, TransactionRecord* record,
              Recording* recording) {
    WriteOptions options;
    options.keyspace = read_keyspace(input);
    const std::string key = read_key(input);
    const uint32_t choice = input->below(8);
    if (choice == 0) {
      if (!allow(transaction->erase(key, options))) return false;
      recording->write(options.keyspace, key, std::nullopt);
      return true;
    }
    std::string value = next_value(*record);
    if (choice == 1) value.resize(kLongValue, 'l');
    if (!allow(transaction->put(key, value, options))) return false;
    recording->write(options.keyspace, key, std::move(value));
    return true;
  }

  bool scan(Transaction* transaction, Input* input, TransactionRecord* record,
            Recording* recording) {
    const uint8_t shape = input->u8();
    const std::string lower = (shape & 1) != 0 ? read_key(input) : "";
    const std::string upper = (shape & 2) != 0 ? read_key(input) : "";
    ScanOptions options;
    options.keyspace = read_keyspace(input);
    options.lower = lower;
    options.upper = upper;
    options.live = (shape & 8) != 0;
    ScanRecord scan;
    scan.lower = lower;
    scan.upper = upper;
    scan.reverse = (shape & 4) != 0;
    const uint32_t limit = shape >> 6;
    if (limit != 0) scan.limit = limit;
    const bool reverse = scan.reverse;
    Result<Cursor> cursor = transaction->scan(options);
    if (!allow(cursor.status())) return false;
    const size_t place = recording->open_scan(options.keyspace, std::move(scan));
    reverse ? cursor->seek_to_last() : cursor->seek_to_first();
    size_t rows = 0;
    while (cursor->valid() && (limit == 0 || rows < limit)) {
      ScannedRow row;
      row.key = cursor->key();
      row.own = cursor->timestamp() == kTimestampMax;
      if (!row.own) row.version = cursor->timestamp();
      row.value = std::string(cursor->value());
      recording->scan(place).rows.push_back(std::move(row));
      if (++rows == limit) break;
      // The cursor shows writes as of its opening; a live one's scan would be no longer one moment.
      if ((shape & 16) != 0 && !options.live && !change(transaction, input, record, recording)) {
        recording->break_off(place);
        return false;
      }
      reverse ? cursor->prev() : cursor->next();
    }
    if (allow(cursor->status())) return true;
    recording->break_off(place);
    return false;
  }

  bool savepoint(Transaction* transaction, Input* input, Recording* recording) {
    const uint32_t choice = input->below(8);
    if (recording->marks() == 0 || choice < 2) {
      const Result<Savepoint> set = transaction->set_savepoint();
      if (!allow(set.status())) return false;
      recording->mark(*set);
      return true;
    }
    const size_t which = input->below(static_cast<uint32_t>(recording->marks()));
    if (choice > 2) {
      if (!allow(transaction->rollback_to(recording->savepoint(which)))) return false;
      recording->rolled_back_to(which);
    } else {
      if (!allow(transaction->release(recording->savepoint(which)))) return false;
      recording->release(which);
    }
    return true;
  }

  // -- batches --
  void batch_put(WriteBatch* batch, Keyspace keyspace, const std::string& key,
                 TransactionRecord* record) {
    const std::string value = next_value(*record);
    if (!allow(batch->put(keyspace, key, value))) return;
    drop_earlier(keyspace, key, record);
    OperationRecord written = OperationRecord::write(key, value);
    written.keyspace = keyspace;
    record->operations.push_back(std::move(written));
  }
  // A batch holds one operation a key, its last.
  static void drop_earlier(Keyspace keyspace, const std::string& key, TransactionRecord* record) {
    std::erase_if(record->operations, [&](const OperationRecord& operation) {
      return operation.keyspace == keyspace && operation.key == key;
    });
  }
  void write(WriteBatch* batch, TransactionRecord record) {
    if (record.operations.empty()) return;
    Timestamp committed;
    const Status status = database_->write(*batch, {}, &committed);
    if (status.ok()) {
      record.commit = committed;
    } else {
      allow(status);
      record.outcome = status.code() == StatusCode::io_error ? RecordedOutcome::unknown
                                                             : RecordedOutcome::aborted;
    }
    finish(std::move(record));
  }

  // Everything, as the last transaction sees it.
  void read_all() {
    TransactionRecord record = begin_record(/*session=*/0);
    Result<Transaction> reader = database_->begin({.read_only = true});
    if (!expect(reader.status())) return;
    record.snapshot = reader->snapshot_timestamp();
    Recording recording(&record);
    for (const Keyspace keyspace : keyspaces_) {
      Result<Cursor> cursor = reader->scan({.keyspace = keyspace});
      if (!expect(cursor.status())) return;
      const size_t place = recording.open_scan(keyspace, {});
      for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
        recording.scan(place).rows.push_back({.key = std::string(cursor->key()),
                                              .version = cursor->timestamp(),
                                              .value = std::string(cursor->value())});
      }
      if (!expect(cursor->status())) return;
    }
    if (!expect(reader->commit().status())) return;
    finish(std::move(record));
  }

  // -- what is read from the input --
  static std::string key_name(uint32_t key) { return "k" + std::to_string(key); }
  std::string read_key(Input* input) { return key_name(input->below(shape_.keys)); }
  Keyspace read_keyspace(Input* input) { return keyspaces_[input->below(4) == 0 ? 1 : 0]; }

  // -- records --
  TransactionRecord begin_record(size_t session) {
    TransactionRecord record;
    // Any session's ids rise, whatever the schedule.
    record.id = session * kIdsOfThread + next_id_[session]++;
    record.session = session;
    record.begin_nanos = now();
    return record;
  }
  static std::string next_value(const TransactionRecord& record) {
    return "t" + std::to_string(record.id) + "." + std::to_string(record.operations.size());
  }
  void finish(TransactionRecord record) {
    record.end_nanos = now();
    recorder_.record(std::move(record));
  }

  // -- judgement --
  // Faults, and having lost, are answers; whatever else is not ok is a complaint.
  bool allow(const Status& status) {
    if (status.code() == StatusCode::conflict) {
      conflicts_.fetch_add(1);
      return false;
    }
    if (disk_.failed() > failed_before_) {
      switch (status.code()) {
        case StatusCode::io_error:
        case StatusCode::no_space:
        case StatusCode::busy:
        case StatusCode::read_only:
          return false;
        default:
          break;
      }
    }
    return expect(status);
  }
  bool expect(const Status& status) {
    if (!status.ok()) complain(status.to_string());
    return status.ok();
  }
  void complain(const std::string& complaint) {
    MutexLock lock(mutex_);
    if (report_.complaint.empty()) report_.complaint = complaint;
  }

  void judge() {
    Result<History> history = recorder_.take();
    if (!expect(history.status())) return;
    for (size_t i = 0; i < history->size(); ++i) {
      const TransactionRecord record = history->transaction(i);
      if (!record.snapshot.has_value()) continue;
      ++(record.isolation == RecordedIsolation::snapshot ? report_.snapshot_transactions
                                                         : report_.serializable_transactions);
    }
    const Verdict verdict = verify_history(*history, {.outdated_reads = true});
    report_.figures = verdict.figures;
    report_.allowed = verdict.allowed_counts;
    report_.conflicts = conflicts_.load();
    for (const Anomaly& violation : verdict.violations) {
      std::string text = std::string(anomaly_name(violation.kind)) + ": " + violation.explanation;
      for (const std::string& edge : violation.cycle) text += "\n  " + edge;
      complain(text);
    }
  }

  Input* const input_;
  Silence silence_;
  FaultyDisk disk_;
  Shape shape_;
  std::unique_ptr<Database> database_;
  Keyspace keyspaces_[2] = {kDefaultKeyspace, kDefaultKeyspace};
  HistoryRecorder recorder_;
  uint64_t failed_before_ = 0;  // file calls, when this life began
  std::atomic<uint64_t> conflicts_{0};
  uint64_t next_id_[kThreadsMax + 1] = {1, 0, 0, 0, 0};
  Mutex mutex_;
  ProgramReport report_;
};

}  // namespace

ScheduledPrograms split_programs(const uint8_t* data, size_t size) {
  Input input(data, size);
  const size_t length = input.u16();
  const size_t begin = size - input.rest().size();
  const size_t programs = input.piece(length).size();
  return {.programs = Input(data + begin, programs),
          .schedule = std::span(data, size).subspan(begin + programs)};
}

ProgramReport run_transaction_programs(Input input, std::optional<PlannedFault> fault) {
  return ProgramRun(&input, fault).run();
}

}  // namespace varve::test
