// scan.

#include <nlohmann/json.hpp>

#include "tools/sst_dump/commands.h"
#include "tools/sst_dump/row_text.h"

namespace varve::sst_dump {

namespace {

class Scan {
 public:
  Scan(Context* context, SstableParts* parts)
      : context_(*context),
        parts_(*parts),
        version_(context->options(), context->tables_of(parts)),
        left_(context->options().read_num) {}

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
      RowContent row = block.content(i);
      std::string large;
      // Then it is shown where it should be.
      if (Status status = parts_.resolve(&row, &large); !status.ok()) context_.problem(status);
      if (!options().json) {
        context_.out().line(version_.line(key, row));
        continue;
      }
      nlohmann::ordered_json object;
      version_.set(&object, key, row);
      context_.out().json(object);
    }
  }

  Context& context_;
  SstableParts& parts_;
  VersionText version_;
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
