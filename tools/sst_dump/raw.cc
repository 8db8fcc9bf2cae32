// raw.

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

#include "base/coding.h"
#include "base/format.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/sst_dump/commands.h"
#include "tools/sst_dump/row_text.h"

namespace varve::sst_dump {

namespace {

unsigned long long number(uint64_t value) { return value; }

// The fixed fields of a block's payload, of which BlockView shows only the consequences.
struct BlockHeader {
  uint16_t prefix_size;
  uint8_t timestamp_width;
  uint8_t kind;
  uint64_t timestamp_base;
  size_t rows_offset;  // in the payload
};

BlockHeader header_of(const RowBlock& block) {
  const char* payload = block.payload.data();
  BlockHeader header{.prefix_size = load_le<uint16_t>(payload + 4),
                     .timestamp_width = load_le<uint8_t>(payload + 6),
                     .kind = load_le<uint8_t>(payload + 7),
                     .timestamp_base = load_le<uint64_t>(payload + 8),
                     .rows_offset = 0};
  header.rows_offset =
      kBlockHeaderSize + header.prefix_size +
      size_t{block.view.row_count()} * (header.timestamp_width + (header.kind == 0 ? 1u : 0u));
  return header;
}

class Printer {
 public:
  Printer(Context* context, SstableParts* parts)
      : context_(*context),
        parts_(*parts),
        version_(context->options(), context->tables_of(parts)),
        left_(context->options().read_num) {}

  void print() {
    print_ends();
    const Result<RowBlock> top = parts_.top_index();
    if (!top.ok()) return context_.problem(top.status());
    print_block("top_index", "top index", {}, *top, /*is_top=*/true);
    for (uint32_t p = 0; p < top->view.row_count() && !done(); ++p) print_partition(*top, p);
  }

 private:
  const Options& options() const { return context_.options(); }
  bool json() const { return context_.options().json; }
  bool done() const { return left_ == 0 || context_.out().stopped(); }

  void print_ends() {
    const SstableFooter& footer = parts_.footer();
    if (json()) {
      nlohmann::ordered_json object = new_object(parts_.path(), "header");
      object["offset"] = 0;
      object["format_version"] = kSstableVersion;
      object["file_id"] = id_text(parts_.id());
      context_.out().json(object);
      object = new_object(parts_.path(), "footer");
      object["offset"] = parts_.file_size() - kSstableFooterSize;
      object["top_index_offset"] = footer.top_index_offset;
      object["top_index_stored_size"] = footer.top_index_stored_size;
      object["top_index_raw_size"] = footer.top_index_raw_size;
      object["top_index_rows"] = footer.top_index_rows;
      object["properties_offset"] = footer.properties_offset;
      object["properties_stored_size"] = footer.properties_stored_size;
      object["file_size"] = footer.file_size;
      context_.out().json(object);
      return;
    }
    tools::Output& out = context_.out();
    out.line(tools::escape(parts_.path()) + ": " + tools::format_count(parts_.file_size()) +
             " bytes");
    out.line(format("header at 0: format %u, file id %s", kSstableVersion,
                    id_text(parts_.id()).c_str()));
    out.line(
        format("footer at %llu: top index at %llu, %u bytes (%u uncompressed, %u rows); "
               "properties at %llu, %u bytes",
               number(parts_.file_size() - kSstableFooterSize), number(footer.top_index_offset),
               footer.top_index_stored_size, footer.top_index_raw_size, footer.top_index_rows,
               number(footer.properties_offset), footer.properties_stored_size));
  }

  void print_partition(const RowBlock& top, uint32_t p) {
    const Result<IndexEntry> partition = parts_.entry(top, p, /*is_partition=*/true);
    if (!partition.ok()) return context_.problem(partition.status());
    if (options().past_range(partition->first_key)) {
      left_ = 0;
      return;
    }
    if (p + 1 < top.view.row_count() && options().before_range(top.key(p + 1))) return;
    const Result<RowBlock> index = parts_.rows(partition->handle);
    if (!index.ok()) return context_.problem(index.status());
    print_block("index", format("index %u", p), format("%u", p), *index, /*is_top=*/false);
    if (partition->handle.filter_stored_size != 0) print_filter(partition->handle, p);
    for (uint32_t b = 0; b < index->view.row_count() && !done(); ++b) print_data(*index, p, b);
  }

  void print_data(const RowBlock& index, uint32_t p, uint32_t b) {
    const Result<IndexEntry> entry = parts_.entry(index, b, /*is_partition=*/false);
    if (!entry.ok()) return context_.problem(entry.status());
    if (options().past_range(entry->first_key)) {
      left_ = 0;
      return;
    }
    if (b + 1 < index.view.row_count() && options().before_range(index.key(b + 1))) return;
    const Result<RowBlock> block = parts_.rows(entry->handle);
    if (!block.ok()) return context_.problem(block.status());
    const std::string place = format("%u.%u", p, b);
    print_header("data", "data block " + place, place, *block);
    size_t offset = header_of(*block).rows_offset;
    for (uint32_t i = 0; i < block->view.row_count() && !done(); ++i) {
      const BlockRow row = block->view.row(i);
      const std::string key = block->key(i);
      if (options().in_range(key)) {
        print_version(*block, i, key, offset);
        --left_;
      }
      offset = static_cast<size_t>(row.value.data() + row.value.size() - block->payload.data());
    }
  }

  void print_header(const char* type, const std::string& title, const std::string& place,
                    const RowBlock& block) {
    const BlockHeader header = header_of(block);
    if (json()) {
      nlohmann::ordered_json object = new_object(parts_.path(), type);
      if (!place.empty()) object["place"] = place;
      object["offset"] = block.offset;
      object["stored_size"] = block.stored_size;
      object["raw_size"] = block.trailer.raw_size;
      object["codec"] = codec_name(block.trailer.codec);
      object["rows"] = block.view.row_count();
      tools::set_bytes(&object, "prefix", block.view.prefix(), options().output_hex);
      set_time(&object, "timestamp_base", "time_base", {header.timestamp_base});
      object["timestamp_width"] = header.timestamp_width;
      if (header.kind != 0) object["kind"] = kind_name(static_cast<VersionKind>(header.kind));
      return context_.out().json(object);
    }
    std::string line =
        format("%s at %llu: %u bytes, ", title.c_str(), number(block.offset), block.stored_size);
    if (block.trailer.codec != Compression::none) {
      line += format("%s of %u, ", std::string(codec_name(block.trailer.codec)).c_str(),
                     block.trailer.raw_size);
    }
    line += format("%u rows, prefix '%s', timestamps %llu + %u bytes, ", block.view.row_count(),
                   bytes_text(options(), block.view.prefix()).c_str(),
                   number(header.timestamp_base), header.timestamp_width);
    line += header.kind == 0
                ? "kind column"
                : "kind " + std::string(kind_name(static_cast<VersionKind>(header.kind)));
    context_.out().line(line);
  }

  void print_version(const RowBlock& block, uint32_t i, const std::string& key, size_t offset) {
    if (json()) {
      nlohmann::ordered_json object = new_object(parts_.path(), "row");
      object["row"] = i;
      object["payload_offset"] = offset;
      version_.set(&object, key, block.content(i));
      return context_.out().json(object);
    }
    context_.out().line(format("  %6u at %6zu  ", i, offset) +
                        version_.line(key, block.content(i)));
  }

  // An index, with what its handles say.
  void print_block(const char* type, const std::string& title, const std::string& place,
                   const RowBlock& block, bool is_top) {
    print_header(type, title, place, block);
    for (uint32_t i = 0; i < block.view.row_count() && !context_.out().stopped(); ++i) {
      const Result<IndexEntry> entry = parts_.entry(block, i, is_top);
      if (!entry.ok()) {
        context_.problem(entry.status());
        continue;
      }
      print_entry(*entry, i, is_top);
    }
  }

  void print_entry(const IndexEntry& entry, uint32_t i, bool is_top) {
    const BlockHandle& handle = entry.handle;
    const bool live = (handle.flags & kBlockLiveSingleVersion) != 0;
    const bool pointers = (handle.flags & kBlockHasPointers) != 0;
    if (json()) {
      nlohmann::ordered_json object = new_object(parts_.path(), "handle");
      object["row"] = i;
      tools::set_bytes(&object, "first_key", entry.first_key, options().output_hex);
      set_time(&object, "first_timestamp", "first_time", entry.first_timestamp);
      object["offset"] = handle.offset;
      object["stored_size"] = handle.stored_size;
      object["raw_size"] = handle.raw_size;
      object["rows"] = handle.rows;
      set_time(&object, "timestamp_max", "time_max", handle.timestamp_max);
      object["tombstones"] = handle.tombstones;
      object["live_single_version"] = live;
      if (pointers) object["pointers"] = true;
      if (is_top && handle.filter_stored_size != 0) {
        object["filter_offset"] = handle.filter_offset;
        object["filter_stored_size"] = handle.filter_stored_size;
      }
      return context_.out().json(object);
    }
    std::string line =
        format("  %6u  ", i) + bytes_text(options(), entry.first_key) +
        format(
            " @ %llu => block at %llu, %u bytes (%u uncompressed), %u rows, newest %llu, %u "
            "tombstones%s",
            number(entry.first_timestamp.nanos), number(handle.offset), handle.stored_size,
            handle.raw_size, handle.rows, number(handle.timestamp_max.nanos), handle.tombstones,
            live       ? ", live and single-version"
            : pointers ? ", with pointers to values"
                       : "");
    if (is_top && handle.filter_stored_size != 0) {
      line += format("; filter at %llu, %u bytes", number(handle.filter_offset),
                     handle.filter_stored_size);
    }
    context_.out().line(line);
  }

  void print_filter(const BlockHandle& partition, uint32_t p) {
    const Result<FilterBlock> filter = parts_.filter(partition);
    if (!filter.ok()) return context_.problem(filter.status());
    const char* payload = filter->payload.data();
    const uint8_t probes = load_le<uint8_t>(payload + 1);
    const uint32_t lines = load_le<uint32_t>(payload + 4);
    uint64_t bits = 0;
    for (size_t i = kFilterHeaderSize; i < filter->payload.size(); ++i) {
      bits += static_cast<unsigned>(std::popcount(static_cast<uint8_t>(payload[i])));
    }
    const double share = static_cast<double>(bits) / (8.0 * kFilterLineSize * lines);
    if (json()) {
      nlohmann::ordered_json object = new_object(parts_.path(), "filter");
      object["place"] = std::to_string(p);
      object["offset"] = filter->offset;
      object["stored_size"] = partition.filter_stored_size;
      object["probes"] = probes;
      object["lines"] = lines;
      object["bits_set"] = share;
      return context_.out().json(object);
    }
    context_.out().line(format(
        "filter %u at %llu: %u bytes, %u probes, %u lines of 512 bits, %.1f %% "
        "of the bits set",
        p, number(filter->offset), partition.filter_stored_size, probes, lines, share * 100));
  }

  Context& context_;
  SstableParts& parts_;
  VersionText version_;
  uint64_t left_;  // versions
};

}  // namespace

void print_raw(Context* context, SstableParts* parts) { Printer(context, parts).print(); }

}  // namespace varve::sst_dump
