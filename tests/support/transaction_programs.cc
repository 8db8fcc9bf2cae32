#include "tests/support/transaction_programs.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/thread.h"
#include "tests/support/directory_complaints.h"
#include "tests/support/program_calls.h"
#include "tests/support/program_context.h"
#include "tests/support/program_transaction.h"
#include "tests/support/transaction_recording.h"

namespace varve::test {
namespace {

constexpr int kItemsMax = 12;      // of a thread in a life
constexpr int kLastWritesMax = 6;  // of a thread beside close()

struct Silence final : Logger {
  void write(LogLevel, std::string_view) override {}
};

ProgramFault read_fault(Input* input) {
  static constexpr ProgramFault kFaults[] = {
      ProgramFault::error_once, ProgramFault::error_for_ever,  ProgramFault::no_space_once,
      ProgramFault::power,      ProgramFault::sync_then_power, ProgramFault::torn_write,
      ProgramFault::full_write, ProgramFault::read_error,      ProgramFault::power,
  };
  const uint32_t choice = input->below(24);
  return choice < std::size(kFaults) ? kFaults[choice] : ProgramFault::none;
}

ProgramShape read_shape(Input* input, std::optional<PlannedFault> fault, FileSystem* files,
                        Logger* logger) {
  ProgramShape shape;
  shape.threads = 2 + input->below(kProgramThreadsMax - 1);
  shape.keys = 1 + input->below(6);
  shape.isolation = static_cast<uint8_t>(input->below(4));
  shape.fault.fault = read_fault(input);
  shape.fault.after = input->u8();
  const uint8_t more = input->u8();
  shape.markers = (more & 1) != 0;
  shape.fault_at_open = (more & 6) == 2 && !fault.has_value();
  if (fault.has_value()) shape.fault = *fault;
  shape.unlogged = (more & 24) == 8 && shape.fault.fault == ProgramFault::none;
  if ((more & 96) == 32) shape.options.history_retention = std::chrono::hours(1);
  shape.closes_beside_writers = (more & 128) != 0;
  shape.options.memory_budget = kMemoryBudgetMin;
  shape.options.write_buffer_size = 16 << 10;
  shape.options.compression = Compression::none;
  shape.options.separate_values_from = shape.keys % 2;  // all values, or none
  // What was acknowledged has to survive the loss of power.
  const bool sync = input->flag() || shape.fault.loses_power();
  shape.options.durability = sync ? Durability::sync : Durability::os;
  shape.options.background_threads = 1 + static_cast<int>(input->below(2));
  shape.options.file_system = files;
  shape.options.logger = logger;
  return shape;
}

class ProgramRun {
 public:
  ProgramRun(Input* input, std::optional<PlannedFault> fault)
      : input_(input), context_(read_shape(input, fault, disk_.files(), &silence_), &disk_) {}

  ProgramReport run() {
    const size_t lives = 1 + (input_->u8() & 1);
    for (size_t life = 0; life < lives && context_.complaint().empty(); ++life) {
      const uint8_t pages = input_->u8();
      const uint8_t names = input_->u8();
      cut_ = {.pages = static_cast<PagePolicy>(pages % kPagePolicies),
              .names = static_cast<NamePolicy>(names % kNamePolicies),
              .seed = input_->u8()};
      const bool armed = life != 0 && shape_.fault_at_open;
      if (armed ? !open_armed() : !open()) break;
      if (life == 0) fill();
      if (!armed) {
        context_.begin_life();
        disk_.arm(shape_.fault);
      }
      live(life, lives);
      end_life();
    }
    if (context_.complaint().empty() && open()) {
      read_all();
      context_.expect(database_->verify().status());
      close();
    }
    judge();
    return report();
  }

 private:
  struct Cut {
    PagePolicy pages;
    NamePolicy names;
    uint64_t seed;
  };

  // -- the database --
  // Where this fails, the caller judges.
  Status try_open() {
    VARVE_ASSIGN_OR_RETURN(database_, Database::open(shape_.options, "/db"));
    context_.database = database_.get();
    const std::optional<Durability> unlogged = Durability::none;
    Keyspace scratch;
    const struct {
      const char* name;
      Keyspace* keyspace;
      KeyspaceOptions options;
    } wanted[] = {
        {"other",
         &context_.keyspaces[1],
         {.durability = shape_.unlogged ? unlogged : std::nullopt}},
        {"markers", &context_.markers, {}},
        {"scratch", &scratch, {}},
    };
    for (const auto& each : wanted) {
      Result<Keyspace> keyspace = database_->find_keyspace(each.name);
      if (!keyspace.ok()) keyspace = database_->create_keyspace(each.name, each.options);
      VARVE_RETURN_IF_ERROR(keyspace.status());
      *each.keyspace = *keyspace;
    }
    context_.scratch.store(scratch.id);
    return Status();
  }

  bool open() {
    context_.begin_life();
    return context_.expect(try_open());
  }

  // With the life's fault: if it keeps the database from opening, that is done again without.
  bool open_armed() {
    context_.begin_life();
    disk_.arm({.fault = shape_.fault.fault, .after = shape_.fault.after % 64});
    const Status status = try_open();
    if (context_.allow(status)) return true;
    ++failed_opens_;
    end_life();
    return context_.complaint().empty() && open();
  }

  void end_life() {
    if (shape_.fault.fault == ProgramFault::none) return close();
    abandon();
    if (!shape_.fault.loses_power()) return;
    disk_.cut_power(cut_.pages, cut_.names, cut_.seed);
    shape_.options.file_system = disk_.files();
    ++crashes_;
  }

  // Unless a thread of this life has done it.
  Status close_database() {
    return closed_.has_value() ? *std::exchange(closed_, std::nullopt) : database_->close();
  }

  void close() {
    if (!context_.expect(close_database())) return;
    const MemoryReport memory = database_->memory_report();
    for (size_t i = 0; i < kMemoryRoleCount; ++i) {
      if (memory.roles[i].live_bytes == 0) continue;
      context_.complain("closed, and memory is live: " +
                        std::string(memory_role_name(static_cast<MemoryRole>(i))));
    }
    database_.reset();
    for (const std::string& complaint : directory_complaints(shape_.options.file_system, "/db")) {
      context_.complain(complaint);
    }
  }

  // After faults a close may fail.
  void abandon() {
    if (database_ != nullptr) {
      const Status status = close_database();
      if (!context_.met_fault()) context_.expect(status);
      database_.reset();
    }
    disk_.disarm();
  }

  // What is there before the first transaction.
  void fill() {
    for (uint32_t key = 0; key < shape_.keys; key += 2) {
      RecordedBatch batch(&context_, /*session=*/0);
      for (const Keyspace keyspace : context_.keyspaces) {
        batch.put(keyspace, ProgramContext::key_name(key));
      }
      batch.write({});
    }
  }

  // -- threads --
  void live(size_t life, size_t lives) {
    const size_t shares = shape_.threads + (shape_.closes_beside_writers ? 1 : 0);
    const size_t share = input_->rest().size() / (lives - life) / shares;
    start_threads(share, [this](size_t session, Input input) { run_thread(session, input); });
    if (!shape_.closes_beside_writers) return;
    context_.closing.store(true);
    Thread closer;
    start_threads(
        share / shape_.threads,
        [this](size_t session, Input input) { write_while_it_is_open(session, input); }, &closer);
  }

  // Each with so many bytes; returns when all have ended. `closer`, if any, closes beside them.
  template <typename Run>
  void start_threads(size_t share, const Run& run, Thread* closer = nullptr) {
    std::vector<Thread> threads;
    for (size_t i = 1; i <= shape_.threads; ++i) {
      const std::string_view bytes = input_->piece(share);
      threads.emplace_back("program", 0, [&run, i, bytes] {
        run(i, Input(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
      });
    }
    if (closer != nullptr) {
      *closer = Thread("closer", 0, [this] { closed_ = database_->close(); });
    }
  }

  void write_while_it_is_open(size_t session, Input input) {
    for (int i = 0; i < kLastWritesMax && !input.empty(); ++i) {
      context_.cancellations[session].clear();
      if (input.flag()) {
        run_batch(&context_, session, &input);
      } else {
        run_stream(&context_, session, &input);
      }
    }
  }

  void run_thread(size_t session, Input input) {
    for (int i = 0; i < kItemsMax && !input.empty(); ++i) {
      context_.cancellations[session].clear();
      switch (input.below(32)) {
        case 0:
          context_.allow(database_->flush());
          break;
        case 1:
          context_.allow(database_->compact());
          break;
        case 2:
        case 3:
          run_batch(&context_, session, &input);
          break;
        case 4:
        case 5:
          run_stream(&context_, session, &input);
          break;
        case 6:
        case 7:
          run_single_write(&context_, session, &input);
          break;
        case 8:
        case 9:
          run_reads(&context_, session, &input);
          break;
        case 10:
        case 16:
        case 17:
          run_scratch(&context_, &input);
          break;
        case 11:
          context_.cancellations[1 + input.below(static_cast<uint32_t>(shape_.threads))].cancel();
          break;
        case 12:
        case 13:
        case 14:
        case 15:
          run_transact(&context_, session, &input);
          break;
        default:
          run_transaction(&context_, session, &input);
      }
    }
  }

  // -- judgement --
  // Everything, as the last transaction sees it.
  void read_all() {
    TransactionRecord record = context_.begin_record(/*session=*/0);
    Result<Transaction> reader = database_->begin({.read_only = true});
    if (!context_.expect(reader.status())) return;
    record.snapshot = reader->snapshot_timestamp();
    for (const Keyspace keyspace :
         {context_.keyspaces[0], context_.keyspaces[1], context_.markers}) {
      Result<Cursor> cursor = reader->scan({.keyspace = keyspace});
      if (!context_.expect(cursor.status())) return;
      ScanRecord scan;
      for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
        scan.rows.push_back(row_of(*cursor));
      }
      if (!context_.expect(cursor->status())) return;
      if (keyspace == context_.markers) {
        markers_.emplace();
        for (const ScannedRow& row : scan.rows) markers_->emplace(row.key, row.version);
      }
      record.operations.push_back(scan_of(keyspace, std::move(scan)));
    }
    if (!context_.expect(reader->commit().status())) return;
    context_.finish(std::move(record));
  }

  // The outcome, where it was unknown and a marker tells it.
  void resolve(TransactionRecord* record) {
    if (record->outcome != RecordedOutcome::unknown || !markers_.has_value()) return;
    const std::string marker = ProgramContext::marker_of(*record);
    const bool marked = std::any_of(
        record->operations.begin(), record->operations.end(), [&](const OperationRecord& written) {
          return written.keyspace == context_.markers && written.key == marker;
        });
    if (!marked) return;
    const auto found = markers_->find(marker);
    if (found == markers_->end()) {
      record->outcome = RecordedOutcome::aborted;
    } else if (found->second == kTimestampMin) {
      return;  // it is there, but when it came has been forgotten
    } else {
      record->outcome = RecordedOutcome::committed;
      record->commit = found->second;
      // It was not acknowledged: nobody had to see it before the database was opened again.
      record->begin_nanos = record->end_nanos = 0;
    }
    ++resolved_;
  }

  void judge() {
    Result<History> told = context_.recorder.take();
    if (!context_.expect(told.status())) return;
    // Before outcomes are resolved: others may have lost against what is not there any more.
    for (const std::string& complaint : context_.conflicts.unexplained(*told)) {
      context_.complain(complaint);
    }
    std::vector<TransactionRecord> records;
    for (size_t i = 0; i < told->size(); ++i) {
      records.push_back(told->transaction(i));
      resolve(&records.back());
    }
    History history;
    for (const TransactionRecord& record : records) {
      context_.expect(history.add(record));
      if (!record.snapshot.has_value()) continue;
      ++(record.isolation == RecordedIsolation::snapshot ? report_.snapshot_transactions
                                                         : report_.serializable_transactions);
    }
    const Verdict verdict = verify_history(history, {.outdated_reads = true});
    report_.figures = verdict.figures;
    report_.allowed = verdict.allowed_counts;
    for (const Anomaly& violation : verdict.violations) {
      std::string text = std::string(anomaly_name(violation.kind)) + ": " + violation.explanation;
      for (const std::string& edge : violation.cycle) text += "\n  " + edge;
      context_.complain(text);
    }
  }

  ProgramReport report() {
    const ProgramContext::Counts& counts = context_.counts;
    report_.complaint = context_.complaint();
    report_.conflicts = context_.conflicts.count();
    report_.retries = counts.retries.load();
    report_.groups = counts.groups.load();
    report_.cursors = counts.cursors.load();
    report_.direct = counts.direct.load();
    report_.past = counts.past.load();
    report_.cancelled = counts.cancelled.load();
    report_.timed_out = counts.timed_out.load();
    report_.gone = counts.gone.load();
    report_.closed = counts.closed.load();
    report_.resolved = resolved_;
    report_.failed_opens = failed_opens_;
    report_.faults = disk_.failed();
    report_.crashes = crashes_;
    return std::move(report_);
  }

  Input* const input_;
  Silence silence_;
  FaultyDisk disk_;
  ProgramContext context_;
  ProgramShape& shape_ = context_.shape;
  std::unique_ptr<Database> database_;
  std::optional<Status> closed_;  // by a thread of this life
  Cut cut_{};
  uint64_t failed_opens_ = 0;
  uint64_t crashes_ = 0;
  uint64_t resolved_ = 0;
  // What is there in the end.
  std::optional<std::map<std::string, Timestamp>> markers_;
  ProgramReport report_;
};

}  // namespace

uint64_t program_nanos_per_step(uint8_t choice) {
  static constexpr uint64_t kNanos[] = {50, 50, 50, 1, 10, 100, 150, 200};
  return kNanos[choice % std::size(kNanos)];
}

ScheduledPrograms split_programs(const uint8_t* data, size_t size) {
  Input input(data, size);
  const size_t length = input.u16();
  const uint8_t pace = input.u8();
  const size_t begin = size - input.rest().size();
  const size_t programs = input.piece(length).size();
  return {.programs = Input(data + begin, programs),
          .nanos_per_step = program_nanos_per_step(pace),
          .schedule = std::span(data, size).subspan(begin + programs)};
}

ProgramReport run_transaction_programs(Input input, std::optional<PlannedFault> fault) {
  return ProgramRun(&input, fault).run();
}

}  // namespace varve::test
