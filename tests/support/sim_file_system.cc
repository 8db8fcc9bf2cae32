#include "tests/support/sim_file_system.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/hash.h"

namespace varve::test {

namespace {

using Kind = FileCall::Kind;

Status missing(const std::string& path) { return Status::not_found(path + ": no such file"); }
Status exists(const std::string& path) { return Status::already_exists(path + ": exists"); }

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}
bool is_root(const std::string& path) { return path == "/" || path == "."; }

FileType type_of(const std::string& path) {
  return parse_file_name(std::string_view(path).substr(path.rfind('/') + 1)).type;
}

uint64_t pages_up(uint64_t size) { return (size + kSimPageSize - 1) / kSimPageSize * kSimPageSize; }

Status status_of(SimError error, const std::string& path) {
  switch (error) {
    case SimError::no_space:
      return Status::no_space(path + ": no space left on device (injected)");
    case SimError::too_many_open:
      return Status::busy(path + ": too many open files (injected)");
    default:
      return Status::io_error(path + ": input/output error (injected)");
  }
}

bool lies(SimError error) { return error >= SimError::short_read; }

}  // namespace

const char* name_policy_name(NamePolicy policy) {
  constexpr std::array<const char*, kNamePolicies> kNames = {"lose all", "keep all", "prefix",
                                                             "subset"};
  return kNames[static_cast<size_t>(policy)];
}

const char* sim_error_name(SimError error) {
  constexpr std::array<const char*, 7> kNames = {"io_error",          "no_space", "too_many_open",
                                                 "short_read",        "bit_flip", "stale_sector",
                                                 "misdirected_sector"};
  return kNames[static_cast<size_t>(error)];
}

SimContent& SimFileSystem::Node::changeable() {
  if (content.use_count() > 1) content = std::make_shared<SimContent>(*content);
  return *content;
}

class SimFileSystem::OpenFile final : public File {
 public:
  OpenFile(SimFileSystem* owner, std::string path, NodePtr node, bool writable)
      : owner_(owner), path_(std::move(path)), node_(std::move(node)), writable_(writable) {}

  void submit(IoRequest* request) override {
    const std::lock_guard lock(owner_->mutex_);
    request->transferred = 0;
    switch (request->kind) {
      case IoRequest::Kind::read:
        request->status = owner_->read(node_.get(), path_, request);
        break;
      case IoRequest::Kind::write:
        request->status = writable_ ? owner_->write(node_.get(), path_, request->offset,
                                                    {request->data, request->size})
                                    : Status::io_error(path_ + ": write: opened for reading");
        if (request->status.ok()) {
          request->transferred = request->size;
          write_ahead(request->offset + request->size);
        }
        break;
      case IoRequest::Kind::sync:
        request->status = owner_->sync(node_.get(), path_);
        break;
    }
  }
  void wait(IoRequest*) override {}
  void expect_appends(uint64_t end) override { append_end_ = end; }
  void renamed(const std::string& path) override { path_ = path; }
  Result<uint64_t> size() override {
    const std::lock_guard lock(owner_->mutex_);
    const Outcome outcome{.kind = Kind::size, .path = path_};
    VARVE_RETURN_IF_ERROR(owner_->note(outcome, owner_->begin(Kind::size, path_)));
    return node_->content->size();
  }
  Status truncate(uint64_t size) override {
    const std::lock_guard lock(owner_->mutex_);
    Status status = owner_->begin(Kind::truncate, path_);
    if (status.ok()) {
      SimContent& content = node_->changeable();
      content.truncate(size);
      const uint64_t allocated = std::min(content.allocated(), pages_up(size));
      owner_->used_ -= content.allocated() - allocated;
      content.set_allocated(allocated);
    }
    return owner_->note({.kind = Kind::truncate, .path = path_, .offset = size}, status);
  }
  Status allocate(uint64_t size, bool keep_size) override {
    const std::lock_guard lock(owner_->mutex_);
    Status status = owner_->begin(Kind::allocate, path_);
    if (status.ok()) status = owner_->reserve(&node_->changeable(), size);
    if (status.ok() && !keep_size && node_->content->size() < size) {
      node_->changeable().truncate(size);
    }
    return owner_->note({.kind = Kind::allocate, .path = path_, .offset = size}, status);
  }
  Status close() override {
    const std::lock_guard lock(owner_->mutex_);
    return owner_->note({.kind = Kind::close, .path = path_}, owner_->begin(Kind::close, path_));
  }

 private:
  // Zeros behind what was appended, as the operating system's files may have there.
  void write_ahead(uint64_t from) {
    const uint64_t end = std::min(pages_up(from) + kSimPageSize, append_end_);
    if (from <= zeros_end_ || end <= from || owner_->powered_off_) return;
    SimContent& content = node_->changeable();
    if (!owner_->reserve(&content, end).ok()) return;
    content.write(from, std::string(end - from, '\0'));
    zeros_end_ = end;
  }

  SimFileSystem* const owner_;
  std::string path_;
  const NodePtr node_;
  const bool writable_;
  uint64_t append_end_ = 0;
  uint64_t zeros_end_ = 0;
};

class SimFileSystem::Lock final : public FileLock {
 public:
  Lock(SimFileSystem* owner, std::string path) : owner_(owner), path_(std::move(path)) {}
  ~Lock() override {
    const std::lock_guard lock(owner_->mutex_);
    owner_->locked_.erase(path_);
  }

 private:
  SimFileSystem* const owner_;
  const std::string path_;
};

SimFileSystem::SimFileSystem(uint64_t seed) : random_(seed), reads_wait_((mix64(seed) & 1) != 0) {}
SimFileSystem::~SimFileSystem() = default;

// -- crashes --

std::unique_ptr<SimFileSystem> SimFileSystem::copy() const {
  const std::lock_guard lock(mutex_);
  auto twin = std::make_unique<SimFileSystem>(0);
  std::map<const Node*, NodePtr> twins;
  const auto twin_of = [&twins](const NodePtr& node) {
    NodePtr& made = twins[node.get()];
    if (made == nullptr) made = std::make_shared<Node>(*node);
    return made;
  };
  twin->random_ = random_;
  twin->reads_wait_ = reads_wait_;
  for (const auto& [path, node] : now_) twin->now_[path] = twin_of(node);
  for (const auto& [path, node] : durable_) twin->durable_[path] = twin_of(node);
  for (const Change& change : pending_) {
    twin->pending_.push_back({change.from, change.to, twin_of(change.node)});
  }
  twin->capacity_ = capacity_;
  twin->used_ = used_;
  return twin;
}

std::unique_ptr<SimFileSystem> SimFileSystem::crash(PagePolicy pages, NamePolicy names,
                                                    Random* random) const {
  const std::lock_guard lock(mutex_);
  Names surviving = durable_;
  const size_t prefix = random->below(pending_.size() + 1);
  for (size_t i = 0; i < pending_.size(); ++i) {
    const bool survives = names == NamePolicy::keep_all ||
                          (names == NamePolicy::prefix && i < prefix) ||
                          (names == NamePolicy::subset && random->one_in(2));
    if (survives) apply(pending_[i], &surviving);
  }
  auto after = std::make_unique<SimFileSystem>(random->next());
  std::map<const Node*, NodePtr> fates;  // a file with two names has one fate
  for (const auto& [path, node] : surviving) {
    const std::string parent = parent_of(path);
    if (!is_root(parent) && !after->now_.contains(parent)) continue;  // parents come first
    NodePtr& fate = fates[node.get()];
    if (fate == nullptr) {
      fate = std::make_shared<Node>(*node);
      if (!node->directory) {
        if (!node->content->clean()) {
          fate->content = std::make_shared<SimContent>(node->content->after_crash(pages, random));
        }
        after->used_ += fate->content->allocated();
      }
    }
    after->now_[path] = fate;
  }
  after->durable_ = after->now_;
  return after;
}

void SimFileSystem::power_off() {
  const std::lock_guard lock(mutex_);
  powered_off_ = true;
}

void SimFileSystem::apply(const Change& change, Names* names) {
  if (!change.from.empty()) {
    const auto found = names->find(change.from);
    if (found != names->end() && found->second == change.node) names->erase(found);
  }
  if (!change.to.empty()) (*names)[change.to] = change.node;
}

// -- faults --

void SimFileSystem::inject(const FaultRule& rule) {
  const std::lock_guard lock(mutex_);
  rules_.push_back({.rule = rule});
}

void SimFileSystem::clear_faults() {
  const std::lock_guard lock(mutex_);
  rules_.clear();
}

uint64_t SimFileSystem::faults_met() const {
  const std::lock_guard lock(mutex_);
  return faults_met_;
}

void SimFileSystem::set_capacity(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

uint64_t SimFileSystem::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

std::optional<SimError> SimFileSystem::fault(Kind kind, const std::string& path) {
  std::optional<SimError> error;
  for (ArmedRule& armed : rules_) {
    const FaultRule& rule = armed.rule;
    if (rule.call && *rule.call != kind) continue;
    if (rule.file && *rule.file != type_of(path)) continue;
    const uint64_t nth = armed.met++;
    if (!error && (nth == rule.nth || (rule.sticky && nth > rule.nth))) error = rule.error;
  }
  if (error) ++faults_met_;
  return error;
}

// What keeps a call from being carried out at all.
Status SimFileSystem::begin(Kind kind, const std::string& path) {
  if (powered_off_ && FileCall{kind, path}.changes()) {
    return Status::io_error(path + ": the power is off");
  }
  const std::optional<SimError> error = fault(kind, path);
  return error ? status_of(*error, path) : Status();
}

Status SimFileSystem::reserve(SimContent* content, uint64_t end) {
  const uint64_t wanted = std::max(content->allocated(), pages_up(end));
  const uint64_t more = wanted - content->allocated();
  if (more != 0 && (used_ > capacity_ || more > capacity_ - used_)) {
    return Status::no_space("no space left on device");
  }
  used_ += more;
  content->set_allocated(wanted);
  return Status();
}

// -- what happened --

Status SimFileSystem::note(const Outcome& outcome, Status status) {
  ++calls_;
  const auto fold = [this](uint64_t value) { trace_hash_ = mix64(trace_hash_ * 31 + value); };
  fold(static_cast<uint64_t>(outcome.kind) << 8 | static_cast<uint64_t>(status.code()));
  fold(key_hash(outcome.path));
  fold(outcome.offset);
  fold(key_hash(outcome.bytes));
  if (recording_) trace_.push_back({outcome.kind, type_of(outcome.path), status.code()});
  return status;
}

uint64_t SimFileSystem::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

uint64_t SimFileSystem::trace_hash() const {
  const std::lock_guard lock(mutex_);
  return trace_hash_;
}

void SimFileSystem::record_trace() {
  const std::lock_guard lock(mutex_);
  recording_ = true;
}

std::vector<SimFileSystem::Call> SimFileSystem::trace() const {
  const std::lock_guard lock(mutex_);
  return trace_;
}

uint64_t SimFileSystem::state_hash(const std::function<bool(const std::string&)>& counts) const {
  const std::lock_guard lock(mutex_);
  uint64_t hash = pending_.size();
  const auto add = [&](const Names& names) {
    for (const auto& [path, node] : names) {
      if (counts && !counts(path)) continue;
      hash = mix64(hash * 31 + key_hash(path));
      if (!node->directory) hash = mix64(hash * 31 + node->content->hash());
    }
  };
  add(durable_);
  if (!pending_.empty()) add(now_);
  return hash;
}

// -- files --

Status SimFileSystem::write(Node* node, const std::string& path, uint64_t offset,
                            std::string_view bytes) {
  Status status = begin(Kind::write, path);
  const bool injected = !status.ok() && !powered_off_;
  SimContent& content = node->changeable();
  size_t written = bytes.size();
  if (injected && status.code() == StatusCode::no_space && !bytes.empty()) {
    // Space ends where a sector does, and before the last byte.
    const uint64_t end = (offset + random_.below(bytes.size())) / kSimSectorSize * kSimSectorSize;
    written = end > offset ? end - offset : 0;
  } else if (injected) {
    written = random_.below(bytes.size() + 1);
  }
  if (status.ok()) {
    status = reserve(&content, offset + bytes.size());
    if (!status.ok()) {  // what fits in is there
      status = status.with_context(path);
      const uint64_t room = content.allocated() + (capacity_ > used_ ? capacity_ - used_ : 0);
      const uint64_t end = std::min(offset + bytes.size(), room / kSimPageSize * kSimPageSize);
      written = end > offset ? end - offset : 0;
    }
  }
  if (!powered_off_ && written != 0) {
    if (!reserve(&content, offset + written).ok()) written = 0;
    content.write(offset, bytes.substr(0, written));
  }
  return note({.kind = Kind::write, .path = path, .offset = offset, .bytes = bytes}, status);
}

Status SimFileSystem::read(Node* node, const std::string& path, IoRequest* request) {
  const std::optional<SimError> error = fault(Kind::read, path);
  Status status = error && !lies(*error) ? status_of(*error, path) : Status();
  if (status.ok()) {
    request->transferred = node->content->read(request->offset, request->data, request->size);
    if (error) lie(*error, *node->content, request);
  }
  return note({.kind = Kind::read,
               .path = path,
               .offset = request->offset,
               .bytes = {request->data, request->transferred}},
              status);
}

void SimFileSystem::lie(SimError error, const SimContent& content, IoRequest* request) {
  if (request->transferred == 0) return;
  if (error == SimError::short_read) {
    request->transferred = random_.below(request->transferred);
    return;
  }
  if (error == SimError::bit_flip) {
    char* byte = request->data + random_.below(request->transferred);
    *byte = static_cast<char>(*byte ^ 1 << random_.below(8));
    return;
  }
  // One sector of the file that the request reads from, or a part of it.
  const uint64_t first = request->offset / kSimSectorSize;
  const uint64_t last = (request->offset + request->transferred - 1) / kSimSectorSize;
  const uint64_t at = (first + random_.below(last - first + 1)) * kSimSectorSize;
  char sector[kSimSectorSize] = {};
  content.read(at, sector, sizeof sector);
  const bool differs = error == SimError::stale_sector
                           ? content.stale_sector(at, sector)
                           : content.misdirected_sector(at, sector, &random_);
  if (!differs) return;
  const uint64_t begin = std::max(at, request->offset);
  const uint64_t end = std::min(at + kSimSectorSize, request->offset + request->transferred);
  std::memcpy(request->data + (begin - request->offset), sector + (begin - at), end - begin);
}

Status SimFileSystem::sync(Node* node, const std::string& path) {
  Status status = begin(Kind::sync, path);
  if (status.ok()) {
    node->changeable().sync();
  } else if (!powered_off_) {
    node->changeable().fail_sync(&random_);
  }
  return note({.kind = Kind::sync, .path = path}, status);
}

Result<std::unique_ptr<File>> SimFileSystem::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  const Kind kind = mode == OpenMode::read         ? Kind::open_read
                    : mode == OpenMode::read_write ? Kind::open_write
                                                   : Kind::create;
  Status status = begin(kind, path);
  auto found = now_.find(path);
  if (status.ok() && mode == OpenMode::create_exclusive) {
    status = found != now_.end()  ? exists(path)
             : !has_parent(path)  ? missing(parent_of(path))
             : used_ >= capacity_ ? Status::no_space(path + ": no space left on device")
                                  : Status();
    if (status.ok()) {
      const NodePtr node = std::make_shared<Node>();
      node->content = std::make_shared<SimContent>();
      change({.from = "", .to = path, .node = node});
      found = now_.find(path);
    }
  } else if (status.ok() && (found == now_.end() || found->second->directory)) {
    status = missing(path);
  }
  VARVE_RETURN_IF_ERROR(note({.kind = kind, .path = path}, status));
  return std::unique_ptr<File>(
      std::make_unique<OpenFile>(this, path, found->second, mode != OpenMode::read));
}

Result<FileInfo> SimFileSystem::info(const std::string& path) {
  const std::lock_guard lock(mutex_);
  Status status = begin(Kind::info, path);
  const auto found = now_.find(path);
  if (status.ok() && found == now_.end() && !is_root(path)) status = missing(path);
  VARVE_RETURN_IF_ERROR(note({.kind = Kind::info, .path = path}, status));
  if (found == now_.end() || found->second->directory) return FileInfo{.is_directory = true};
  const SimContent& content = *found->second->content;
  return FileInfo{
      .size = content.size(), .allocated_bytes = content.allocated(), .is_directory = false};
}

// -- names --

bool SimFileSystem::has_parent(const std::string& path) const {
  const std::string parent = parent_of(path);
  const auto found = now_.find(parent);
  return is_root(parent) || (found != now_.end() && found->second->directory);
}

void SimFileSystem::change(Change change) {
  apply(change, &now_);
  pending_.push_back(std::move(change));
}

Result<std::vector<std::string>> SimFileSystem::list(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  Status status = begin(Kind::list, directory);
  const auto found = now_.find(directory);
  if (status.ok() && !is_root(directory) && (found == now_.end() || !found->second->directory)) {
    status = missing(directory);
  }
  VARVE_RETURN_IF_ERROR(note({.kind = Kind::list, .path = directory}, status));
  std::vector<std::string> names;
  for (const auto& [path, node] : now_) {
    if (parent_of(path) == directory) names.push_back(path.substr(path.rfind('/') + 1));
  }
  return names;
}

Status SimFileSystem::create_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  Status status = begin(Kind::create_directory, path);
  const auto found = now_.find(path);
  if (status.ok() && found != now_.end() && !found->second->directory) status = exists(path);
  if (status.ok() && !has_parent(path)) status = missing(parent_of(path));
  if (status.ok() && found == now_.end()) {
    const NodePtr node = std::make_shared<Node>();
    node->directory = true;
    change({.from = "", .to = path, .node = node});
  }
  return note({.kind = Kind::create_directory, .path = path}, status);
}

Status SimFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  Status status = begin(Kind::remove, path);
  const bool done = status.ok() || (!powered_off_ && random_.one_in(2));
  const auto found = now_.find(path);
  if (found == now_.end() || found->second->directory) {
    if (status.ok()) status = missing(path);
  } else if (done) {
    const NodePtr node = found->second;
    used_ -= node->content->allocated();
    node->changeable().set_allocated(0);
    change({.from = path, .to = "", .node = node});
  }
  return note({.kind = Kind::remove, .path = path}, status);
}

Status SimFileSystem::remove_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  Status status = begin(Kind::remove, path);
  const auto found = now_.find(path);
  if (status.ok() && (found == now_.end() || !found->second->directory)) status = missing(path);
  const bool empty = std::none_of(now_.begin(), now_.end(),
                                  [&](const auto& name) { return parent_of(name.first) == path; });
  if (status.ok() && !empty) status = Status::io_error(path + ": directory not empty");
  if (status.ok()) change({.from = path, .to = "", .node = found->second});
  return note({.kind = Kind::remove, .path = path}, status);
}

Status SimFileSystem::rename(const std::string& from, const std::string& to, bool replace) {
  const std::lock_guard lock(mutex_);
  Status status = begin(Kind::rename, from);
  const bool done = status.ok() || (!powered_off_ && random_.one_in(2));
  const auto found = now_.find(from);
  const auto target = now_.find(to);
  if (found == now_.end()) {
    if (status.ok()) status = missing(from);
  } else if (!replace && target != now_.end()) {
    if (status.ok()) status = exists(to);
  } else if (done) {
    if (target != now_.end()) {
      used_ -= target->second->content->allocated();
      target->second->changeable().set_allocated(0);
    }
    change({.from = from, .to = to, .node = found->second});
  }
  return note({.kind = Kind::rename, .path = from}, status);
}

Status SimFileSystem::sync_directory(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  Status status = begin(Kind::sync_directory, directory);
  if (status.ok() && !is_root(directory) && !now_.contains(directory)) status = missing(directory);
  // When it fails, some of the changes are durable, in order.
  size_t left = status.ok() ? pending_.size() : random_.below(pending_.size() + 1);
  if (!powered_off_) {
    std::erase_if(pending_, [&](const Change& change) {
      if (parent_of(change.from.empty() ? change.to : change.from) != directory) return false;
      if (left == 0) return false;
      --left;
      apply(change, &durable_);
      return true;
    });
  }
  return note({.kind = Kind::sync_directory, .path = directory}, status);
}

Result<std::unique_ptr<FileLock>> SimFileSystem::lock(const std::string& path) {
  const std::lock_guard lock(mutex_);
  Status status = begin(Kind::lock, path);
  if (status.ok() && locked_.contains(path)) {
    status = Status::busy(path + ": another handle owns it");
  }
  if (status.ok() && !has_parent(path)) status = missing(parent_of(path));
  VARVE_RETURN_IF_ERROR(note({.kind = Kind::lock, .path = path}, status));
  if (!now_.contains(path)) {
    const NodePtr node = std::make_shared<Node>();
    node->content = std::make_shared<SimContent>();
    change({.from = "", .to = path, .node = node});
  }
  locked_.insert(path);
  return std::unique_ptr<FileLock>(std::make_unique<Lock>(this, path));
}

void SimFileSystem::read_together(std::span<FileRead> reads, ReadListener* listener) {
  while (!reads.empty()) {
    FileSystem::read_together(reads.last(1), listener);
    reads = reads.first(reads.size() - 1);
  }
}

Result<uint64_t> SimFileSystem::free_bytes(const std::string&) {
  const std::lock_guard lock(mutex_);
  return capacity_ == UINT64_MAX ? uint64_t{1} << 40
                                 : (capacity_ > used_ ? capacity_ - used_ : uint64_t{0});
}

}  // namespace varve::test
