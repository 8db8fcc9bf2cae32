#include "tools/common/progress_bar.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tools/common/quantity_text.h"
#include "tools/common/time_text.h"

namespace varve::tools {

namespace {

constexpr size_t kBarWidth = 20;
constexpr std::chrono::milliseconds kDrawInterval{100};

}  // namespace

ProgressBar::ProgressBar(std::string label, uint64_t bytes_total, bool enabled)
    : label_(std::move(label)), bytes_total_(bytes_total), enabled_(enabled) {}

std::string ProgressBar::render(const std::string& label, uint64_t bytes, uint64_t bytes_total,
                                uint64_t records, std::chrono::nanoseconds elapsed) {
  const double seconds = std::max(std::chrono::duration<double>(elapsed).count(), 1e-9);
  const double rate = static_cast<double>(bytes) / seconds;
  std::string line = label + "  ";
  if (bytes_total > 0) {
    const uint64_t done = std::min(bytes, bytes_total);
    const double share = static_cast<double>(done) / static_cast<double>(bytes_total);
    const auto filled = static_cast<size_t>(share * static_cast<double>(kBarWidth));
    char percent[16];
    std::snprintf(percent, sizeof percent, "%3.0f %%", share * 100);
    line += "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "]  " +
            percent + "  ";
  }
  line += format_count(records) + " records  " + format_size(bytes) + "  " +
          format_size(static_cast<uint64_t>(rate)) + "/s";
  if (bytes_total > bytes && bytes > 0) {
    // At most a year: a rate near nothing must not overflow.
    const double left = std::min(static_cast<double>(bytes_total - bytes) / rate, 3.2e7);
    line += "  left " + format_duration(std::chrono::nanoseconds(static_cast<int64_t>(left * 1e9)));
  }
  return line;
}

void ProgressBar::update(uint64_t bytes, uint64_t records) {
  if (!enabled_) return;
  const Clock::time_point now = Clock::now();
  if (now < next_draw_) return;
  next_draw_ = now + kDrawInterval;
  // To the start of the line, the text, and whatever an earlier, longer one left behind.
  std::fprintf(stderr, "\r%s\033[K",
               render(label_, bytes, bytes_total_, records, now - start_).c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::finish() {
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace varve::tools
