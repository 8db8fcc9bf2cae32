// Tests of the program `sst-dump`: small sstables in a directory of their own, and commands on
// them.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "lsm/sstable_writer.h"
#include "tests/support/temp_directory.h"
#include "tests/tools/program.h"

namespace varve {

using nlohmann::json;

struct Version {
  std::string key;
  uint64_t timestamp;
  VersionKind kind;
  std::string value;
};

inline constexpr VersionKind kValue = VersionKind::value;
inline constexpr VersionKind kTombstone = VersionKind::tombstone;
inline constexpr FileId kFile{0x0123456789abcdef, 0xfedcba9876543210};

struct SstOutput : test::Outcome {
  // The JSON objects of out, or those of one type.
  std::vector<json> objects(const std::string& type = {}) const {
    std::vector<json> all;
    for (const std::string& line : lines()) {
      json object = json::parse(line);
      if (type.empty() || object.value("type", "") == type) all.push_back(std::move(object));
    }
    return all;
  }
};

class SstDump : public ::testing::Test {
 protected:
  SstOutput run(std::vector<std::string> arguments) {
    const pid_t child = test::start_program("sst-dump", std::move(arguments), directory_.path());
    return {test::wait_for_program(child, directory_.path())};
  }
  SstOutput run(const std::string& command, const std::string& path,
                std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"--command=" + command, path});
    return run(std::move(options));
  }

  std::string write(const std::string& name, const std::vector<Version>& versions,
                    const SstableWriterOptions& options = {}, const FileId& id = kFile) {
    const std::string path = data_ + "/" + name;
    MemoryManager manager(0);
    Result<std::unique_ptr<File>> file =
        FileSystem::posix()->open(path, OpenMode::create_exclusive);
    EXPECT_TRUE(file.ok()) << file.status().to_string();
    SstableWriter writer(&manager, std::move(*file), id, options);
    for (const Version& v : versions) {
      EXPECT_TRUE(writer.add(v.key, key_hash(v.key), {v.timestamp}, v.kind, v.value).ok());
    }
    EXPECT_TRUE(writer.finish().ok());
    return path;
  }
  // Three data blocks in one partition.
  std::string write_fruit(const std::string& name = "000012.sst") {
    return write(name,
                 {{"apple", 105, kValue, "red or green"},
                  {"apricot", 101, kValue, "orange"},
                  {"banana", 104, kTombstone, ""},
                  {"cherry", 103, kValue, "newer"},
                  {"cherry", 100, kValue, std::string("\0\xff old", 6)},
                  {std::string("date\n\xfe", 6), 102, kValue, ""}},
                 {.keyspace = {7}, .block_size = 42, .created_nanos = 1'700'000'000'000'000'000});
  }

  const test::TempDirectory directory_;
  const std::string data_ = [this] {
    std::string path = directory_ / "data";
    std::filesystem::create_directory(path);
    return path;
  }();
};

}  // namespace varve
