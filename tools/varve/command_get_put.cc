// get, put, erase.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/common/line_reader.h"
#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/varve/json_text.h"
#include "tools/varve/session.h"
#include "varve/write_batch.h"

namespace varve::cli {

namespace {

using tools::Output;

// Keys of one multi_get(): enough to spread its cost, few enough to pin little.
constexpr size_t kKeysPerRead = 256;
// Missing keys that are named; the others are only counted.
constexpr size_t kMissingNamedMax = 20;

struct GetOptions {
  CommonOptions common;
  std::string key;
  std::string keys_from;
  bool raw = false;
};

Result<int> get_one(Session& session, Output& out, const GetOptions& options) {
  ReadOptions read;
  read.keyspace = session.keyspace;
  read.snapshot = session.at();
  Result<std::optional<PinnedValue>> found = session.database->get(options.key, read);
  if (!found.ok()) return found.status();
  const bool hex = options.common.hex;
  if (!found->has_value()) {
    std::fprintf(stderr, "varve: no such key: %s\n", tools::format_bytes(options.key, hex).c_str());
    return kExitNotFound;
  }
  const std::string_view value = (*found)->view();
  if (options.common.json) {
    nlohmann::ordered_json object;
    tools::set_bytes(&object, "key", options.key, hex);
    tools::set_bytes(&object, "value", value, hex);
    object["time"] = json_time((*found)->timestamp());
    out.json(object);
  } else if (hex) {
    out.line(tools::to_hex(value));
  } else if (options.raw) {
    out.write(value);
  } else {
    // A value must not be able to drive the terminal that it is shown on.
    out.line(tools::standard_output_is_terminal() ? tools::printable(value) : value);
  }
  return kExitOk;
}

// What was read of a file of keys.
struct KeyCheck {
  uint64_t keys = 0;
  uint64_t found = 0;
  uint64_t value_bytes = 0;
  std::vector<std::string> missing;  // the first kMissingNamedMax
  uint64_t missing_count() const { return keys - found; }
};

Status check_keys(Session& session, const std::vector<std::string>& keys, KeyCheck* check) {
  ReadOptions read;
  read.keyspace = session.keyspace;
  read.snapshot = session.at();
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::vector<std::optional<PinnedValue>> values(keys.size());
  Status status = session.database->multi_get(views, values, read);
  if (!status.ok()) return status;
  for (size_t i = 0; i < keys.size(); ++i) {
    ++check->keys;
    if (values[i].has_value()) {
      ++check->found;
      check->value_bytes += values[i]->view().size();
    } else if (check->missing.size() < kMissingNamedMax) {
      check->missing.push_back(keys[i]);
    }
  }
  return Status();
}

// True if the file's last line has no end and was left out: a process that is killed while it
// appends to an acknowledgement file leaves half a key there.
Result<bool> check_key_file(Session& session, const GetOptions& options, KeyCheck* check) {
  Result<std::unique_ptr<tools::LineReader>> lines =
      tools::LineReader::open(options.keys_from, 4 * kKeySizeMax);
  if (!lines.ok()) return lines.status();
  std::vector<std::string> keys;
  bool incomplete = false;
  for (;;) {
    std::string_view line;
    const Result<bool> more = (*lines)->next(&line);
    if (!more.ok()) return more.status();
    incomplete = *more && !(*lines)->line_complete();
    if (*more && !incomplete && !line.empty()) {
      Result<std::string> key = tools::parse_bytes(line, options.common.hex);
      if (!key.ok()) return (*lines)->error_here(std::string(key.status().message()));
      keys.push_back(std::move(*key));
    }
    const bool last = !*more || incomplete;
    if (keys.size() == kKeysPerRead || (last && !keys.empty())) {
      const Status status = check_keys(session, keys, check);
      if (!status.ok()) return status;
      keys.clear();
    }
    if (last) return incomplete;
  }
}

Result<int> get_many(Session& session, Output& out, const GetOptions& options) {
  KeyCheck check;
  const Result<bool> incomplete = check_key_file(session, options, &check);
  if (!incomplete.ok()) return incomplete.status();
  if (options.common.json) {
    nlohmann::ordered_json object;
    object["keys"] = check.keys;
    object["found"] = check.found;
    object["missing"] = check.missing_count();
    object["value_bytes"] = check.value_bytes;
    object["incomplete_last_line"] = *incomplete;
    object["missing_keys"] = nlohmann::ordered_json::array();
    for (const std::string& key : check.missing) {
      nlohmann::ordered_json missing;
      tools::set_bytes(&missing, "key", key, options.common.hex);
      object["missing_keys"].push_back(std::move(missing));
    }
    out.json(object);
  } else {
    for (const std::string& key : check.missing) {
      out.line("missing " + tools::format_bytes(key, options.common.hex));
    }
    if (check.missing_count() > check.missing.size()) {
      out.line("missing ... " + std::to_string(check.missing_count() - check.missing.size()) +
               " more");
    }
    out.line("keys " + std::to_string(check.keys) + ", found " + std::to_string(check.found) +
             ", missing " + std::to_string(check.missing_count()));
    if (*incomplete) out.line("the last line has no end and was left out");
  }
  return check.missing_count() == 0 ? kExitOk : kExitNotFound;
}

// Commits `batch` and, with --json, prints its timestamp with `object`.
Result<int> commit(Session& session, Output& out, const CommonOptions& common, WriteBatch& batch,
                   nlohmann::ordered_json object) {
  WriteOptions write;
  write.keyspace = session.keyspace;
  write.durability = common.durability;
  Timestamp committed;
  const Status status = session.database->write(batch, write, &committed);
  if (!status.ok()) return status;
  if (common.json) {
    object["time"] = json_time(committed);
    out.json(object);
  }
  return kExitOk;
}

// All of a file's bytes.
Result<std::string> read_value(const std::string& path) {
  Result<std::unique_ptr<tools::LineReader>> lines = tools::LineReader::open(path, kValueSizeMax);
  if (!lines.ok()) return lines.status();
  std::string bytes;
  for (;;) {
    std::string_view line;
    const Result<bool> more = (*lines)->next(&line);
    const bool line_too_long = more.status().code() == StatusCode::invalid_argument;
    if (line_too_long || bytes.size() + line.size() > kValueSizeMax) {
      return Status::invalid_argument((*lines)->name() + ": more than " +
                                      std::to_string(kValueSizeMax) +
                                      " bytes, the most that a value can have");
    }
    if (!more.ok()) return more.status();
    if (!*more) return bytes;
    bytes.append(line);
    if ((*lines)->line_complete()) bytes.push_back('\n');
  }
}

}  // namespace

int run_get(int argc, char** argv) {
  GetOptions options;
  CommandLine line("get", "Prints the value of KEY, or tells which keys of a file are there.",
                   "  varve get /srv/db bash/5.2.15-2+b7/amd64\n"
                   "  varve get /srv/db counter --at=-5m --json\n"
                   "  varve get /srv/db --keys-from=acknowledged --hex",
                   &options.common);
  line.positional("KEY", &options.key, "The key");
  line.app()
      .add_option("--keys-from", options.keys_from,
                  "Read keys from FILE, one a line (- is standard input), and print how many are "
                  "there; a last line without end is left out")
      ->option_text("FILE");
  line.app().add_flag("--raw", options.raw,
                      "Print the value's bytes and nothing else, no line end");
  line.add_keyspace("Keyspace to read");
  line.add_at();
  line.add_hex();
  line.add_json();
  line.add_opening();
  const auto stop = line.parse(argc, argv, [&] {
    const bool has_key = line.app().count("KEY") > 0;
    if (has_key != options.keys_from.empty()) {
      throw CLI::ValidationError("KEY", "give either a KEY or --keys-from");
    }
    for (const char* other : {"--json", "--hex", "--keys-from"}) {
      if (options.raw && line.app().count(other) > 0) {
        throw CLI::ValidationError("--raw", std::string("contradicts ") + other);
      }
    }
    if (has_key) options.key = key_argument("KEY", options.key, options.common.hex);
  });
  if (stop) return *stop;
  return with_session(options.common, OpenFor::use, [&](Session& session, Output& out) {
    return options.keys_from.empty() ? get_one(session, out, options)
                                     : get_many(session, out, options);
  });
}

int run_put(int argc, char** argv) {
  CommonOptions common;
  std::string key;
  std::string value;
  std::string value_file;
  bool no_create = false;
  CommandLine line("put", "Writes VALUE under KEY; creates database and keyspace if need be.",
                   "  varve put /srv/db greeting 'good morning'\n"
                   "  varve put /srv/db icon --value-file=icon.png --keyspace=files\n"
                   "  varve put /srv/db --hex 00ff 0102",
                   &common);
  line.positional("KEY", &key, "The key")->required();
  line.positional("VALUE", &value, "The value");
  line.app()
      .add_option("--value-file", value_file,
                  "Take the value from FILE as it is (- is standard input)")
      ->option_text("FILE");
  line.app().add_flag("--no-create", no_create, "Fail if database or keyspace does not exist");
  line.add_keyspace("Keyspace to write");
  line.add_durability();
  line.add_hex();
  line.add_json();
  line.add_opening();
  const auto stop = line.parse(argc, argv, [&] {
    if ((line.app().count("VALUE") > 0) != value_file.empty()) {
      throw CLI::ValidationError("VALUE", "give either a VALUE or --value-file");
    }
    key = key_argument("KEY", key, common.hex);
    if (value_file.empty()) value = bytes_argument("VALUE", value, common.hex);
  });
  if (stop) return *stop;
  if (!value_file.empty()) {
    Result<std::string> bytes = read_value(value_file);
    if (!bytes.ok()) return report(bytes.status());
    value = std::move(*bytes);
  }
  const OpenFor purpose = no_create ? OpenFor::use : OpenFor::create;
  return with_session(common, purpose, [&](Session& session, Output& out) -> Result<int> {
    WriteBatch batch(*session.database);
    const Status status = batch.put(session.keyspace, key, value);
    if (!status.ok()) return status;
    nlohmann::ordered_json object;
    tools::set_bytes(&object, "key", key, common.hex);
    object["value_bytes"] = value.size();
    return commit(session, out, common, batch, std::move(object));
  });
}

int run_erase(int argc, char** argv) {
  CommonOptions common;
  std::vector<std::string> keys;
  CommandLine line("erase", "Erases keys, all in one commit. One that is not there is no error.",
                   "  varve erase /srv/db greeting\n"
                   "  varve erase /srv/db a b c --keyspace=files",
                   &common);
  line.positional_list("KEY", &keys, "The keys");
  line.add_keyspace("Keyspace to write");
  line.add_durability();
  line.add_hex();
  line.add_json();
  line.add_opening();
  const auto stop = line.parse(argc, argv, [&] {
    for (std::string& key : keys) key = key_argument("KEY", key, common.hex);
  });
  if (stop) return *stop;
  return with_session(common, OpenFor::use, [&](Session& session, Output& out) -> Result<int> {
    WriteBatch batch(*session.database);
    for (const std::string& key : keys) {
      const Status status = batch.erase(session.keyspace, key);
      if (!status.ok()) return status;
    }
    nlohmann::ordered_json object;
    object["keys"] = batch.count();
    return commit(session, out, common, batch, std::move(object));
  });
}

}  // namespace varve::cli
