// The keyspaces of a store, and what readers see of each.

#include "lsm/store.h"

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"

namespace varve {

Tree* Store::tree(Keyspace keyspace) {
  EpochDomain::Guard guard(epochs_);
  const TreeTable* table = tree_table_.load(kAcquire);  // pairs with publish_trees()
  if (keyspace.id >= table->trees.size()) return nullptr;
  Tree* tree = table->trees[keyspace.id];
  return tree == nullptr || tree->dropped.load(kRelaxed) ? nullptr : tree;
}

std::vector<Tree*> Store::trees() {
  MutexLock lock(mutex_);
  std::vector<Tree*> trees;
  for (auto& [id, tree] : all_trees_) {
    if (!tree->dropped.load()) trees.push_back(tree.get());
  }
  return trees;
}

Store::TreeTable* Store::publish_trees() {
  TreeTable* table = new TreeTable;
  table->retired.reclaim = &TreeTable::reclaim;
  for (auto& [id, tree] : all_trees_) {
    table->trees.resize(id + 1, nullptr);
    table->trees[id] = tree.get();
  }
  return tree_table_.exchange(table);
}

ReadView* Store::view_of(Tree* tree) {
  EpochDomain::Guard guard(epochs_);
  ReadView* view = tree->view.load(kAcquire);  // pairs with publish_view()
  view->ref();
  return view;
}

Levels* Store::levels_of(Tree* tree) {
  EpochDomain::Guard guard(epochs_);
  Levels* levels = &tree->view.load(kAcquire)->levels();  // pairs with publish_view()
  levels->ref();
  return levels;
}

ReadView* Store::publish_view(Tree* tree, ReadView* view) {
  return tree->view.exchange(view, kAcqRel);  // release: pairs with loads of readers
}

Memtable* Store::new_memtable(size_t keys_expected) {
  return Memtable::create(&memory_, &epochs_, keys_expected, options_.write_buffer_size);
}

void Store::keep_spare_memtable() {
  {
    MutexLock lock(mutex_);
    if (spare_ != nullptr) return;
  }
  Memtable* fresh = new_memtable(0);
  MutexLock lock(mutex_);
  if (spare_ == nullptr) std::swap(spare_, fresh);
  if (fresh != nullptr) fresh->unref();
}

void Store::want_next_memtable(const Tree* tree) {
  if (!serves()) return;  // a replay has one memtable at a time
  const uint64_t active = active_bytes_.load();
  const bool is_due = !next_was_wanted_ && active >= options_.write_buffer_size / 4 * 3 &&
                      immutable_bytes_.load() == 0;        // else three would take memory
  if (!is_due || tree->active_bytes < active / 2) return;  // or it is not the one to be flushed
  next_was_wanted_ = true;
  {
    MutexLock lock(mutex_);
    if (next_.memtable != nullptr && next_.keyspace == tree->keyspace) return;
    next_.keys_expected = tree->active->keys() / 3 * 4 + 1;
    next_.keyspace = tree->keyspace;
  }
  schedule(&ahead_task_);
}

void Store::prepare_next_memtable() {
  NextMemtable next;  // first what was for another keyspace
  {
    MutexLock lock(mutex_);
    if (next_.keys_expected == 0) return;
    next = next_;
    next_.memtable = nullptr;
    next_.view = nullptr;
  }
  unref(next);
  next.memtable = new_memtable(next.keys_expected);
  next.view = next.memtable == nullptr ? nullptr : ReadView::make_room(&memory_);
  {
    MutexLock lock(mutex_);
    const bool is_wanted =
        next_.keys_expected == next.keys_expected && next_.keyspace == next.keyspace;
    if (is_wanted && !closing_.load()) {
      next.keys_expected = 0;
      std::swap(next_, next);
    }
  }
  unref(next);  // unless it came in time
}

Store::NextMemtable Store::take_next_memtable(const Tree* tree) {
  next_was_wanted_ = false;
  MutexLock lock(mutex_);
  return next_.keyspace == tree->keyspace ? std::exchange(next_, {}) : NextMemtable();
}

void Store::drop_next_memtable() {
  NextMemtable dropped;
  {
    MutexLock lock(mutex_);
    dropped = std::exchange(next_, {});
  }
  unref(dropped);
}

void Store::unref(const NextMemtable& next) {
  if (next.memtable == nullptr) return;
  next.memtable->unref();
  next.view->unref();
}

Result<std::unique_ptr<Tree>> Store::make_tree(Keyspace keyspace, const std::string& name,
                                               const KeyspaceOptions& options, Levels* levels) {
  Memtable* memtable = new_memtable(0);
  if (memtable == nullptr) {
    levels->unref();
    return Status::out_of_memory("no memory for a keyspace's memtable");
  }
  auto tree = std::make_unique<Tree>(keyspace, name, options);
  tree->logged = options.durability.value_or(options_.user.durability) != Durability::none;
  tree->retention_nanos = static_cast<uint64_t>(
      options.history_retention.value_or(options_.user.history_retention).count());
  tree->active = memtable;
  for (const Run& run : levels->runs()) {
    tree->next_run = std::max(tree->next_run, run.id.value + 1);
  }
  tree->view.store(ReadView::create({memtable}, levels));
  return tree;
}

Tree* Store::add_tree(std::unique_ptr<Tree> tree) {
  Tree* added = tree.get();
  TreeTable* old;
  {
    MutexLock lock(mutex_);
    all_trees_[added->keyspace.id] = std::move(tree);
    old = publish_trees();
  }
  // Without the lock: it may reclaim views, whose files are disposed of under it.
  if (old != nullptr) epochs_.retire(&old->retired);
  return added;
}

Result<Keyspace> Store::commit_create_keyspace(std::string_view name,
                                               const KeyspaceOptions& options,
                                               Timestamp timestamp) {
  for (const Tree* tree : trees()) {
    if (tree->name == name) {
      return Status::already_exists("keyspace " + readable(name) + " exists");
    }
  }
  // What was committed before must not be lost by a crash that this survives.
  VARVE_RETURN_IF_ERROR(sync_log());
  MutexLock lock(manifest_mutex_);
  const Keyspace keyspace = state_.next_keyspace;
  if (keyspace.id + 1 > kKeyspacesMax) {
    return Status::invalid_argument(
        format("%u keyspaces were created, no more can be", kKeyspacesMax));
  }
  // Whatever may fail comes before the edit.
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Tree> tree,
                         make_tree(keyspace, std::string(name), options, Levels::create({})));
  LevelsEdit edit;
  edit.keyspaces_added.push_back({.keyspace = keyspace,
                                  .name = std::string(name),
                                  .options = options,
                                  .created = timestamp,
                                  .flushed = {}});
  edit.next_keyspace = Keyspace{keyspace.id + 1};
  VARVE_RETURN_IF_ERROR(append_to_manifest(edit));
  add_tree(std::move(tree));
  return keyspace;
}

Status Store::commit_drop_keyspace(Keyspace keyspace, Timestamp timestamp) {
  if (keyspace == kDefaultKeyspace) {
    return Status::invalid_argument("the default keyspace cannot be dropped");
  }
  Tree* tree = this->tree(keyspace);
  if (tree == nullptr) return Status::not_found(format("no keyspace %u", keyspace.id));
  // What was committed before must not be lost by a crash that this survives.
  VARVE_RETURN_IF_ERROR(sync_log());
  // Nothing is ever applied to a dropped keyspace: all of them share one empty memtable.
  if (nothing_ == nullptr) nothing_ = new_memtable(0);
  if (nothing_ == nullptr) return Status::out_of_memory("no memory to drop a keyspace");
  Memtable* memtable = nothing_;
  memtable->ref();
  ReadView* old;
  {
    MutexLock manifest_lock(manifest_mutex_);
    LevelsEdit edit;
    edit.keyspaces_dropped.push_back({.keyspace = keyspace, .dropped = timestamp});
    if (Status status = append_to_manifest(edit); !status.ok()) {
      memtable->unref();
      return status;
    }
    MutexLock lock(mutex_);
    tree->dropped.store(true);
    old = publish_view(tree, ReadView::create({memtable}, Levels::create({})));
    active_bytes_.fetch_sub(tree->active_bytes);
    for (const Memtable* flushed : old->memtables().subspan(1)) {
      immutable_bytes_.fetch_sub(flushed->held_bytes());
    }
    tree->active = memtable;
    tree->active_bytes = 0;
    update_runs_most();
    changed_.notify_all();
  }
  std::vector<FileNumber> files;
  for (const Run& run : old->levels().runs()) {
    for (const Sstable* file : run.files) files.push_back(file->info().number);
  }
  mark_obsolete(old->levels(), files);
  unref(take_next_memtable(tree));
  old->retire(&epochs_);
  return Status();
}

}  // namespace varve
