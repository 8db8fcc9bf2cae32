#include "tests/support/program_context.h"

namespace varve::test {

std::optional<Durability> ProgramContext::read_durability(Input* input) const {
  const uint32_t choice = input->below(8);
  if (shape.fault.loses_power() || choice < 4) return std::nullopt;
  if (choice == 4) return Durability::sync;
  // Behind an error nothing is synced by closing.
  const bool kept = shape.fault.fault != ProgramFault::none || choice < 7;
  return kept ? Durability::os : Durability::buffered;
}

std::optional<std::chrono::nanoseconds> ProgramContext::read_timeout(Input* input) {
  const uint32_t choice = input->below(16);
  if (choice < 12) return std::nullopt;
  return choice == 12 ? std::chrono::nanoseconds(0) : std::chrono::microseconds(1 << (choice - 8));
}

TransactionRecord ProgramContext::begin_record(size_t session) {
  TransactionRecord record;
  // Any session's ids rise, whatever the schedule.
  record.id = session * kIdsOfSession + next_id_[session]++;
  record.session = session;
  record.begin_nanos = now();
  return record;
}

bool ProgramContext::allow(const Status& status, const MayAnswer& may) {
  if (status.ok()) return true;
  switch (status.code()) {
    case StatusCode::io_error:
    case StatusCode::no_space:
    case StatusCode::busy:
    case StatusCode::read_only:
      if (met_fault()) return false;
      break;
    case StatusCode::closed:
      if (!closing.load()) break;
      counts.closed.fetch_add(1);
      return false;
    case StatusCode::timed_out:
      if (!may.timed_out) break;
      counts.timed_out.fetch_add(1);
      return false;
    case StatusCode::not_found:
      if (!may.not_found) break;
      counts.gone.fetch_add(1);
      return false;
    case StatusCode::invalid_argument:
      if (may.invalid_argument) return false;
      break;
    case StatusCode::cancelled:
      // Only its own thread takes a cancellation back.
      if (may.cancellation == nullptr || !may.cancellation->is_cancelled()) break;
      counts.cancelled.fetch_add(1);
      return false;
    default:
      break;
  }
  return expect(status);
}

}  // namespace varve::test
