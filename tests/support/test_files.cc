#include "tests/support/test_files.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/status_check.h"

namespace varve::test {

std::string read_file(FileSystem* files, const std::string& path) {
  Result<std::unique_ptr<File>> file = files->open(path, OpenMode::read);
  EXPECT_OK(file);
  if (!file.ok()) return {};
  std::string bytes((*file)->size().value(), '\0');
  Result<size_t> got = (*file)->read(0, bytes.data(), bytes.size());
  EXPECT_OK(got);
  EXPECT_EQ(got.ok() ? *got : 0, bytes.size());
  return bytes;
}

void write_file(FileSystem* files, const std::string& path, std::string_view bytes) {
  if (Status status = files->remove(path); !status.ok()) {
    EXPECT_EQ(status.code(), StatusCode::not_found) << status.to_string();
  }
  Result<std::unique_ptr<File>> file = files->open(path, OpenMode::create_exclusive);
  ASSERT_OK(file);
  EXPECT_OK((*file)->write(0, bytes));
  EXPECT_OK((*file)->close());
}

void copy_directory(FileSystem* from, const std::string& from_path, FileSystem* to,
                    const std::string& to_path) {
  ASSERT_OK(to->create_directory(to_path));
  Result<std::vector<std::string>> names = from->list(from_path);
  ASSERT_OK(names);
  for (const std::string& name : *names) {
    write_file(to, to_path + "/" + name, read_file(from, from_path + "/" + name));
  }
}

std::vector<std::string> files_with_suffix(FileSystem* files, const std::string& directory,
                                           std::string_view suffix) {
  Result<std::vector<std::string>> names = files->list(directory);
  EXPECT_OK(names);
  std::vector<std::string> paths;
  if (!names.ok()) return paths;
  for (const std::string& name : *names) {
    if (name.ends_with(suffix)) paths.push_back(directory + "/" + name);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace varve::test
