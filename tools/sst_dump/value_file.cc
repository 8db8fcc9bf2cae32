// All commands on a file of values, which has fewer parts than an sstable.
//
// check, verify: every value can be read, and they fill the file. scan, raw, layout: where they
// are. Whose they are is said by the sstables that point to them.

#include <nlohmann/json.hpp>

#include "base/format.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/sst_dump/commands.h"
#include "tools/sst_dump/value_parts.h"

namespace varve::sst_dump {

namespace {

struct Totals {
  uint64_t values = 0;
  uint64_t compressed = 0;
  uint64_t raw_bytes = 0;
};

void print_value(Context* context, const ValuePlace& place, const ValueParts::Value& value) {
  if (context->options().json) {
    context->out().json({{"type", "value"},
                         {"offset", place.offset},
                         {"stored_size", place.stored_size},
                         {"raw_size", value.bytes.size()},
                         {"codec", codec_name(value.codec)}});
    return;
  }
  context->out().line(format("%llu: value, %u bytes stored, %zu raw, codec %s",
                             static_cast<unsigned long long>(place.offset), place.stored_size,
                             value.bytes.size(), std::string(codec_name(value.codec)).c_str()));
}

// Reads all; `print`: and says where each is.
Totals walk(Context* context, ValueParts* parts, bool print) {
  Totals totals;
  const Result<std::vector<ValuePlace>> places = parts->places();
  if (!places.ok()) {
    context->problem(places.status());
    return totals;
  }
  uint64_t left = print ? context->options().read_num : UINT64_MAX;
  for (const ValuePlace& place : *places) {
    if (left-- == 0 || context->out().stopped()) break;
    const Result<ValueParts::Value> value = parts->value(place);
    if (!value.ok()) {
      context->problem(value.status());
      continue;
    }
    ++totals.values;
    totals.compressed += value->codec != Compression::none;
    totals.raw_bytes += value->bytes.size();
    if (print) print_value(context, place, *value);
  }
  return totals;
}

void check(Context* context, ValueParts* parts) {
  const Totals totals = walk(context, parts, /*print=*/false);
  const bool ok = context->problems_of_file() == 0;
  if (context->options().json) {
    nlohmann::ordered_json object = new_object(parts->path(), "check");
    object["ok"] = ok;
    object["values"] = totals.values;
    object["compressed"] = totals.compressed;
    object["raw_bytes"] = totals.raw_bytes;
    object["bytes"] = parts->footer().file_size;
    context->out().json(object);
    return;
  }
  context->out().line(tools::escape(parts->path()) + (ok ? ": ok, " : ": damaged, ") +
                      tools::counted(totals.values, "value") + " of " +
                      tools::counted(totals.raw_bytes, "byte") + ", " +
                      tools::format_count(totals.compressed) + " compressed");
}

void print_value_properties(Context* context, const ValueParts& parts) {
  const ValueFileFooter& footer = parts.footer();
  if (context->options().json) {
    nlohmann::ordered_json object = new_object(parts.path(), "properties");
    object["file_id"] = id_text(footer.file);
    object["file_size"] = footer.file_size;
    object["values"] = footer.values;
    context->out().json(object);
    return;
  }
  context->out().line(tools::escape(parts.path()) + ":");
  context->out().line("  file id           " + id_text(footer.file));
  context->out().line("  file size         " + tools::format_count(footer.file_size) + " bytes");
  context->out().line("  values            " + tools::format_count(footer.values));
}

}  // namespace

void run_on_value_file(Context* context, const std::string& path) {
  const Result<std::unique_ptr<ValueParts>> opened =
      ValueParts::open(context->files(), path, context->memory());
  if (!opened.ok()) return context->problem(opened.status());
  ValueParts* const parts = opened->get();
  const Command command = context->options().command;
  if (context->options().show_properties || command == Command::properties) {
    print_value_properties(context, *parts);
  }
  switch (command) {
    case Command::check:
    case Command::verify:
      return check(context, parts);
    case Command::scan:
    case Command::raw:
    case Command::layout:
      walk(context, parts, /*print=*/true);
      return;
    case Command::recompress:
      return context->problem(
          Status::invalid_argument(path + ": a file of values has no blocks to recompress"));
    case Command::properties:
    case Command::identify:
      return;
  }
}

}  // namespace varve::sst_dump
