// sst-dump: looks into sstables. docs/sst-dump.md is its reference.

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "lsm/file_names.h"
#include "tools/common/output.h"
#include "tools/common/text_escape.h"
#include "tools/sst_dump/commands.h"
#include "tools/sst_dump/options.h"
#include "tools/sst_dump/table_catalog.h"

namespace varve::sst_dump {

namespace {

// The files that a path stands for: itself, or the sstables and files of values of a directory in
// order of their numbers, or all its files.
Result<std::vector<std::string>> files_of(FileSystem* files, const std::string& path, bool all) {
  const Result<FileInfo> info = files->info(path);
  if (!info.ok()) return info.status();
  if (!info->is_directory) return std::vector<std::string>{path};
  Result<std::vector<std::string>> names = files->list(path);
  if (!names.ok()) return names;
  std::sort(names->begin(), names->end(), [](const std::string& a, const std::string& b) {
    return std::pair(parse_file_name(a).number, a) < std::pair(parse_file_name(b).number, b);
  });
  std::vector<std::string> paths;
  for (const std::string& name : *names) {
    const FileType type = parse_file_name(name).type;
    const bool wanted = all || type == FileType::sstable || type == FileType::values;
    const Result<FileInfo> entry = files->info(path_in(path, name));
    // A file may vanish beside a running owner.
    if (wanted && entry.ok() && !entry->is_directory) paths.push_back(path_in(path, name));
  }
  return paths;
}

// Only opening a named pipe would wait for somebody who writes to it.
bool is_special_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode);
}

void run_on_sstable(Context* context, const std::string& path) {
  const Result<std::unique_ptr<SstableParts>> opened =
      SstableParts::open(context->files(), path, context->memory());
  if (!opened.ok()) return context->problem(opened.status());
  SstableParts* const parts = opened->get();
  const Command command = context->options().command;
  if (context->options().show_properties && command != Command::properties) {
    print_properties(context, parts);
  }
  switch (command) {
    case Command::check:
      return check_sstable(context, parts, /*verify=*/false);
    case Command::verify:
      return check_sstable(context, parts, /*verify=*/true);
    case Command::scan:
      return scan_sstable(context, parts);
    case Command::raw:
      return print_raw(context, parts);
    case Command::properties:
      return print_properties(context, parts);
    case Command::layout:
      return print_layout(context, parts);
    case Command::recompress:
      return recompress_sstable(context, parts);
    case Command::identify:
      return;
  }
}

void run_on_file(Context* context, const std::string& path) {
  if (context->options().command == Command::identify) return identify_file(context, path);
  const FileType named = parse_file_name(path.substr(path.rfind('/') + 1)).type;
  named == FileType::values ? run_on_value_file(context, path) : run_on_sstable(context, path);
}

int run(int argc, char** argv) {
  Options options;
  if (const std::optional<int> stop = parse_options(argc, argv, &options)) return *stop;
  FileSystem* const files = FileSystem::posix();
  MemoryManager memory(/*budget_bytes=*/0);
  tools::Output out;
  Context context(options, files, &memory, &out);
  TableCatalog tables;
  if (!options.schema.empty()) {
    tables = TableCatalog::read(&context, options.schema);
    context.set_tables(&tables);
    context.begin_file();
  }
  const bool identify = options.command == Command::identify;
  for (const std::string& path : options.paths) {
    const Result<std::vector<std::string>> paths = files_of(files, path, /*all=*/identify);
    if (!paths.ok()) {
      context.problem(paths.status());
      context.begin_file();
      continue;
    }
    if (paths->empty()) {
      context.problem(
          Status::not_found(path + (identify ? ": no files in it" : ": no sstables in it")));
    }
    for (const std::string& file : *paths) {
      if (out.stopped()) break;
      if (is_special_file(file)) {
        context.problem(Status::invalid_argument(file + ": not a regular file"));
      } else {
        run_on_file(&context, file);
      }
      context.begin_file();
    }
  }
  if (Status written = out.flush(); !written.ok()) context.problem(written);
  return context.problems() == 0 ? kExitOk : kExitProblem;
}

}  // namespace

}  // namespace varve::sst_dump

int main(int argc, char** argv) {
  varve::tools::prepare_standard_streams();
  try {
    return varve::sst_dump::run(argc, argv);
  } catch (const std::exception& error) {
    // Memory ran out, most likely.
    std::fprintf(stderr, "sst-dump: %s\n", varve::tools::escape_message(error.what()).c_str());
    return varve::sst_dump::kExitProblem;
  }
}
