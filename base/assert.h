// Checks of the engine's own state. Bytes read from disk or handed in by callers never reach one:
// they are answered with a Status.
//
// VARVE_ASSERT: always on, O(1); guards what is about to reach disk.
// VARVE_DCHECK: debug and sanitizer builds only.

#pragma once

namespace varve {

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace varve

#define VARVE_ASSERT(expression)                      \
  (__builtin_expect(static_cast<bool>(expression), 1) \
       ? static_cast<void>(0)                         \
       : ::varve::assertion_failed(#expression, __FILE__, __LINE__))

#if defined(VARVE_DEBUG)
#define VARVE_DCHECK(expression) VARVE_ASSERT(expression)
#else
#define VARVE_DCHECK(expression) static_cast<void>(sizeof(expression))
#endif

// Returns the status of `expression` from the enclosing function unless it is ok.
#define VARVE_RETURN_IF_ERROR(expression)          \
  do {                                             \
    ::varve::Status varve_status_ = (expression);  \
    if (!varve_status_.ok()) return varve_status_; \
  } while (false)

#define VARVE_CONCAT_INNER(a, b) a##b
#define VARVE_CONCAT(a, b) VARVE_CONCAT_INNER(a, b)

// VARVE_ASSIGN_OR_RETURN(auto x, f()): x = the value of the Result, or return its status.
#define VARVE_ASSIGN_OR_RETURN(declaration, expression) \
  VARVE_ASSIGN_OR_RETURN_INNER(VARVE_CONCAT(varve_result_, __LINE__), declaration, expression)
#define VARVE_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                         \
  if (!result.ok()) return std::move(result).status();                \
  declaration = std::move(result).value()
