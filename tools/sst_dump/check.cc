// check and verify.
//
// check: every part can be read (checksum, decompression, structure), and versions ascend within
// blocks, from block to block, and in the indexes.
// verify: also that what is said of the data is true of it: first keys and summaries in the
// indexes, filters, properties, and that the blocks fill the file.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/format.h"
#include "base/hash.h"
#include "base/random.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/sst_dump/commands.h"

namespace varve::sst_dump {

namespace {

unsigned long long number(uint64_t value) { return value; }

// What the data blocks hold, summed up; compared with the properties.
struct Totals {
  uint64_t data_blocks = 0;
  uint64_t partitions = 0;
  uint64_t versions = 0;
  uint64_t user_keys = 0;
  uint64_t tombstones = 0;
  uint64_t raw_bytes = 0;  // keys and values
  uint64_t forgotten = 0;  // versions of timestamp 0
  uint64_t compressed_blocks = 0;
  uint64_t filters = 0;
  Timestamp timestamp_min = kTimestampMax;
  Timestamp timestamp_max = kTimestampMin;
  std::string smallest_key;
  std::string largest_key;
  uint64_t bytes = 0;            // of all parts
  std::vector<ValueUse> values;  // by the file that pointers say
};

// A data block that was read, until it is known with which key the next one begins.
struct SummedBlock {
  uint64_t offset = 0;
  BlockHandle claimed;  // what its index entry says
  BlockHandle found;    // the same from the rows
  std::string last_key;
  uint32_t partition = 0;
  bool neighbour_unknown = false;  // the block before it cannot be read
};

class Checker {
 public:
  Checker(Context* context, SstableParts* parts, bool verify)
      : context_(*context), parts_(*parts), verify_(verify) {}

  void run() {
    totals_.bytes = kSstableHeaderSize + kSstableFooterSize;
    next_offset_ = kSstableHeaderSize;
    if (Result<SstableProperties> properties = parts_.properties(); properties.ok()) {
      properties_ = std::move(*properties);
      totals_.bytes += parts_.footer().properties_stored_size + kBlockTrailerSize;
    } else {
      fail(properties.status());
    }
    const Result<RowBlock> top = parts_.top_index();
    if (!top.ok()) return fail(top.status());
    totals_.bytes += top->stored_size + kBlockTrailerSize;
    check_order(*top);
    for (uint32_t i = 0; i < top->view.row_count(); ++i) check_partition(*top, i);
    finish_block(std::nullopt);
    follows(parts_.footer().top_index_offset, parts_.footer().top_index_stored_size, "top index");
    follows(parts_.footer().properties_offset, parts_.footer().properties_stored_size,
            "properties");
    if (!verify_) return;
    if (properties_.has_value() && !incomplete_) check_properties();
  }

  const Totals& totals() const { return totals_; }
  // Parts could not be read: what is said of all of them was not held against the data.
  bool incomplete() const { return incomplete_; }
  // Share of absent keys that the filters let pass, estimated; nothing when there are none.
  std::optional<double> false_positive_rate() const {
    if (probes_ == 0) return std::nullopt;
    return static_cast<double>(probes_passed_) / static_cast<double>(probes_);
  }

 private:
  void fail(const Status& status) {
    incomplete_ = true;
    context_.problem(status);
  }
  void complain(uint64_t offset, const std::string& what) {
    context_.problem(parts_.corruption_at(offset, what));
  }
  template <typename T>
  void expect(uint64_t offset, const char* what, T found, T claimed) {
    if (!verify_ || found == claimed) return;
    complain(offset,
             format("%s is %llu in the data, %llu here", what, number(found), number(claimed)));
  }
  std::string shown(std::string_view key) const {
    const std::string text = bytes_text(context_.options(), key.substr(0, 64));
    return key.size() > 64 ? text + "..." : text;
  }

  // Parts follow each other without gaps or overlaps.
  void follows(uint64_t offset, uint32_t stored_size, const char* what) {
    if (verify_ && next_offset_.has_value() && offset != *next_offset_) {
      complain(offset, format("%s begins here, what is before it ends at %llu", what,
                              number(*next_offset_)));
    }
    next_offset_ = offset + stored_size + kBlockTrailerSize;
  }

  // Rows of one block ascend in version order.
  void check_order(const RowBlock& block) {
    std::string previous = block.key(0);
    for (uint32_t i = 1; i < block.view.row_count(); ++i) {
      std::string key = block.key(i);
      const std::strong_ordering order =
          compare_versions({previous, block.view.timestamp(i - 1)}, {key, block.view.timestamp(i)});
      if (order >= 0) {
        complain(block.offset,
                 format("row %u of %u, '%s' @ %llu, does not come after '%s' @ %llu", i,
                        block.view.row_count(), shown(key).c_str(),
                        number(block.view.timestamp(i).nanos), shown(previous).c_str(),
                        number(block.view.timestamp(i - 1).nanos)));
      }
      previous = std::move(key);
    }
  }

  void check_partition(const RowBlock& top, uint32_t p) {
    const Result<IndexEntry> entry = parts_.entry(top, p, /*is_partition=*/true);
    if (!entry.ok()) {
      next_offset_.reset();
      forget_block();
      return fail(entry.status());
    }
    const Result<RowBlock> index = parts_.rows(entry->handle);
    if (!index.ok()) {
      next_offset_ = entry->handle.offset + entry->handle.stored_size + kBlockTrailerSize;
      forget_block();
      return fail(index.status());
    }
    check_order(*index);
    check_first(top.offset, *entry, *index);
    ++totals_.partitions;
    totals_.bytes += index->stored_size + kBlockTrailerSize;
    partition_ = {.flags = kBlockLiveSingleVersion};
    partition_number_ = p;
    const bool was_incomplete = incomplete_;
    incomplete_ = false;
    hashes_.clear();
    for (uint32_t b = 0; b < index->view.row_count(); ++b) check_data_block(*index, b);
    if (entry->handle.filter_stored_size != 0) {
      check_filter(entry->handle);
    } else if (verify_ && properties_.has_value() && properties_->filter_bits_per_key != 0) {
      complain(top.offset, format("partition %u has no filter", p));
    }
    follows(entry->handle.offset, entry->handle.stored_size, "index");
    // The last block's flag waits for the next partition's first key.
    if (!incomplete_) {
      pending_partition_ = {
          .offset = top.offset, .claimed = entry->handle, .found = partition_, .last_key = {}};
    }
    incomplete_ |= was_incomplete;
  }

  // What an index says of the first version of the block below it.
  void check_first(uint64_t index_offset, const IndexEntry& entry, const RowBlock& block) {
    if (!verify_) return;
    const std::string key = block.key(0);
    if (key != entry.first_key || block.view.timestamp(0) != entry.first_timestamp) {
      complain(
          index_offset,
          format("the block at %llu begins with '%s' @ %llu, its index entry says '%s' @ %llu",
                 number(block.offset), shown(key).c_str(), number(block.view.timestamp(0).nanos),
                 shown(entry.first_key).c_str(), number(entry.first_timestamp.nanos)));
    }
  }

  void check_data_block(const RowBlock& index, uint32_t b) {
    const Result<IndexEntry> entry = parts_.entry(index, b, /*is_partition=*/false);
    if (!entry.ok()) {
      next_offset_.reset();
      forget_block();
      return fail(entry.status());
    }
    follows(entry->handle.offset, entry->handle.stored_size, "data block");
    const Result<RowBlock> block = parts_.rows(entry->handle);
    if (!block.ok()) {
      forget_block();
      return fail(block.status());
    }
    check_order(*block);
    check_first(index.offset, *entry, *block);
    finish_block(block->key(0), block->view.timestamp(0));
    sum_up(*block, entry->handle);
  }

  void sum_up(const RowBlock& block, const BlockHandle& claimed) {
    ++totals_.data_blocks;
    totals_.compressed_blocks += block.trailer.codec != Compression::none;
    totals_.bytes += block.stored_size + kBlockTrailerSize;
    SummedBlock sum{.offset = block.offset,
                    .claimed = claimed,
                    .found = {.rows = block.view.row_count(),
                              .flags = continues_key_ ? 0 : kBlockLiveSingleVersion},
                    .last_key = {},
                    .partition = partition_number_,
                    .neighbour_unknown = neighbour_unknown_};
    neighbour_unknown_ = false;
    for (uint32_t i = 0; i < block.view.row_count(); ++i) {
      std::string key = block.key(i);
      const Timestamp timestamp = block.view.timestamp(i);
      const bool same_key = i > 0 && key == sum.last_key;
      const RowContent row = block.content(i);
      if (same_key || row.kind != VersionKind::value) sum.found.flags &= ~kBlockLiveSingleVersion;
      if (row.kind == VersionKind::value_pointer) {
        sum.found.flags |= kBlockHasPointers;
        check_pointer(block, row.value);
      }
      sum.found.tombstones += row.kind == VersionKind::tombstone;
      sum.found.timestamp_max = std::max(sum.found.timestamp_max, timestamp);
      if (totals_.versions == 0) totals_.smallest_key = key;
      ++totals_.versions;
      totals_.user_keys += !same_key && !(i == 0 && continues_key_);
      totals_.raw_bytes += key.size() + row.value.size();
      totals_.forgotten += timestamp == kTimestampMin;
      totals_.timestamp_min = std::min(totals_.timestamp_min, timestamp);
      totals_.timestamp_max = std::max(totals_.timestamp_max, timestamp);
      if (verify_) hashes_.push_back(key_hash(key));
      sum.last_key = std::move(key);
    }
    last_timestamp_ = block.view.timestamp(block.view.row_count() - 1);
    totals_.tombstones += sum.found.tombstones;
    totals_.largest_key = sum.last_key;
    partition_.timestamp_max = std::max(partition_.timestamp_max, sum.found.timestamp_max);
    partition_.tombstones += sum.found.tombstones;
    pending_ = std::move(sum);
  }

  // Verification follows it.
  void check_pointer(const RowBlock& block, std::string_view value) {
    ValuePointer pointer;
    if (!decode_value_pointer(value, &pointer)) {
      return complain(block.offset, format("a pointer of %zu bytes is none", value.size()));
    }
    if (!properties_.has_value()) return;  // they were reported
    if (pointer.file >= properties_->values.size()) {
      return complain(block.offset, format("a pointer to a value in file %u of %zu", pointer.file,
                                           properties_->values.size()));
    }
    totals_.values.resize(properties_->values.size());
    ++totals_.values[pointer.file].values;
    totals_.values[pointer.file].bytes += pointer.place.end() - pointer.place.offset;
    if (!verify_) return;
    if (const Result<std::string> read = parts_.large_value(value); !read.ok()) {
      context_.problem(parts_.at(block.offset, read.status()));
    }
  }

  // The block before, and the partition before if it ended there, now that it is known which key
  // comes next. No key: the end of the file.
  void finish_block(const std::optional<std::string>& next_key, Timestamp next_timestamp = {}) {
    continues_key_ =
        pending_.has_value() && next_key.has_value() && pending_->last_key == *next_key;
    if (pending_.has_value()) {
      if (next_key.has_value() && compare_versions({pending_->last_key, last_timestamp_},
                                                   {*next_key, next_timestamp}) >= 0) {
        complain(pending_->offset,
                 format("the block ends with '%s' @ %llu, the next one begins with '%s' @ %llu",
                        shown(pending_->last_key).c_str(), number(last_timestamp_.nanos),
                        shown(*next_key).c_str(), number(next_timestamp.nanos)));
      }
      const bool may_continue =
          pending_->neighbour_unknown && (pending_->claimed.flags & kBlockLiveSingleVersion) == 0;
      if (continues_key_ || may_continue) pending_->found.flags &= ~kBlockLiveSingleVersion;
      check_summary(*pending_);
    }
    // The flag of the last block of a partition goes into the partition's.
    if (pending_partition_.has_value()) {
      if (pending_.has_value()) pending_partition_->found.flags &= pending_->found.flags;
      pending_partition_->found.rows = pending_partition_->claimed.rows;
      check_summary(*pending_partition_);
      pending_partition_.reset();
    } else if (pending_.has_value() && pending_->partition == partition_number_) {
      partition_.flags &= pending_->found.flags;
    }
    pending_.reset();
  }
  // A block cannot be read: order and flags of its neighbours cannot be judged.
  void forget_block() {
    pending_.reset();
    pending_partition_.reset();
    continues_key_ = false;
    neighbour_unknown_ = true;
  }

  void check_summary(const SummedBlock& block) {
    const uint64_t at = block.claimed.offset;
    expect(at, "newest timestamp", block.found.timestamp_max.nanos,
           block.claimed.timestamp_max.nanos);
    expect(at, "number of tombstones", block.found.tombstones, block.claimed.tombstones);
    expect(at, "number of rows", block.found.rows, block.claimed.rows);
    expect(at, "flag 'live and single-version'", block.found.flags & kBlockLiveSingleVersion,
           block.claimed.flags & kBlockLiveSingleVersion);
    expect(at, "flag 'has pointers'", block.found.flags & kBlockHasPointers,
           block.claimed.flags & kBlockHasPointers);
  }

  void check_filter(const BlockHandle& partition) {
    follows(partition.filter_offset, partition.filter_stored_size, "filter");
    const Result<FilterBlock> filter = parts_.filter(partition);
    if (!filter.ok()) return fail(filter.status());
    ++totals_.filters;
    totals_.bytes += partition.filter_stored_size + kBlockTrailerSize;
    if (!verify_) return;
    if (properties_.has_value() && properties_->filter_bits_per_key == 0) {
      complain(filter->offset, "a filter, although the properties say that there are none");
    }
    const size_t missing =
        static_cast<size_t>(std::count_if(hashes_.begin(), hashes_.end(), [&](uint64_t hash) {
          return !filter->view.may_contain(hash);
        }));
    if (missing != 0) {
      complain(filter->offset,
               format("%zu versions of the partition's %zu are hidden by its filter", missing,
                      hashes_.size()));
    }
    constexpr uint64_t kProbes = 2000;
    Random random(partition.filter_offset);
    for (uint64_t i = 0; i < kProbes; ++i)
      probes_passed_ += filter->view.may_contain(random.next());
    probes_ += kProbes;
  }

  void check_properties() {
    const SstableProperties& p = *properties_;
    const uint64_t at = parts_.footer().properties_offset;
    expect(at, "number of versions", totals_.versions, p.versions);
    expect(at, "number of user keys", totals_.user_keys, p.user_keys);
    expect(at, "number of tombstones", totals_.tombstones, p.tombstones);
    expect(at, "oldest timestamp", totals_.timestamp_min.nanos, p.timestamp_min.nanos);
    expect(at, "newest timestamp", totals_.timestamp_max.nanos, p.timestamp_max.nanos);
    expect(at, "number of raw bytes", totals_.raw_bytes, p.raw_bytes);
    expect(at, "number of data blocks", totals_.data_blocks, p.data_blocks);
    expect(at, "number of partitions", totals_.partitions, p.partitions);
    totals_.values.resize(p.values.size());
    for (size_t i = 0; i < p.values.size(); ++i) {
      expect(at, "number of values in a file", totals_.values[i].values, p.values[i].values);
      expect(at, "number of bytes in a file of values", totals_.values[i].bytes, p.values[i].bytes);
    }
    if (totals_.smallest_key != p.smallest_key) {
      complain(at, "smallest key is '" + shown(totals_.smallest_key) + "' in the data, '" +
                       shown(p.smallest_key) + "' here");
    }
    if (totals_.largest_key != p.largest_key) {
      complain(at, "largest key is '" + shown(totals_.largest_key) + "' in the data, '" +
                       shown(p.largest_key) + "' here");
    }
    if (totals_.forgotten != 0 && p.collapse_horizon == kTimestampMin && !p.undated) {
      complain(at, format("%llu versions of timestamp 0, but no collapse horizon",
                          number(totals_.forgotten)));
    }
    if (totals_.compressed_blocks != 0 && p.codec == Compression::none) {
      complain(at, format("%llu compressed blocks, but the codec is none",
                          number(totals_.compressed_blocks)));
    }
  }

  Context& context_;
  SstableParts& parts_;
  const bool verify_;
  std::optional<SstableProperties> properties_;
  Totals totals_;
  bool incomplete_ = false;              // a part could not be read: sums say nothing
  std::optional<uint64_t> next_offset_;  // where the next part should begin; nothing: unknown
  std::optional<SummedBlock> pending_;
  Timestamp last_timestamp_;        // of the last row of pending_
  bool continues_key_ = false;      // the next block begins with the last key of the one before
  bool neighbour_unknown_ = false;  // the block before the next one cannot be read
  uint32_t partition_number_ = 0;
  BlockHandle partition_;  // sums over the data blocks of the partition so far
  std::optional<SummedBlock> pending_partition_;
  std::vector<uint64_t> hashes_;  // of the keys of the partition
  uint64_t probes_ = 0;
  uint64_t probes_passed_ = 0;
};

}  // namespace

void check_sstable(Context* context, SstableParts* parts, bool verify) {
  Checker checker(context, parts, verify);
  checker.run();
  const Totals& totals = checker.totals();
  const uint64_t problems = context->problems_of_file();
  if (context->options().json) {
    nlohmann::ordered_json object = new_object(parts->path(), verify ? "verify" : "check");
    object["ok"] = problems == 0;
    object["problems"] = problems;
    object["versions"] = totals.versions;
    object["data_blocks"] = totals.data_blocks;
    object["partitions"] = totals.partitions;
    object["bytes_read"] = totals.bytes;
    object["complete"] = !checker.incomplete();
    if (const std::optional<double> rate = checker.false_positive_rate(); rate.has_value()) {
      object["filter_false_positive_rate"] = *rate;
    }
    return context->out().json(object);
  }
  std::string line = tools::escape(parts->path()) + ": " +
                     (problems == 0 ? "ok" : tools::counted(problems, "problem")) + ", " +
                     tools::counted(totals.versions, "version") + " in " +
                     tools::counted(totals.data_blocks, "block") + " of " +
                     tools::counted(totals.partitions, "partition") + ", " +
                     tools::format_size(totals.bytes) + " read";
  if (verify && checker.incomplete()) line += ", properties not held against the data";
  if (const std::optional<double> rate = checker.false_positive_rate(); rate.has_value()) {
    line += format(", filters let %.2f %% of absent keys pass", *rate * 100);
  }
  context->out().line(line);
}

}  // namespace varve::sst_dump
