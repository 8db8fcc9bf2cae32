// The handle that users hold, before txn/transaction_impl.cc.

#include "varve/transaction.h"

#include <utility>

#include "txn/database_impl.h"

namespace varve {

Transaction::Transaction(Transaction&& other) noexcept
    : impl_(std::exchange(other.impl_, nullptr)) {}

Transaction& Transaction::operator=(Transaction&& other) noexcept {
  if (this != &other) {
    let_go();
    impl_ = std::exchange(other.impl_, nullptr);
  }
  return *this;
}

Transaction::~Transaction() { let_go(); }

void Transaction::let_go() {
  if (impl_ != nullptr) std::exchange(impl_, nullptr)->release();
}

Result<bool> Transaction::get(std::string_view key, std::string* value,
                              const ReadOptions& options) {
  if (impl_ == nullptr) return TransactionImpl::ended();
  return impl_->get(key, value, options, /*for_update=*/false);
}

Result<std::optional<PinnedValue>> Transaction::get(std::string_view key,
                                                    const ReadOptions& options) {
  if (impl_ == nullptr) return TransactionImpl::ended();
  return impl_->get(key, options, /*for_update=*/false);
}

Result<bool> Transaction::get_for_update(std::string_view key, std::string* value,
                                         const ReadOptions& options) {
  if (impl_ == nullptr) return TransactionImpl::ended();
  return impl_->get(key, value, options, /*for_update=*/true);
}

Result<std::optional<PinnedValue>> Transaction::get_for_update(std::string_view key,
                                                               const ReadOptions& options) {
  if (impl_ == nullptr) return TransactionImpl::ended();
  return impl_->get(key, options, /*for_update=*/true);
}

Status Transaction::multi_get(std::span<const std::string_view> keys,
                              std::span<std::optional<PinnedValue>> values,
                              const ReadOptions& options) {
  if (impl_ == nullptr) return TransactionImpl::ended();
  return impl_->multi_get(keys, values, options, /*for_update=*/false);
}

Status Transaction::multi_get_for_update(std::span<const std::string_view> keys,
                                         std::span<std::optional<PinnedValue>> values,
                                         const ReadOptions& options) {
  if (impl_ == nullptr) return TransactionImpl::ended();
  return impl_->multi_get(keys, values, options, /*for_update=*/true);
}

Status Transaction::visit(std::span<const std::string_view> keys, const ReadOptions& options,
                          ValueVisitor* visitor) {
  return impl_ == nullptr ? TransactionImpl::ended() : impl_->visit(keys, options, visitor);
}

Result<Cursor> Transaction::scan(const ScanOptions& options) {
  if (impl_ == nullptr) return TransactionImpl::ended();
  return impl_->scan(options);
}

Status Transaction::put(std::string_view key, std::string_view value, const WriteOptions& options) {
  return impl_ == nullptr ? TransactionImpl::ended()
                          : impl_->write(VersionKind::value, key, value, options);
}

Status Transaction::erase(std::string_view key, const WriteOptions& options) {
  return impl_ == nullptr ? TransactionImpl::ended()
                          : impl_->write(VersionKind::tombstone, key, {}, options);
}

Result<Savepoint> Transaction::set_savepoint() {
  if (impl_ == nullptr) return TransactionImpl::ended();
  return impl_->set_savepoint();
}

uint64_t Transaction::changes() const { return impl_ == nullptr ? UINT64_MAX : impl_->changes(); }
bool Transaction::reads_as_snapshot() const {
  return impl_ != nullptr && impl_->reads_as_snapshot();
}
bool Transaction::is_read_only() const { return impl_ != nullptr && impl_->is_read_only(); }

Status Transaction::rollback_to(Savepoint savepoint) {
  return impl_ == nullptr ? TransactionImpl::ended() : impl_->rollback_to(savepoint);
}

Status Transaction::release(Savepoint savepoint) {
  return impl_ == nullptr ? TransactionImpl::ended() : impl_->release_savepoint(savepoint);
}

Result<Timestamp> Transaction::commit() {
  if (impl_ == nullptr) return TransactionImpl::ended();
  Result<Timestamp> committed = impl_->commit(/*begins_again=*/false);
  if (committed.ok()) let_go();
  return committed;
}

Result<Timestamp> Transaction::commit_or_begin_again() {
  if (impl_ == nullptr) return TransactionImpl::ended();
  return impl_->commit(/*begins_again=*/true);
}

Status Transaction::rollback() {
  if (impl_ == nullptr) return TransactionImpl::ended();
  let_go();
  return Status();
}

Timestamp Transaction::snapshot_timestamp() const {
  return impl_ == nullptr ? kTimestampMin : impl_->start();
}

}  // namespace varve
