// layout.

#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/format.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/sst_dump/commands.h"

namespace varve::sst_dump {

namespace {

enum class PartKind : uint8_t { header, data, filter, index, top_index, properties, footer };
constexpr size_t kPartKinds = 7;

constexpr std::array<std::string_view, kPartKinds> kPartNames{
    "header", "data", "filter", "index", "top index", "properties", "footer"};

struct Part {
  PartKind kind = PartKind::header;
  uint64_t offset = 0;
  uint64_t size = 0;          // trailer included
  uint64_t payload_size = 0;  // uncompressed; 0 where there is no block
  uint32_t rows = 0;
  std::string place;  // "3.17": block 17 of partition 3
  std::string first_key;
};

Part block_part(PartKind kind, const IndexEntry& entry, std::string place) {
  return {.kind = kind,
          .offset = entry.handle.offset,
          .size = entry.handle.stored_size + kBlockTrailerSize,
          .payload_size = entry.handle.raw_size,
          .rows = entry.handle.rows,
          .place = std::move(place),
          .first_key = entry.first_key};
}

// Every part in the order of the file, as far as the indexes can be read. Data blocks are not read:
// their handles say it all.
void for_each_part(Context* context, SstableParts* parts,
                   const std::function<void(const Part&)>& show) {
  show({.kind = PartKind::header, .size = kSstableHeaderSize, .place = {}, .first_key = {}});
  const Result<RowBlock> top = parts->top_index();
  if (!top.ok()) context->problem(top.status());
  for (uint32_t p = 0; top.ok() && p < top->view.row_count(); ++p) {
    const Result<IndexEntry> partition = parts->entry(*top, p, /*is_partition=*/true);
    if (!partition.ok()) {
      context->problem(partition.status());
      continue;
    }
    const Result<RowBlock> index = parts->rows(partition->handle);
    if (!index.ok()) context->problem(index.status());
    for (uint32_t b = 0; index.ok() && b < index->view.row_count(); ++b) {
      if (context->out().stopped()) return;
      const Result<IndexEntry> block = parts->entry(*index, b, /*is_partition=*/false);
      if (!block.ok()) {
        context->problem(block.status());
      } else {
        show(block_part(PartKind::data, *block, format("%u.%u", p, b)));
      }
    }
    const BlockHandle& handle = partition->handle;
    if (handle.filter_stored_size != 0) {
      show({.kind = PartKind::filter,
            .offset = handle.filter_offset,
            .size = handle.filter_stored_size + kBlockTrailerSize,
            .payload_size = handle.filter_stored_size,
            .place = format("%u", p),
            .first_key = {}});
    }
    show(block_part(PartKind::index, *partition, format("%u", p)));
  }
  const SstableFooter& footer = parts->footer();
  show({.kind = PartKind::top_index,
        .offset = footer.top_index_offset,
        .size = footer.top_index_stored_size + kBlockTrailerSize,
        .payload_size = footer.top_index_raw_size,
        .rows = footer.top_index_rows,
        .place = {},
        .first_key = {}});
  show({.kind = PartKind::properties,
        .offset = footer.properties_offset,
        .size = footer.properties_stored_size + kBlockTrailerSize,
        .payload_size = footer.properties_stored_size,
        .place = {},
        .first_key = {}});
  show({.kind = PartKind::footer,
        .offset = parts->file_size() - kSstableFooterSize,
        .size = kSstableFooterSize,
        .place = {},
        .first_key = {}});
}

struct Sum {
  uint64_t parts = 0;
  uint64_t bytes = 0;
  uint64_t payload_bytes = 0;
};

std::string_view name_of(PartKind kind) { return kPartNames[static_cast<size_t>(kind)]; }

void print_text_part(Context* context, const Part& part) {
  std::string line = format("%12llu %10llu  ", static_cast<unsigned long long>(part.offset),
                            static_cast<unsigned long long>(part.size));
  line += name_of(part.kind);
  if (!part.place.empty()) line += " " + part.place;
  if (part.payload_size != 0 && part.payload_size + kBlockTrailerSize != part.size) {
    line += format("  %llu uncompressed", static_cast<unsigned long long>(part.payload_size));
  }
  if (part.rows != 0) line += format("  %u rows", part.rows);
  if (!part.first_key.empty()) line += "  from " + bytes_text(context->options(), part.first_key);
  context->out().line(line);
}

void print_json_part(Context* context, const SstableParts& parts, const Part& part) {
  nlohmann::ordered_json object = new_object(parts.path(), "part");
  object["part"] = name_of(part.kind);
  object["offset"] = part.offset;
  object["size"] = part.size;
  if (part.payload_size != 0) object["payload_size"] = part.payload_size;
  if (part.rows != 0) object["rows"] = part.rows;
  if (!part.place.empty()) object["place"] = part.place;
  if (!part.first_key.empty()) {
    tools::set_bytes(&object, "first_key", part.first_key, context->options().output_hex);
  }
  context->out().json(object);
}

}  // namespace

void print_layout(Context* context, SstableParts* parts) {
  const bool json = context->options().json;
  if (!json) {
    context->out().line(tools::escape(parts->path()) + ": " +
                        tools::format_count(parts->file_size()) + " bytes");
    context->out().line("      offset       size  part");
  }
  std::array<Sum, kPartKinds> sums{};
  for_each_part(context, parts, [&](const Part& part) {
    Sum& sum = sums[static_cast<size_t>(part.kind)];
    ++sum.parts;
    sum.bytes += part.size;
    sum.payload_bytes += part.payload_size;
    json ? print_json_part(context, *parts, part) : print_text_part(context, part);
  });
  tools::TextTable table;
  table.row({"part", "count", "bytes", "uncompressed", "share"});
  for (size_t i = 0; i < kPartKinds; ++i) {
    if (sums[i].parts == 0) continue;
    const double share =
        100.0 * static_cast<double>(sums[i].bytes) / static_cast<double>(parts->file_size());
    if (json) {
      nlohmann::ordered_json object = new_object(parts->path(), "sum");
      object["part"] = kPartNames[i];
      object["count"] = sums[i].parts;
      object["bytes"] = sums[i].bytes;
      object["payload_bytes"] = sums[i].payload_bytes;
      context->out().json(object);
    } else {
      table.row({std::string(kPartNames[i]), tools::format_count(sums[i].parts),
                 tools::format_count(sums[i].bytes),
                 sums[i].payload_bytes == 0 ? "-" : tools::format_count(sums[i].payload_bytes),
                 format("%.1f %%", share)});
    }
  }
  if (!json) context->out().write(table.to_string());
}

}  // namespace varve::sst_dump
