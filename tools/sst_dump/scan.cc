// scan.

#include <nlohmann/json.hpp>

#include "tools/common/text_escape.h"
#include "tools/sst_dump/commands.h"

namespace varve::sst_dump {

namespace {

class Scan {
 public:
  Scan(Context* context, SstableParts* parts)
      : context_(*context), parts_(*parts), left_(context->options().read_num) {}

  // The blocks of an index that may hold keys of the range, in order; of the top index, those of
  // each partition.
  void walk(const RowBlock& index, bool is_top) {
    for (uint32_t i = 0; i < index.view.row_count() && !done_; ++i) {
      const Result<IndexEntry> entry = parts_.entry(index, i, is_top);
      if (!entry.ok()) {
        context_.problem(entry.status());
        continue;
      }
      if (options().past_range(entry->first_key)) return;
      // The next block begins at or after what this one ends with.
      if (i + 1 < index.view.row_count() && options().before_range(index.key(i + 1))) continue;
      const Result<RowBlock> block = parts_.rows(entry->handle);
      if (!block.ok()) {
        context_.problem(block.status());
      } else if (is_top) {
        walk(*block, false);
      } else {
        print_rows(*block);
      }
    }
  }

 private:
  const Options& options() const { return context_.options(); }

  void print_rows(const RowBlock& block) {
    for (uint32_t i = 0; i < block.view.row_count(); ++i) {
      const std::string key = block.key(i);
      if (!options().in_range(key)) continue;
      if (left_ == 0 || context_.out().stopped()) {
        done_ = true;
        return;
      }
      --left_;
      options().json ? print_json(key, block, i) : print_text(key, block, i);
    }
  }

  void print_text(const std::string& key, const RowBlock& block, uint32_t i) {
    const VersionKind kind = block.view.kind(i);
    std::string line = bytes_text(options(), key);
    line.append(" @ ").append(std::to_string(block.view.timestamp(i).nanos));
    line.append(" : ").append(kind_name(kind));
    if (kind != VersionKind::tombstone) {
      line.append(" => ").append(bytes_text(options(), block.view.row(i).value));
    }
    context_.out().line(line);
  }

  void print_json(const std::string& key, const RowBlock& block, uint32_t i) {
    nlohmann::ordered_json object;
    const VersionKind kind = block.view.kind(i);
    tools::set_bytes(&object, "key", key, options().output_hex);
    set_timestamp(&object, block.view.timestamp(i));
    object["kind"] = kind_name(kind);
    if (kind != VersionKind::tombstone) {
      tools::set_bytes(&object, "value", block.view.row(i).value, options().output_hex);
    }
    context_.out().json(object);
  }

  Context& context_;
  SstableParts& parts_;
  uint64_t left_;
  bool done_ = false;
};

}  // namespace

void scan_sstable(Context* context, SstableParts* parts) {
  const Result<RowBlock> top = parts->top_index();
  if (!top.ok()) return context->problem(top.status());
  Scan(context, parts).walk(*top, /*is_top=*/true);
}

}  // namespace varve::sst_dump
