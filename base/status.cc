// Status: names of codes, and copies of failures.

#include "varve/status.h"

#include <iterator>

namespace varve {

std::string_view status_code_name(StatusCode code) {
  switch (code) {
    case StatusCode::ok:
      return "ok";
    case StatusCode::invalid_argument:
      return "invalid_argument";
    case StatusCode::not_found:
      return "not_found";
    case StatusCode::corruption:
      return "corruption";
    case StatusCode::io_error:
      return "io_error";
    case StatusCode::no_space:
      return "no_space";
    case StatusCode::busy:
      return "busy";
    case StatusCode::conflict:
      return "conflict";
    case StatusCode::timed_out:
      return "timed_out";
    case StatusCode::read_only:
      return "read_only";
    case StatusCode::closed:
      return "closed";
    case StatusCode::not_supported:
      return "not_supported";
    case StatusCode::out_of_memory:
      return "out_of_memory";
    case StatusCode::cancelled:
      return "cancelled";
    case StatusCode::already_exists:
      return "already_exists";
  }
  return "unknown";
}

// Never destroyed: some may be looked at while a process ends.
union Status::Wordless {
  Failure failure;
  explicit Wordless(StatusCode code) : failure{code, {}} {}
  ~Wordless() {}
};

const Status::Failure* Status::make(StatusCode code, std::string message) {
  using enum StatusCode;
  static const Wordless kWordless[] = {Wordless(ok),
                                       Wordless(invalid_argument),
                                       Wordless(not_found),
                                       Wordless(corruption),
                                       Wordless(io_error),
                                       Wordless(no_space),
                                       Wordless(busy),
                                       Wordless(conflict),
                                       Wordless(timed_out),
                                       Wordless(read_only),
                                       Wordless(closed),
                                       Wordless(not_supported),
                                       Wordless(out_of_memory),
                                       Wordless(cancelled),
                                       Wordless(already_exists)};
  if (code == ok) return nullptr;
  const size_t number = static_cast<size_t>(code);
  if (message.empty() && number < std::size(kWordless)) return &kWordless[number].failure;
  if (message.empty()) message = status_code_name(code);
  return new Failure{code, std::move(message)};
}

Status::Status(StatusCode code, std::string message) : failure_(make(code, std::move(message))) {}

Status::Status(const Status& other)
    : failure_(other.ok() ? nullptr : make(other.code(), other.failure_->message)) {}

Status& Status::operator=(const Status& other) {
  if (this != &other) *this = Status(other);
  return *this;
}

std::string Status::to_string() const {
  std::string text(status_code_name(code()));
  if (!message().empty()) {
    text += ": ";
    text += message();
  }
  return text;
}

Status Status::with_context(std::string_view context) const {
  if (ok()) return {};
  std::string text(context);
  text += ": ";
  text += message();
  return {code(), std::move(text)};
}

}  // namespace varve
