// The public face of histories: records, History, HistoryRecorder.

#include "varve/history.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "base/mutex.h"
#include "txn/compact_history.h"

namespace varve {

namespace {

// More locks than threads that hand in at one moment, usually.
constexpr size_t kShards = 16;

OperationRecord operation(OperationRecord::Kind kind, std::string key,
                          std::optional<std::string> value) {
  OperationRecord made;
  made.kind = kind;
  made.key = std::move(key);
  made.value = std::move(value);
  return made;
}

}  // namespace

OperationRecord OperationRecord::read(std::string key, Timestamp version,
                                      std::optional<std::string> value) {
  OperationRecord made = operation(Kind::read, std::move(key), std::move(value));
  made.found = true;
  made.version = version;
  return made;
}

OperationRecord OperationRecord::read_absent(std::string key) {
  return operation(Kind::read, std::move(key), std::nullopt);
}

OperationRecord OperationRecord::read_own(std::string key, std::optional<std::string> value) {
  OperationRecord made = operation(Kind::read, std::move(key), std::move(value));
  made.found = made.value.has_value();
  made.own = true;
  return made;
}

OperationRecord OperationRecord::write(std::string key, std::string value) {
  return operation(Kind::write, std::move(key), std::move(value));
}

OperationRecord OperationRecord::erase(std::string key) {
  return operation(Kind::erase, std::move(key), std::nullopt);
}

OperationRecord OperationRecord::scanned(ScanRecord scan) {
  OperationRecord made = operation(Kind::scan, {}, std::nullopt);
  made.scan = std::move(scan);
  return made;
}

History::History() : compact_(std::make_unique<CompactHistory>()) {}
History::History(History&& other) noexcept = default;
History& History::operator=(History&& other) noexcept = default;
History::~History() = default;

Status History::add(const TransactionRecord& transaction) { return compact_->add(transaction); }
size_t History::size() const { return compact_->transactions().size(); }
TransactionRecord History::transaction(size_t position) const { return compact_->record(position); }

const CompactHistory& compact_history(const History& history) { return *history.compact_; }

struct HistoryRecorder::Shard {
  Mutex mutex;
  std::vector<TransactionRecord> records VARVE_GUARDED_BY(mutex);
};

HistoryRecorder::HistoryRecorder() : shards_(new Shard[kShards]) {}
HistoryRecorder::~HistoryRecorder() = default;

void HistoryRecorder::record(TransactionRecord transaction) {
  Shard& shard = shards_[transaction.session % kShards];
  MutexLock lock(shard.mutex);
  shard.records.push_back(std::move(transaction));
}

Result<History> HistoryRecorder::take() {
  std::vector<TransactionRecord> all;
  for (size_t i = 0; i < kShards; ++i) {
    MutexLock lock(shards_[i].mutex);
    std::vector<TransactionRecord>& records = shards_[i].records;
    all.insert(all.end(), std::make_move_iterator(records.begin()),
               std::make_move_iterator(records.end()));
    records.clear();
  }
  std::sort(all.begin(), all.end(),
            [](const TransactionRecord& a, const TransactionRecord& b) { return a.id < b.id; });
  History history;
  for (TransactionRecord& record : all) {
    VARVE_RETURN_IF_ERROR(history.add(record));
    record = TransactionRecord();  // its memory is the history's now
  }
  return history;
}

}  // namespace varve
