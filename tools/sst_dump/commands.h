// What the commands of sst-dump share: where they print, and how they report what is wrong.
//
// A command works on one file and goes on as far as it can: a damaged part is a problem, reported
// on standard error, and the parts that can be read are still shown.

#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "lsm/sstable_format.h"
#include "tools/common/output.h"
#include "tools/sst_dump/options.h"
#include "tools/sst_dump/sstable_parts.h"
#include "varve/file_system.h"

namespace varve::sst_dump {

class TableCatalog;

class Context {
 public:
  Context(const Options& options, FileSystem* files, MemoryManager* memory, tools::Output* out)
      : options_(options), files_(files), memory_(memory), out_(*out) {}

  const Options& options() const { return options_; }
  FileSystem* files() { return files_; }
  MemoryManager* memory() { return memory_; }
  tools::Output& out() { return out_; }

  // Prints "sst-dump: " and the message on one line of standard error, in order with what was
  // printed before. Of one file only the first hundred are printed; all count.
  void problem(const Status& status);
  uint64_t problems() const { return problems_; }
  // A new file: its problems are counted from 0.
  void begin_file();
  uint64_t problems_of_file() const { return problems_of_file_; }

  // Of --schema; they outlive this.
  void set_tables(const TableCatalog* tables) { tables_ = tables; }
  // The tables whose rows and entries of indexes the file holds; null: it holds none, or that is
  // not known.
  const TableCatalog* tables_of(SstableParts* parts);

 private:
  const Options& options_;
  FileSystem* const files_;
  MemoryManager* const memory_;
  tools::Output& out_;
  const TableCatalog* tables_ = nullptr;
  uint64_t problems_ = 0;
  uint64_t problems_of_file_ = 0;
};

// Each defined in a file of its name. They report to the context, and return nothing.
void check_sstable(Context* context, SstableParts* parts, bool verify);
void scan_sstable(Context* context, SstableParts* parts);
void print_raw(Context* context, SstableParts* parts);
void print_properties(Context* context, SstableParts* parts);
void print_layout(Context* context, SstableParts* parts);
void recompress_sstable(Context* context, SstableParts* parts);
void identify_file(Context* context, const std::string& path);
// Any command but identify.
void run_on_value_file(Context* context, const std::string& path);

// -- text and JSON that several print --

std::string_view kind_name(VersionKind kind);
std::string_view codec_name(Compression codec);
// A key or value as --output_hex says.
std::string bytes_text(const Options& options, std::string_view bytes);
// Member `name` (nanoseconds, as a string: readers that think in doubles would round it) and,
// beside it, `time_name` (RFC 3339; null for kTimestampMin).
void set_time(nlohmann::ordered_json* object, const std::string& name, const std::string& time_name,
              Timestamp timestamp);
// The same as "timestamp" and "time".
void set_timestamp(nlohmann::ordered_json* object, Timestamp timestamp);
// {"file": path, "type": type}
nlohmann::ordered_json new_object(const std::string& path, std::string_view type);

}  // namespace varve::sst_dump
