#include "tools/varve/statistics_source.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "lsm/file_contents.h"
#include "lsm/file_names.h"
#include "lsm/store.h"
#include "tools/common/text_escape.h"
#include "tools/common/time_text.h"
#include "tools/varve/json_text.h"
#include "tools/varve/session.h"
#include "tools/varve/statistics_json.h"
#include "varve/file_system.h"

namespace varve::cli {

namespace {

using nlohmann::ordered_json;

// A thousand keyspaces take less than a tenth of it.
constexpr uint64_t kFileBytesMax = 16 << 20;

// Member `name` from nanoseconds to a time; kTimestampMax stands for "none".
void make_time(ordered_json* object, const char* name) {
  const auto found = object->find(name);
  if (found == object->end() || !found->is_number_unsigned()) return;
  const Timestamp time{found->get<uint64_t>()};
  *found = time == kTimestampMax ? ordered_json(nullptr) : json_time(time);
}

void make_name(ordered_json* object) {
  const auto found = object->find("name");
  if (found == object->end() || !found->is_string()) return;
  const std::string bytes = name_bytes(found->get<std::string>());
  if (tools::is_utf8(bytes)) {
    *found = bytes;
  } else {
    *found = nullptr;
    (*object)["name_hex"] = tools::to_hex(bytes);
  }
}

// What encode_statistics_json() wrote, made fit for printing.
Result<PublishedFigures> parse_figures(const std::string& text, const std::string& source,
                                       Timestamp* written) {
  ordered_json document = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object() || !document["statistics"].is_object() ||
      !document["memory"].is_object() || !document["time_nanos"].is_number_unsigned() ||
      !document["format_version"].is_number_unsigned() ||
      !document["feature_flags"].is_number_unsigned()) {
    return Status::corruption(source +
                              ": expected a JSON object with \"format_version\", "
                              "\"feature_flags\", \"time_nanos\", \"statistics\" and \"memory\"");
  }
  const uint64_t version = document["format_version"].get<uint64_t>();
  const uint64_t features = document["feature_flags"].get<uint64_t>();
  if (version > kStatsVersion || features != 0) {
    return Status::not_supported(source + ": format version " + std::to_string(version) +
                                 ", feature flags " + std::to_string(features) +
                                 ": this build reads version " + std::to_string(kStatsVersion));
  }
  PublishedFigures figures;
  figures.prometheus = to_prometheus(statistics_from(document["statistics"]),
                                     memory_report_from(document["memory"]));
  figures.statistics = std::move(document["statistics"]);
  figures.memory = std::move(document["memory"]);
  figures.source = source;
  written->nanos = document["time_nanos"].get<uint64_t>();
  make_time(&figures.statistics, "published");
  make_time(&figures.statistics, "oldest_snapshot");
  for (ordered_json& keyspace : figures.statistics["keyspaces"]) {
    if (!keyspace.is_object()) continue;
    make_name(&keyspace);
    make_time(&keyspace, "watermark");
  }
  return figures;
}

Result<PublishedFigures> read_published(const std::string& directory) {
  const std::string path = path_in(directory, kStatsName);
  const Result<std::string> text = read_whole_file(FileSystem::posix(), path, kFileBytesMax);
  if (text.status().code() == StatusCode::not_found) {
    return Status::not_found(directory +
                             ": no file STATS, in which an owner publishes its figures");
  }
  if (!text.ok()) return text.status();
  Timestamp written;
  Result<PublishedFigures> figures = parse_figures(*text, path, &written);
  if (!figures.ok()) return figures;
  const uint64_t now = tools::current_time().nanos;
  figures->age_seconds = now > written.nanos ? static_cast<double>(now - written.nanos) * 1e-9 : 0;
  return figures;
}

Result<PublishedFigures> read_database(Session& session) {
  Timestamp written;
  return parse_figures(
      encode_statistics_json(session.database->statistics(), session.database->memory_report(), 0),
      kFromDatabase, &written);
}

}  // namespace

Result<PublishedFigures> read_figures(const CommonOptions& options, bool published_only) {
  if (published_only) return read_published(options.directory);
  Result<Session> session = open_session(options, OpenFor::use);
  if (session.ok()) {
    Result<PublishedFigures> figures = read_database(*session);
    const Status closed = session->database->close();
    if (!closed.ok()) return closed.with_context("closing");
    return figures;
  }
  if (session.status().code() != StatusCode::busy) return session.status();
  Result<PublishedFigures> figures = read_published(options.directory);
  if (figures.ok()) figures->owned_by_other = true;
  // Nothing published yet: that somebody owns it is then the news.
  if (figures.status().code() == StatusCode::not_found) return session.status();
  return figures;
}

}  // namespace varve::cli
