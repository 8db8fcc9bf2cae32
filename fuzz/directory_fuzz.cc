// The directory of a database after something happened to its files: the bytes choose one of a few
// databases, small but with several runs, keyspaces and log segments, closed in order or killed,
// and what becomes of their files: flipped bits, lost tails, overwritten, inserted and missing
// pieces, files removed, swapped, copied over others, renamed, or taken from another database.
//
// Oracle: the damage is noticed, by the opening or by whoever reads what it hit, or it is harmless:
// all answers are those of the database as it was; where log or manifest were hit, which may look
// as if the last commits never came about, as it was after some earlier commit. What verify() finds
// in order reads without an error. Merging does not launder anything. Where the checksums of
// damaged files were made true again, nothing is claimed of the answers. In each case memory and
// file calls are bounded, and a closed database leaves no live byte.

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "fuzz/database_session.h"
#include "fuzz/engine.h"
#include "fuzz/log_model.h"
#include "fuzz/manifest_model.h"
#include "fuzz/sstable_pieces.h"
#include "lsm/file_names.h"
#include "tests/support/hooked_files.h"

namespace varve::fuzz {
namespace {

constexpr const char* kHome = DatabaseSession::kDatabaseDirectory;
constexpr uint64_t kFileCallsMax = 200'000;

using Files = std::map<std::string, std::string>;

Files read_all(FileSystem* file_system) {
  Files files;
  const Result<std::vector<std::string>> names = file_system->list(kHome);
  check_ok(names.status());
  for (const std::string& name : *names) {
    files[name] = read_file(file_system, path_in(kHome, name));
  }
  return files;
}

std::unique_ptr<FileSystem> write_all(const Files& files) {
  std::unique_ptr<FileSystem> file_system = FileSystem::create_memory();
  check_ok(file_system->create_directory(kHome));
  for (const auto& [name, bytes] : files) {
    write_file(file_system.get(), path_in(kHome, name), bytes);
  }
  return file_system;
}

// A database as it lies on disk, and what it holds.
class Original {
 public:
  Original(uint64_t seed, bool killed) : killed_(killed) {
    const std::unique_ptr<FileSystem> disk = FileSystem::create_memory();
    test::KillableFiles files(disk.get());
    check_ok(session_.open(options(&files)));
    session_.expect_all();
    write(seed);
    flushed_ = session_.model().events();
    write(seed + 1);
    if (killed) {
      files.kill();
      session_.abandon();
    } else {
      session_.close(&files);
    }
    files_ = read_all(disk.get());
    // A killed one may have lost the last commits.
    const std::unique_ptr<FileSystem> copy = write_all(files_);
    check_ok(session_.open(options(copy.get())));
    session_.find_out_what_is_left(session_.written());
    session_.close(copy.get());
  }

  bool killed() const { return killed_; }
  const Files& files() const { return files_; }
  DatabaseModel& model() { return session_.model(); }
  // The newest event that lies in sstables.
  uint64_t flushed() const { return flushed_; }

  Options options(FileSystem* files) {
    Options options{.memory_budget = 64 << 20,
                    .durability = Durability::os,
                    .write_buffer_size = 32 << 10,
                    .cache_size = 64 << 10,
                    .block_size = 512};
    surroundings_.use(files, &options);
    return options;
  }

 private:
  // Several runs, the last commits in the log alone.
  void write(uint64_t seed) {
    constexpr int kFlushes = 3;
    constexpr int kBatches = 6;
    Random random(seed);
    if (session_.model().events() == 0) {
      std::string name_and_options(2, '\0');
      Input input(reinterpret_cast<const uint8_t*>(name_and_options.data()), 2);
      check_ok(session_.create_keyspace(&input));
    }
    for (int flush = 0; flush < kFlushes; ++flush) {
      if (flush != 0) check_ok(session_.flush());
      for (int batch = 0; batch < kBatches; ++batch) {
        std::string bytes;
        while (bytes.size() < 160) append_le(&bytes, random.next());
        // To all keyspaces, values of moderate size.
        bytes[0] = static_cast<char>(0x80 | batch);
        for (size_t i = 1; i < bytes.size(); ++i) {
          if (static_cast<uint8_t>(bytes[i]) >= 0xf8) bytes[i] = 'q';
        }
        Input input(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
        check_ok(session_.write_batch(&input));
      }
    }
  }

  const bool killed_;
  Surroundings surroundings_;
  DatabaseSession session_{&surroundings_, options(nullptr)};
  Files files_;
  uint64_t flushed_ = 0;
};

Original& original(size_t which) {
  static Original originals[] = {{1, false}, {11, true}, {21, false}};
  return originals[which % std::size(originals)];
}

// What was done to which files.
class Damage {
 public:
  Damage(Input* input, const Original& damaged, const Original& other)
      : input_(input), files_(damaged.files()), other_(other.files()) {
    for (uint32_t left = 1 + input->below(4); left > 0 && !files_.empty(); --left) hit_one();
    const uint8_t seal = input->u8();
    if (seal < 0xa0) return;
    is_forged_ = true;
    seal_all(seal);
  }

  const Files& files() const { return files_; }
  // Nothing may be expected to notice it.
  bool is_forged() const { return is_forged_; }
  bool has_hit(FileType type) const {
    return std::any_of(hit_.begin(), hit_.end(), [type](const std::string& name) {
      return parse_file_name(name).type == type;
    });
  }

 private:
  // By its number among those there.
  Files::iterator pick(Files* files) {
    return std::next(files->begin(), input_->u8() % std::ssize(*files));
  }

  void hit_one() {
    const uint8_t what = input_->u8() % 12;
    const auto file = pick(&files_);
    const std::string name = file->first;
    std::string& bytes = file->second;
    hit_.push_back(name);
    const size_t place = bytes.empty() ? 0 : input_->u32() % bytes.size();
    const size_t size = bytes.empty() ? 0 : input_->u8() % (bytes.size() - place);
    switch (what) {
      case 0:
      case 1:
        if (!bytes.empty()) bytes[place] = static_cast<char>(bytes[place] ^ (1 << size % 8));
        return;
      case 2:
        return bytes.resize(place);
      case 3:
        std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(place), size,
                    static_cast<char>(input_->u8()));
        return;
      case 4: {  // what lies elsewhere
        const std::string from = pick(&files_)->second;
        bytes.replace(place, size, from.substr(0, size));
        return;
      }
      case 5:
        bytes.insert(place, input_->piece(size));
        return;
      case 6:
        bytes.erase(place, size);
        return;
      case 7:
        files_.erase(file);
        return;
      case 8: {
        const auto with = pick(&files_);
        hit_.push_back(with->first);
        return bytes.swap(with->second);
      }
      case 9: {
        const auto over = pick(&files_);
        hit_.push_back(over->first);
        over->second = bytes;
        return;
      }
      case 10: {  // to a name that nobody bears, of any type
        std::string to = pick(&files_)->first;
        if (to.size() > 5) to[5] = static_cast<char>('0' + input_->below(10));
        const std::string moved = bytes;
        if (input_->flag()) files_.erase(file);
        hit_.push_back(to);
        files_[to] = moved;
        return;
      }
      default: {
        const auto there = other_.find(name);
        const auto from = there == other_.end() ? pick(&other_) : there;
        bytes = from->second;
        return;
      }
    }
  }

  void seal_all(uint64_t seed) {
    Random random(seed);
    Lsn end;
    DatabaseId database;
    for (const auto& [name, bytes] : files_) {
      if (parse_file_name(name).type == FileType::manifest) database = database_of_manifest(bytes);
    }
    for (auto& [name, bytes] : files_) {
      const FileName parsed = parse_file_name(name);
      switch (parsed.type) {
        case FileType::sstable: {
          SstablePieces pieces(&bytes, &shared_memory());
          if (pieces.has_frame()) pieces.walk(&random);
          break;
        }
        case FileType::manifest:
          seal_manifest(&bytes, nullptr, &random);
          break;
        case FileType::wal:
          seal_segment(&bytes, parsed.number, database, &end, &random);
          break;
        case FileType::current:
          seal_current(&bytes);
          break;
        default:
          break;
      }
    }
  }

  Input* const input_;
  Files files_;
  Files other_;
  std::vector<std::string> hit_;
  bool is_forged_ = false;
};

class Trial {
 public:
  explicit Trial(Input* input)
      : input_(input),
        chosen_(input->u8()),
        original_(original(chosen_)),
        damage_(input, original_, original(chosen_ + 1)),
        disk_(write_all(damage_.files())) {}

  void run() {
    if (!open()) return;
    const std::optional<uint64_t> event = look();
    const Status verified = database_->verify().status();
    if (!verified.ok()) check_refusal(verified);
    FUZZ_CHECK(damage_.is_forged() || !verified.ok() || event.has_value());
    look_up_some(event);
    if (input_->flag()) {
      const Status merged = database_->compact();
      if (merged.ok()) {
        look();
      } else if (merged.code() != StatusCode::read_only) {
        check_refusal(merged);
      }
    }
    const bool closed = close();
    if (closed && event && !damage_.is_forged() && input_->flag()) {
      // What was found in order once is so again.
      FUZZ_CHECK(open());
      FUZZ_CHECK(look() == event);
      FUZZ_CHECK(close());
    }
    FUZZ_CHECK_SAYING(calls_ <= kFileCallsMax, std::to_string(calls_) + " file calls");
  }

 private:
  bool open() {
    Result<std::unique_ptr<Database>> opened = Database::open(original_.options(&files_), kHome);
    if (opened.ok()) {
      database_ = std::move(*opened);
      return true;
    }
    // Without CURRENT a file of an unknown name makes it somebody else's directory.
    if (opened.status().code() != StatusCode::invalid_argument ||
        damage_.files().contains("CURRENT")) {
      check_refusal(opened.status());
    }
    return false;
  }

  bool close() {
    const Status status = database_->close();
    const MemoryReport report = database_->memory_report();
    uint64_t high_water = 0;
    for (const MemoryReport::Role& role : report.roles) high_water += role.high_water_bytes;
    FUZZ_CHECK(report.live_bytes == 0);
    FUZZ_CHECK_SAYING(high_water <= kMemoryBytesMax, std::to_string(high_water) + " bytes");
    database_.reset();
    return status.ok();
  }

  // The event after which the database was as it is found now; nothing: some walk met an error.
  std::optional<uint64_t> look() {
    const Result<FoundState> found = read_state(database_.get());
    if (!found.ok()) {
      check_refusal(found.status());
      return std::nullopt;
    }
    if (damage_.is_forged()) return 0;
    const std::optional<uint64_t> event = original_.model().find_event(*found, least_event());
    FUZZ_CHECK_SAYING(event.has_value(), "damage went unnoticed");
    return event;
  }

  // What is there is not older than this.
  uint64_t least_event() const {
    const bool log_may_end = original_.killed() && damage_.has_hit(FileType::wal);
    return log_may_end ? original_.flushed() : original_.model().events();
  }

  // Point reads, where walks may have met an error elsewhere.
  void look_up_some(std::optional<uint64_t> event) {
    for (uint32_t left = input_->below(8); left > 0; --left) {
      const std::vector<size_t> living = original_.model().living();
      const KeyspaceModel& keyspace =
          original_.model().keyspace(living[input_->below(static_cast<uint32_t>(living.size()))]);
      const std::string key = read_key(input_);
      std::string value;
      const Result<bool> found = database_->get(key, &value, {.keyspace = keyspace.id});
      if (!found.ok()) {
        const bool is_missing = found.status().code() == StatusCode::not_found;
        FUZZ_CHECK(is_missing ? damage_.is_forged() : is_refusal(found.status()));
        continue;
      }
      if (damage_.is_forged()) continue;
      const uint64_t least = event.value_or(least_event());
      const uint64_t most = event.value_or(original_.model().events());
      FUZZ_CHECK_SAYING(is_answer_between(keyspace, key, *found ? &value : nullptr, least, most),
                        key);
    }
  }

  bool is_answer_between(const KeyspaceModel& keyspace, const std::string& key,
                         const std::string* value, uint64_t least, uint64_t most) {
    for (uint64_t event = least; event <= most; ++event) {
      const test::ModelVersion* version = keyspace.rows.get(key, original_.model().time_of(event));
      if (version == nullptr ? value == nullptr : value != nullptr && *version->value == *value) {
        return true;
      }
    }
    return false;
  }

  Input* const input_;
  const size_t chosen_;
  Original& original_;
  const Damage damage_;
  const std::unique_ptr<FileSystem> disk_;
  uint64_t calls_ = 0;
  test::HookedFiles files_{disk_.get(), [this](const test::FileCall&) {
                             ++calls_;
                             return Status();
                           }};
  std::unique_ptr<Database> database_;
};

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::Input input(data, size);
  varve::fuzz::Trial(&input).run();
  varve::fuzz::check_nothing_held();
  return 0;
}
