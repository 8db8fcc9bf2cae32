#include "tools/sst_dump/table_catalog.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/coding.h"
#include "base/format.h"
#include "lsm/batch_format.h"
#include "lsm/current_file.h"
#include "lsm/manifest.h"
#include "lsm/wal_reader.h"
#include "varve/key_codec.h"

namespace varve::sst_dump {

// Puts together the newest versions of the catalog's keys.
class CatalogReader {
 public:
  CatalogReader(Context* context, const std::string& directory)
      : context_(*context), directory_(directory) {}

  void read() {
    const Result<ManifestState> state = read_state();
    if (!state.ok()) return problem(state.status());
    for (const auto& [id, keyspace] : state->keyspaces) {
      if (keyspace.name == kRowsKeyspace) catalog_.rows_ = Keyspace{id};
      if (keyspace.name == kCatalogKeyspace) keyspace_ = Keyspace{id};
    }
    if (!keyspace_ || !catalog_.rows_) {
      return problem(Status::not_found(directory_ + ": the database has no tables"));
    }
    read_log(*state);
    for (const auto& [number, file] : state->keyspaces.at(keyspace_->id).files) read_sstable(file);
    for (const auto& [key, version] : newest_) {
      if (version.kind == VersionKind::value) add(key, version.value);
    }
  }

  const std::vector<Status>& problems() const { return problems_; }
  TableCatalog& catalog() { return catalog_; }

 private:
  // As table/catalog.cc names them, and counts kinds of keys.
  static constexpr std::string_view kCatalogKeyspace = "varve.catalog";
  static constexpr std::string_view kRowsKeyspace = "varve.rows";
  static constexpr uint64_t kTenantKey = 0;
  static constexpr uint64_t kTableKey = 2;

  struct Version {
    Timestamp timestamp;
    VersionKind kind = VersionKind::value;
    std::string value;
  };

  void problem(const Status& status) {
    problems_.push_back(status.with_context("the catalog of " + directory_));
  }

  void note(std::string_view key, Timestamp timestamp, VersionKind kind, std::string_view value) {
    const auto found = newest_.find(key);
    if (found != newest_.end() && timestamp < found->second.timestamp) return;
    newest_.insert_or_assign(
        std::string(key),
        Version{.timestamp = timestamp, .kind = kind, .value = std::string(value)});
  }

  Result<ManifestState> read_state() {
    VARVE_ASSIGN_OR_RETURN(const CurrentManifest current,
                           read_current(context_.files(), directory_));
    return read_manifest(context_.files(), path_in(directory_, manifest_name(current.number)),
                         &current.file);
  }

  // -- the log --

  void read_log(const ManifestState& state) {
    const Result<std::vector<std::string>> names = context_.files()->list(directory_);
    if (!names.ok()) return problem(names.status());
    std::vector<FileNumber> segments;
    for (const std::string& name : *names) {
      const FileName parsed = parse_file_name(name);
      if (parsed.type == FileType::wal) segments.push_back(parsed.number);
    }
    std::sort(segments.begin(), segments.end());
    WalReader reader(context_.files(), directory_, context_.memory(), &state.database);
    if (const Status opened = reader.open(segments, state.log_start); !opened.ok()) {
      return problem(opened);
    }
    WalGroup group;
    for (;;) {
      const Result<bool> more = reader.next(&group);
      if (!more.ok()) return problem(more.status());
      if (!*more) return;
      if (group.header.kind == WalKind::commits && !read_group(group)) {
        problem(Status::corruption(format("%s at offset %llu: commits are not readable",
                                          path_in(directory_, wal_name(group.segment)).c_str(),
                                          static_cast<unsigned long long>(group.offset))));
      }
    }
  }

  // False: it is malformed.
  bool read_group(const WalGroup& group) {
    WalCommitReader commits(group.header, group.payload);
    WalCommit commit;
    while (commits.next(&commit)) {
      BatchReader entries(commit.batch);
      BatchEntry entry;
      while (entries.next(&entry)) {
        if (entry.keyspace.id != keyspace_->id) continue;
        note(entry.key, commit.timestamp, entry.kind, entry.value);
      }
      if (!entries.ok()) return false;
    }
    return commits.ok();
  }

  // -- sstables --

  void read_sstable(const AddedFile& file) {
    const Result<std::unique_ptr<SstableParts>> opened = SstableParts::open(
        context_.files(), path_in(directory_, sstable_name(file.info.number)), context_.memory());
    if (!opened.ok()) return problem(opened.status());
    SstableParts* const parts = opened->get();
    const Result<RowBlock> top = parts->top_index();
    if (!top.ok()) return problem(top.status());
    for_each_block(parts, *top, /*is_top=*/true, [&](const RowBlock& index) {
      for_each_block(parts, index, /*is_top=*/false, [&](const RowBlock& block) {
        for (uint32_t i = 0; i < block.view.row_count(); ++i) {
          // Of an undated file only the manifest knows when it was committed.
          RowContent row = block.content(i);
          std::string large;
          if (Status status = parts->resolve(&row, &large); !status.ok()) {
            problem(status);
            continue;
          }
          note(block.key(i), file.info.undated ? file.info.timestamp_max : row.timestamp, row.kind,
               row.value);
        }
      });
    });
  }

  // Calls `visit(block)` for each block that an index leads to.
  template <typename Visit>
  void for_each_block(SstableParts* parts, const RowBlock& index, bool is_top, const Visit& visit) {
    for (uint32_t i = 0; i < index.view.row_count(); ++i) {
      const Result<IndexEntry> entry = parts->entry(index, i, is_top);
      if (!entry.ok()) {
        problem(entry.status());
        continue;
      }
      const Result<RowBlock> block = parts->rows(entry->handle);
      if (block.ok()) {
        visit(*block);
      } else {
        problem(block.status());
      }
    }
  }

  // -- what the keys say --

  void add(std::string_view key, std::string_view value) {
    KeyReader reader(key);
    const std::optional<uint64_t> kind = reader.uint64();
    if (kind == kTenantKey) {
      std::string scratch(key.size(), '\0');
      const std::optional<std::string_view> name = reader.text(scratch);
      if (!name || !reader.done() || value.size() != sizeof(uint32_t)) return malformed(key);
      catalog_.tenants_[load_le<uint32_t>(value.data())] = *name;
    } else if (kind == kTableKey) {
      const std::optional<uint64_t> tenant = reader.uint64();
      const std::optional<uint64_t> table = reader.uint64();
      if (!tenant || !table || !reader.done()) return malformed(key);
      Result<std::shared_ptr<const TablePlan>> plan = TablePlan::make(value);
      if (!plan.ok()) return problem(plan.status());
      const TableSchema& schema = (*plan)->schema();
      if (schema.tenant != *tenant || schema.id != *table) return malformed(key);
      catalog_.tables_[{schema.tenant, schema.id}] = std::move(*plan);
    }
  }

  void malformed(std::string_view key) {
    problem(Status::corruption("what lies under the key " + readable(key) + " is malformed"));
  }

  Context& context_;
  const std::string& directory_;
  std::optional<Keyspace> keyspace_;  // of the catalog
  std::map<std::string, Version, std::less<>> newest_;
  std::vector<Status> problems_;
  TableCatalog catalog_;
};

TableCatalog TableCatalog::read(Context* context, const std::string& directory) {
  // A running owner may replace what the manifest named a moment ago.
  constexpr int kAttemptsMax = 3;
  for (int attempt = 1;; ++attempt) {
    CatalogReader reader(context, directory);
    reader.read();
    if (!reader.problems().empty() && attempt < kAttemptsMax) continue;
    for (const Status& problem : reader.problems()) context->problem(problem);
    return std::move(reader.catalog());
  }
}

const TablePlan* TableCatalog::find(uint32_t tenant, uint32_t table) const {
  const auto found = tables_.find({tenant, table});
  return found == tables_.end() ? nullptr : found->second.get();
}

std::string TableCatalog::tenant_name(uint32_t tenant) const {
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? format("#%u", tenant) : found->second;
}

}  // namespace varve::sst_dump
