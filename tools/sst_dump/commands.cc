#include "tools/sst_dump/commands.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/format.h"
#include "base/time_text.h"
#include "tools/common/text_escape.h"
#include "tools/sst_dump/table_catalog.h"

namespace varve::sst_dump {

namespace {

constexpr uint64_t kProblemsPrintedMax = 100;

}  // namespace

void Context::begin_file() {
  if (problems_of_file_ > kProblemsPrintedMax) {
    std::fprintf(stderr, "sst-dump: %llu more problems of that file\n",
                 static_cast<unsigned long long>(problems_of_file_ - kProblemsPrintedMax));
  }
  problems_of_file_ = 0;
}

void Context::problem(const Status& status) {
  ++problems_;
  if (++problems_of_file_ > kProblemsPrintedMax) return;
  (void)out_.flush();
  std::fprintf(stderr, "sst-dump: %s\n", tools::escape_message(status.to_string()).c_str());
}

const TableCatalog* Context::tables_of(SstableParts* parts) {
  if (tables_ == nullptr || !tables_->rows()) return nullptr;
  const Result<SstableProperties> properties = parts->properties();
  if (!properties.ok()) {
    problem(properties.status());
    return nullptr;
  }
  return properties->keyspace == tables_->rows()->id ? tables_ : nullptr;
}

std::string_view kind_name(VersionKind kind) {
  switch (kind) {
    case VersionKind::value:
      return "value";
    case VersionKind::tombstone:
      return "tombstone";
    case VersionKind::range_tombstone:
      return "range_tombstone";
    case VersionKind::merge_operand:
      return "merge_operand";
    case VersionKind::value_with_expiry:
      return "value_with_expiry";
    case VersionKind::value_pointer:
      return "value_pointer";
  }
  return "unknown";
}

std::string_view codec_name(Compression codec) {
  switch (codec) {
    case Compression::none:
      return "none";
    case Compression::zstd:
      return "zstd";
  }
  return "unknown";
}

std::string bytes_text(const Options& options, std::string_view bytes) {
  return tools::format_bytes(bytes, options.output_hex);
}

void set_time(nlohmann::ordered_json* object, const std::string& name, const std::string& time_name,
              Timestamp timestamp) {
  (*object)[name] = std::to_string(timestamp.nanos);
  if (timestamp == kTimestampMin) {
    (*object)[time_name] = nullptr;
  } else {
    (*object)[time_name] = format_time(timestamp);
  }
}

void set_timestamp(nlohmann::ordered_json* object, Timestamp timestamp) {
  set_time(object, "timestamp", "time", timestamp);
}

nlohmann::ordered_json new_object(const std::string& path, std::string_view type) {
  nlohmann::ordered_json object;
  tools::set_bytes(&object, "file", path, false);
  object["type"] = type;
  return object;
}

}  // namespace varve::sst_dump
