// recompress: the versions of a file, encoded again in blocks of several sizes with several codecs
// and levels, to choose by. In memory; the file stays as it is.

#include <zstd.h>

#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/format.h"
#include "lsm/block_builder.h"
#include "tools/common/progress_bar.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/sst_dump/commands.h"

namespace varve::sst_dump {

namespace {

constexpr uint32_t kBlockSizes[] = {4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10};
constexpr int kLevelMin = -5;
constexpr int kLevelMax = 9;
// A sample of this many bytes of keys and values tells as much as a whole file.
constexpr uint64_t kSampleBytesMax = 16 << 20;

struct Version {
  std::string key;
  Timestamp timestamp;
  VersionKind kind = VersionKind::value;
  std::string value;
};

struct Sample {
  std::vector<Version> versions;
  uint64_t bytes = 0;
};

// The first versions of the file, as far as they can be read.
Sample take_sample(Context* context, SstableParts* parts) {
  Sample sample;
  const Result<RowBlock> top = parts->top_index();
  if (!top.ok()) context->problem(top.status());
  for (uint32_t p = 0; top.ok() && p < top->view.row_count(); ++p) {
    const Result<IndexEntry> partition = parts->entry(*top, p, /*is_partition=*/true);
    Result<RowBlock> index =
        partition.ok() ? parts->rows(partition->handle) : Result<RowBlock>(partition.status());
    if (!index.ok()) {
      context->problem(index.status());
      continue;
    }
    for (uint32_t b = 0; b < index->view.row_count(); ++b) {
      const Result<IndexEntry> entry = parts->entry(*index, b, /*is_partition=*/false);
      const Result<RowBlock> block =
          entry.ok() ? parts->rows(entry->handle) : Result<RowBlock>(entry.status());
      if (!block.ok()) {
        context->problem(block.status());
        continue;
      }
      for (uint32_t i = 0; i < block->view.row_count(); ++i) {
        if (sample.bytes >= kSampleBytesMax ||
            sample.versions.size() >= context->options().read_num) {
          return sample;
        }
        const RowContent row = block->content(i);
        sample.versions.push_back({block->key(i), row.timestamp, row.kind, std::string(row.value)});
        sample.bytes += sample.versions.back().key.size() + sample.versions.back().value.size();
      }
    }
  }
  return sample;
}

// Nothing when memory is refused, or the versions of a damaged file do not ascend.
std::vector<std::string> build_blocks(Context* context, const Sample& sample, uint32_t block_size) {
  BlockBuilder builder(context->memory(), MemoryRole::sstable_builder);
  Buffer payload(context->memory(), MemoryRole::sstable_builder);
  std::vector<std::string> blocks;
  const auto finish = [&] {
    payload.clear();
    if (!builder.finish(&payload)) return false;
    blocks.emplace_back(payload.view());
    return true;
  };
  for (const Version& version : sample.versions) {
    if (!builder.add(version.key, version.timestamp, version.kind, version.value)) return {};
    if (builder.size_estimate() >= block_size && !finish()) return {};
  }
  if (!builder.empty() && !finish()) return {};
  return blocks;
}

bool ascends(const Sample& sample) {
  for (size_t i = 1; i < sample.versions.size(); ++i) {
    const Version& a = sample.versions[i - 1];
    const Version& b = sample.versions[i];
    if (compare_versions({a.key, a.timestamp}, {b.key, b.timestamp}) >= 0) return false;
  }
  return true;
}

struct Figures {
  uint64_t blocks = 0;
  uint64_t raw_bytes = 0;     // payloads
  uint64_t stored_bytes = 0;  // on disk, trailers included
  uint64_t left_raw = 0;      // blocks that compression does not make smaller by an eighth
  double compress_seconds = 0;
  double decompress_seconds = 0;
};

// Processor time, so that a busy machine does not make codecs look slow.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

class Zstd {
 public:
  Zstd()
      : compress_(ZSTD_createCCtx(), ZSTD_freeCCtx),
        decompress_(ZSTD_createDCtx(), ZSTD_freeDCtx) {}

  // As SstableWriter stores them, at `level`.
  Figures measure(const std::vector<std::string>& blocks, int level) {
    Figures figures{.blocks = blocks.size()};
    std::vector<std::string> stored(blocks.size());
    figures.compress_seconds = timed([&] {
      for (size_t i = 0; i < blocks.size(); ++i) {
        stored[i].resize(ZSTD_compressBound(blocks[i].size()));
        const size_t size = ZSTD_compressCCtx(compress_.get(), stored[i].data(), stored[i].size(),
                                              blocks[i].data(), blocks[i].size(), level);
        const bool pays = ZSTD_isError(size) == 0 &&
                          size <= blocks[i].size() - blocks[i].size() / 8 &&
                          blocks[i].size() <= kBlockCompressedRawSizeMax;
        stored[i].resize(pays ? size : 0);
      }
    });
    std::string raw;
    figures.decompress_seconds = timed([&] {
      for (size_t i = 0; i < blocks.size(); ++i) {
        if (stored[i].empty()) continue;
        raw.resize(blocks[i].size());
        (void)ZSTD_decompressDCtx(decompress_.get(), raw.data(), raw.size(), stored[i].data(),
                                  stored[i].size());
      }
    });
    for (size_t i = 0; i < blocks.size(); ++i) {
      figures.raw_bytes += blocks[i].size();
      figures.left_raw += stored[i].empty();
      figures.stored_bytes +=
          (stored[i].empty() ? blocks[i].size() : stored[i].size()) + kBlockTrailerSize;
    }
    return figures;
  }

 private:
  template <typename F>
  static double timed(const F& work) {
    const double start = thread_seconds();
    work();
    return thread_seconds() - start;
  }

  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> compress_;
  std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> decompress_;
};

Figures uncompressed(const std::vector<std::string>& blocks) {
  Figures figures{.blocks = blocks.size(), .left_raw = blocks.size()};
  for (const std::string& block : blocks) {
    figures.raw_bytes += block.size();
    figures.stored_bytes += block.size() + kBlockTrailerSize;
  }
  return figures;
}

double mb_per_second(uint64_t bytes, double seconds) {
  return seconds <= 0 ? 0 : static_cast<double>(bytes) / 1e6 / seconds;
}

class Report {
 public:
  Report(Context* context, const SstableParts& parts, const Sample& sample)
      : context_(*context), parts_(parts), sample_(sample) {
    table_.row({"block", "codec", "blocks", "stored", "of keys and values", "left raw", "compress",
                "decompress"});
  }

  void add(uint32_t block_size, const std::string& codec, const Figures& figures) {
    const double ratio =
        static_cast<double>(figures.stored_bytes) / static_cast<double>(sample_.bytes);
    const double compress = mb_per_second(figures.raw_bytes, figures.compress_seconds);
    const double decompress = mb_per_second(figures.raw_bytes, figures.decompress_seconds);
    if (context_.options().json) {
      nlohmann::ordered_json object = new_object(parts_.path(), "recompress");
      object["block_size"] = block_size;
      object["codec"] = codec;
      object["versions"] = sample_.versions.size();
      object["key_value_bytes"] = sample_.bytes;
      object["blocks"] = figures.blocks;
      object["payload_bytes"] = figures.raw_bytes;
      object["stored_bytes"] = figures.stored_bytes;
      object["ratio"] = ratio;
      object["blocks_left_raw"] = figures.left_raw;
      object["compress_mb_per_second"] = compress;
      object["decompress_mb_per_second"] = decompress;
      return context_.out().json(object);
    }
    const bool timed = figures.compress_seconds > 0;
    table_.row({tools::format_size(block_size), codec, tools::format_count(figures.blocks),
                tools::format_count(figures.stored_bytes), format("%.1f %%", ratio * 100),
                tools::format_count(figures.left_raw), timed ? format("%.0f MB/s", compress) : "-",
                timed ? format("%.0f MB/s", decompress) : "-"});
  }

  void print() {
    if (context_.options().json) return;
    context_.out().line(tools::escape(parts_.path()) + ": " +
                        tools::format_count(sample_.versions.size()) + " versions, " +
                        tools::format_count(sample_.bytes) + " bytes of keys and values; zstd " +
                        ZSTD_versionString() + ", index and filter not counted");
    context_.out().write(table_.to_string());
  }

 private:
  Context& context_;
  const SstableParts& parts_;
  const Sample& sample_;
  tools::TextTable table_;
};

}  // namespace

void recompress_sstable(Context* context, SstableParts* parts) {
  const Sample sample = take_sample(context, parts);
  if (sample.versions.empty()) return;
  if (!ascends(sample)) {
    return context->problem(parts->corruption_at(0, "versions out of order: see --command=check"));
  }
  Zstd zstd;
  Report report(context, *parts, sample);
  tools::ProgressBar progress("recompressing", 0, tools::standard_error_is_terminal());
  for (const uint32_t block_size : kBlockSizes) {
    const std::vector<std::string> blocks = build_blocks(context, sample, block_size);
    if (blocks.empty()) {
      return context->problem(Status::out_of_memory(parts->path() + ": no memory to build blocks"));
    }
    report.add(block_size, "none", uncompressed(blocks));
    for (int level = kLevelMin; level <= kLevelMax; ++level) {
      if (level == 0) continue;  // stands for the default, 3
      if (context->out().stopped()) return;
      report.add(block_size, "zstd " + std::to_string(level), zstd.measure(blocks, level));
      progress.update(0, sample.versions.size());
    }
  }
  progress.finish();
  report.print();
}

}  // namespace varve::sst_dump
