#include "tests/support/power_cut_files.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace varve::test {

namespace {

constexpr size_t kPageSize = 4096;
constexpr size_t kSectorSize = 512;

Status missing(const std::string& path) { return Status::not_found(path + ": no such file"); }

}  // namespace

class PowerCutFiles::OpenFile final : public File {
 public:
  OpenFile(PowerCutFiles* owner, ContentPtr content)
      : owner_(owner), content_(std::move(content)) {}

  void submit(IoRequest* request) override {
    const std::lock_guard lock(owner_->mutex_);
    request->status = Status();
    request->transferred = 0;
    std::string& now = content_->now;
    switch (request->kind) {
      case IoRequest::Kind::read: {
        const size_t start = std::min<uint64_t>(request->offset, now.size());
        request->transferred = std::min(request->size, now.size() - start);
        if (request->transferred != 0) {
          std::memcpy(request->data, now.data() + start, request->transferred);
        }
        break;
      }
      case IoRequest::Kind::write:
        if (now.size() < request->offset + request->size) {
          now.resize(request->offset + request->size);
        }
        now.replace(request->offset, request->size, request->data, request->size);
        request->transferred = request->size;
        break;
      case IoRequest::Kind::sync:
        content_->synced = now;
        break;
    }
  }
  void wait(IoRequest*) override {}
  Result<uint64_t> size() override {
    const std::lock_guard lock(owner_->mutex_);
    return uint64_t{content_->now.size()};
  }
  Status truncate(uint64_t size) override {
    const std::lock_guard lock(owner_->mutex_);
    content_->now.resize(size);
    return Status();
  }
  Status allocate(uint64_t size, bool keep_size) override {
    const std::lock_guard lock(owner_->mutex_);
    if (!keep_size && content_->now.size() < size) content_->now.resize(size);
    return Status();
  }
  Status close() override { return Status(); }

 private:
  PowerCutFiles* const owner_;
  const ContentPtr content_;
};

class PowerCutFiles::Lock final : public FileLock {
 public:
  Lock(PowerCutFiles* owner, std::string path) : owner_(owner), path_(std::move(path)) {}
  ~Lock() override {
    const std::lock_guard lock(owner_->mutex_);
    owner_->locked_.erase(path_);
  }

 private:
  PowerCutFiles* const owner_;
  const std::string path_;
};

void PowerCutFiles::apply(const Change& change, Names* names) {
  if (!change.from.empty()) {
    const auto found = names->find(change.from);
    if (found != names->end() && found->second == change.content) names->erase(found);
  }
  if (!change.to.empty()) (*names)[change.to] = change.content;
}

bool PowerCutFiles::is_in(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() + 1 && path.starts_with(directory + "/") &&
         path.find('/', directory.size() + 1) == std::string::npos;
}

std::string PowerCutFiles::surviving(const Content& content, Cut cut, Random* random) {
  if (cut == Cut::keep_all || (cut == Cut::random && random->one_in(4))) return content.now;
  if (cut == Cut::lose_all || random->one_in(4)) return content.synced;
  const size_t shorter = std::min(content.synced.size(), content.now.size());
  const size_t longer = std::max(content.synced.size(), content.now.size());
  std::string bytes(shorter + random->below(longer - shorter + 1), '\0');
  const auto copy = [&](const std::string& from, size_t begin, size_t end) {
    end = std::min({end, from.size(), bytes.size()});
    if (begin < end) bytes.replace(begin, end - begin, from, begin, end - begin);
  };
  for (size_t page = 0; page < bytes.size(); page += kPageSize) {
    const size_t end = page + kPageSize;
    switch (random->below(4)) {
      case 0:
        copy(content.synced, page, end);
        break;
      case 1: {  // torn: a few sectors are new
        copy(content.synced, page, end);
        const size_t tear = page + random->below(kPageSize / kSectorSize) * kSectorSize;
        random->one_in(2) ? copy(content.now, page, tear) : copy(content.now, tear, end);
        break;
      }
      default:
        copy(content.now, page, end);
        break;
    }
  }
  return bytes;
}

std::unique_ptr<PowerCutFiles> PowerCutFiles::cut_power(Cut cut, Random* random) {
  const std::lock_guard lock(mutex_);
  Names names = synced_;
  for (const Change& change : changes_) {
    const bool survives = cut == Cut::keep_all || (cut == Cut::random && !random->one_in(3));
    if (survives) apply(change, &names);
  }
  auto after = std::make_unique<PowerCutFiles>();
  after->directories_ = directories_;
  for (const auto& [path, content] : names) {
    const std::string bytes = surviving(*content, cut, random);
    after->now_[path] = std::make_shared<Content>(Content{.now = bytes, .synced = bytes});
  }
  after->synced_ = after->now_;
  return after;
}

Result<std::unique_ptr<File>> PowerCutFiles::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  auto found = now_.find(path);
  if (mode == OpenMode::create_exclusive) {
    if (found != now_.end()) return Status::already_exists(path + ": exists");
    found = now_.emplace(path, std::make_shared<Content>()).first;
    changes_.push_back({.from = "", .to = path, .content = found->second});
  } else if (found == now_.end()) {
    return missing(path);
  }
  return std::unique_ptr<File>(std::make_unique<OpenFile>(this, found->second));
}

Result<FileInfo> PowerCutFiles::info(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (directories_.contains(path)) return FileInfo{.is_directory = true};
  const auto found = now_.find(path);
  if (found == now_.end()) return missing(path);
  const uint64_t size = found->second->now.size();
  return FileInfo{.size = size, .allocated_bytes = size, .is_directory = false};
}

Result<std::vector<std::string>> PowerCutFiles::list(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  if (!directories_.contains(directory)) return missing(directory);
  std::vector<std::string> names;
  for (const auto& [path, content] : now_) {
    if (is_in(path, directory)) names.push_back(path.substr(directory.size() + 1));
  }
  return names;
}

Status PowerCutFiles::create_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  directories_.insert(path);
  return Status();
}

Status PowerCutFiles::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto found = now_.find(path);
  if (found == now_.end()) return missing(path);
  changes_.push_back({.from = path, .to = "", .content = found->second});
  now_.erase(found);
  return Status();
}

Status PowerCutFiles::remove_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return directories_.erase(path) != 0 ? Status() : missing(path);
}

Status PowerCutFiles::rename(const std::string& from, const std::string& to, bool replace) {
  const std::lock_guard lock(mutex_);
  const auto found = now_.find(from);
  if (found == now_.end()) return missing(from);
  if (!replace && now_.contains(to)) return Status::already_exists(to + ": exists");
  const Change change{.from = from, .to = to, .content = found->second};
  apply(change, &now_);
  changes_.push_back(change);
  return Status();
}

Status PowerCutFiles::sync_directory(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  if (!directories_.contains(directory)) return missing(directory);
  std::erase_if(changes_, [&](const Change& change) {
    if (!is_in(change.from.empty() ? change.to : change.from, directory)) return false;
    apply(change, &synced_);
    return true;
  });
  return Status();
}

Result<std::unique_ptr<FileLock>> PowerCutFiles::lock(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!locked_.insert(path).second) return Status::busy(path + ": another handle owns it");
  if (!now_.contains(path)) {
    const ContentPtr content = std::make_shared<Content>();
    now_[path] = content;
    changes_.push_back({.from = "", .to = path, .content = content});
  }
  return std::unique_ptr<FileLock>(std::make_unique<Lock>(this, path));
}

}  // namespace varve::test
