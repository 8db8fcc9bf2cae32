// properties.

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/time_text.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/sst_dump/commands.h"

namespace varve::sst_dump {

namespace {

std::string time_text(Timestamp time) {
  if (time == kTimestampMin) return "0";
  return std::to_string(time.nanos) + " (" + format_time(time) + ")";
}

std::string percent(uint64_t part, uint64_t whole) {
  if (whole == 0) return {};
  return " (" + std::to_string((part * 1000 / whole + 5) / 10) + " %)";
}

void print_text(Context* context, const SstableParts& parts, const SstableProperties& p) {
  const Options& options = context->options();
  std::vector<std::pair<const char*, std::string>> lines{
      {"file id", id_text(parts.id())},
      {"file size", tools::format_count(parts.file_size()) + " bytes"},
      {"keyspace", std::to_string(p.keyspace)},
      {"created", time_text({p.created_nanos})},
      {"versions", tools::format_count(p.versions)},
      {"user keys", tools::format_count(p.user_keys)},
      {"tombstones", tools::format_count(p.tombstones) + percent(p.tombstones, p.versions)},
      {"smallest key", bytes_text(options, p.smallest_key)},
      {"largest key", bytes_text(options, p.largest_key)},
      {"oldest version", time_text(p.timestamp_min)},
      {"newest version", time_text(p.timestamp_max)},
      {"collapse horizon", time_text(p.collapse_horizon)},
      {"raw bytes", tools::format_count(p.raw_bytes)},
      {"data blocks", tools::format_count(p.data_blocks)},
      {"partitions", tools::format_count(p.partitions)},
      {"codec", std::string(codec_name(p.codec))},
      {"filter bits a key", std::to_string(p.filter_bits_per_key)},
  };
  if (p.undated) lines.emplace_back("undated", "the manifest says when all was committed");
  for (const ValueUse& use : p.values) {
    lines.emplace_back("values", tools::counted(use.values, "value") + " of " +
                                     tools::format_count(use.bytes) + " bytes in " +
                                     value_file_name(use.file.number));
  }
  context->out().line(tools::escape(parts.path()) + ":");
  for (const auto& [name, value] : lines) {
    context->out().line("  " + std::string(name) +
                        std::string(18 - std::string_view(name).size(), ' ') + value);
  }
}

void print_json(Context* context, const SstableParts& parts, const SstableProperties& p) {
  const Options& options = context->options();
  nlohmann::ordered_json object = new_object(parts.path(), "properties");
  object["file_id"] = id_text(parts.id());
  object["file_size"] = parts.file_size();
  object["keyspace"] = p.keyspace;
  set_time(&object, "created", "created_time", {p.created_nanos});
  object["versions"] = p.versions;
  object["user_keys"] = p.user_keys;
  object["tombstones"] = p.tombstones;
  tools::set_bytes(&object, "smallest_key", p.smallest_key, options.output_hex);
  tools::set_bytes(&object, "largest_key", p.largest_key, options.output_hex);
  set_time(&object, "timestamp_min", "time_min", p.timestamp_min);
  set_time(&object, "timestamp_max", "time_max", p.timestamp_max);
  set_time(&object, "collapse_horizon", "collapse_horizon_time", p.collapse_horizon);
  object["raw_bytes"] = p.raw_bytes;
  object["data_blocks"] = p.data_blocks;
  object["partitions"] = p.partitions;
  object["codec"] = codec_name(p.codec);
  object["filter_bits_per_key"] = p.filter_bits_per_key;
  if (p.undated) object["undated"] = true;
  for (const ValueUse& use : p.values) {
    object["value_files"].push_back({{"file", value_file_name(use.file.number)},
                                     {"file_id", id_text(use.file.id)},
                                     {"values", use.values},
                                     {"bytes", use.bytes}});
  }
  context->out().json(object);
}

}  // namespace

void print_properties(Context* context, SstableParts* parts) {
  const Result<SstableProperties> properties = parts->properties();
  if (!properties.ok()) return context->problem(properties.status());
  if (context->options().json) {
    print_json(context, *parts, *properties);
  } else {
    print_text(context, *parts, *properties);
  }
}

}  // namespace varve::sst_dump
