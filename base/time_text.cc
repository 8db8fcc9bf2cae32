#include "base/time_text.h"

#include <chrono>
#include <cstdint>

#include "base/format.h"

namespace varve {

std::string format_time(Timestamp time) {
  constexpr uint64_t kSecond = 1'000'000'000;
  const std::chrono::sys_seconds seconds{
      std::chrono::seconds(static_cast<int64_t>(time.nanos / kSecond))};
  const auto days = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(seconds - days);
  return format("%04d-%02u-%02uT%02d:%02d:%02d.%09uZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()),
                static_cast<unsigned>(time.nanos % kSecond));
}

std::string format_time_and_nanos(Timestamp time) {
  return format("%s (%llu)", format_time(time).c_str(),
                static_cast<unsigned long long>(time.nanos));
}

}  // namespace varve
