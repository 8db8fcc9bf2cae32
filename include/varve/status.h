// Outcome of an operation: `Status`, and `Result<T>` for one that also yields a value.
//
// Thread rule: values; one object must not be written by one thread while another uses it.
// Cost: an ok status is one null pointer; only failures that have a message allocate, for it.
// Absence of a key is not an error: look-ups return `Result<std::optional<T>>` or `Result<bool>`.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace varve {

// What went wrong, by what the caller can do about it. Numbers are part of the interface: they are
// never reused, and new codes are only added at the end.
enum class StatusCode : uint8_t {
  ok = 0,
  invalid_argument = 1,  // the call cannot be carried out as given; nothing was changed
  not_found = 2,         // a named object (keyspace, file, directory) does not exist
  corruption = 3,  // bytes on disk are not what was written; message: file, offset, both values
  io_error = 4,    // the operating system refused or failed; message: file, call, errno
  no_space = 5,    // the disk is full; writes resume by themselves when there is room
  busy = 6,      // now; try again later: another owner holds it, all file descriptors are taken, or
                 // background work that a write waits for meets a fault
  conflict = 7,  // a transaction lost against another one; retry it
  timed_out = 8,        // the deadline passed before the work was begun; nothing was changed
  read_only = 9,        // opened read-only, or made so by a failed sync: reopen to go on
  closed = 10,          // the database was closed
  not_supported = 11,   // written by a newer version, or not available in this build
  out_of_memory = 12,   // the memory budget does not allow it
  cancelled = 13,       // stopped at the caller's request
  already_exists = 14,  // a named object exists already
};

// Stable lower-case name of a code, such as "corruption".
std::string_view status_code_name(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(StatusCode code, std::string message);
  Status(const Status& other);
  Status& operator=(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;
  ~Status() = default;

  static Status invalid_argument(std::string m) {
    return {StatusCode::invalid_argument, std::move(m)};
  }
  static Status not_found(std::string m) { return {StatusCode::not_found, std::move(m)}; }
  static Status corruption(std::string m) { return {StatusCode::corruption, std::move(m)}; }
  static Status io_error(std::string m) { return {StatusCode::io_error, std::move(m)}; }
  static Status no_space(std::string m) { return {StatusCode::no_space, std::move(m)}; }
  static Status busy(std::string m) { return {StatusCode::busy, std::move(m)}; }
  static Status timed_out(std::string m) { return {StatusCode::timed_out, std::move(m)}; }
  static Status read_only(std::string m) { return {StatusCode::read_only, std::move(m)}; }
  static Status closed(std::string m) { return {StatusCode::closed, std::move(m)}; }
  static Status not_supported(std::string m) { return {StatusCode::not_supported, std::move(m)}; }
  static Status out_of_memory(std::string m) { return {StatusCode::out_of_memory, std::move(m)}; }
  static Status cancelled(std::string m) { return {StatusCode::cancelled, std::move(m)}; }
  static Status already_exists(std::string m) { return {StatusCode::already_exists, std::move(m)}; }

  bool ok() const { return failure_ == nullptr; }
  StatusCode code() const { return failure_ == nullptr ? StatusCode::ok : failure_->code; }
  // Empty when ok. Valid as long as this object is unchanged.
  std::string_view message() const {
    return failure_ == nullptr ? std::string_view{} : std::string_view{failure_->message};
  }
  // "ok", or "corruption: 000012.sst at 4096: ...".
  std::string to_string() const;
  // The same failure with `context` and ": " before its message; ok stays ok.
  Status with_context(std::string_view context) const;

 private:
  struct Failure {
    StatusCode code;
    std::string message;
  };
  // Those without a message are the same for all.
  struct Release {
    void operator()(const Failure* failure) const {
      if (!failure->message.empty()) delete failure;
    }
  };
  union Wordless;
  static const Failure* make(StatusCode code, std::string message);
  std::unique_ptr<const Failure, Release> failure_;
};

// Either a value or the failure that prevented it. `*result`, `->` and `value()` require ok().
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(Status status) : status_(std::move(status)) {}  // NOLINT: implicit so `return status;`
  Result(T value) : value_(std::move(value)) {}          // NOLINT: implicit so `return value;`

  bool ok() const { return value_.has_value(); }
  const Status& status() const& { return status_; }
  Status status() && { return std::move(status_); }

  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T value() && { return std::move(*value_); }  // by value: a range-for over it is safe
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace varve
