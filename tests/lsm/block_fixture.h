// A block built and parsed for a test.

#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "lsm/block_builder.h"
#include "lsm/block_reader.h"
#include "memory/memory_manager.h"
#include "tests/lsm/version_rows.h"

namespace varve::test {

// The payload of a block of `rows`.
inline std::string block_payload(const std::vector<VersionRow>& rows) {
  MemoryManager manager(0);
  BlockBuilder builder(&manager, MemoryRole::sstable_builder);
  for (const VersionRow& row : rows) {
    EXPECT_TRUE(builder.add(row.key, row.timestamp, row.kind, row.value));
  }
  Buffer payload(&manager, MemoryRole::sstable_builder);
  EXPECT_TRUE(builder.finish(&payload));
  return std::string(payload.view());
}

// A view on a copy of `payload` that ends where its memory ends, so that AddressSanitizer sees
// every step beyond it.
class ParsedBlock {
 public:
  ParsedBlock(std::string_view payload, uint32_t row_count, bool with_tags = true)
      : payload_(new char[payload.size()]),
        columns_(BlockView::columns_size(row_count, payload.size(), with_tags) / sizeof(uint64_t)),
        view_(parse(payload, row_count, with_tags)) {}

  explicit ParsedBlock(const std::vector<VersionRow>& rows)
      : ParsedBlock(block_payload(rows), static_cast<uint32_t>(rows.size())) {}

  const Status& status() const { return view_.status(); }
  bool ok() const { return view_.ok(); }
  const BlockView& view() const { return *view_; }

  VersionRow row(uint32_t i) const {
    const BlockRow at = view_->row(i);
    return {.key = std::string(view_->prefix()) + std::string(at.suffix),
            .timestamp = view_->timestamp(i),
            .kind = view_->kind(i),
            .value = std::string(at.value)};
  }
  std::vector<VersionRow> rows() const {
    std::vector<VersionRow> all;
    for (uint32_t i = 0; i < view_->row_count(); ++i) all.push_back(row(i));
    return all;
  }

 private:
  Result<BlockView> parse(std::string_view payload, uint32_t row_count, bool with_tags) {
    std::memcpy(payload_.get(), payload.data(), payload.size());
    Result<BlockView> view = BlockView::parse({payload_.get(), payload.size()}, row_count,
                                              reinterpret_cast<char*>(columns_.data()), with_tags);
    if (view.ok() && with_tags) view->fill_tags();
    return view;
  }

  std::unique_ptr<char[]> payload_;
  std::vector<uint64_t> columns_;
  Result<BlockView> view_;
};

}  // namespace varve::test
