// A database on a disk that loses power: the bytes are several lives of it, each with options,
// operations, the change of a file at which the power fails, perhaps while the database is being
// opened, and what becomes of the pages and names that were not synced.
//
// Oracle: the next life finds the logged keyspaces, rows and names, as they were after some event
// of the model: at or after the last acknowledged durable one, at or before the last submitted one,
// batches whole; of each keyspace without a log, its rows after some commit of its own, at or after
// the last flush. What one life found, the next ones keep. A call fails only when the power did.

#include "fuzz/crash_disk.h"
#include "fuzz/database_session.h"

namespace varve::fuzz {
namespace {

constexpr int kLivesMax = 5;
constexpr size_t kOperationsMax = 80;  // of one life

class Lives {
 public:
  explicit Lives(Input* input) : input_(input) {}

  void run() {
    for (int life = 0; life < kLivesMax && !input_->empty(); ++life) {
      live();
      disk_.cut_power(input_);
    }
    // The last one meets no fault.
    begin();
    check_ok(session_.open(read_options()));
    session_.find_out_what_is_left(session_.synced());
    check_ok(session_.database()->verify().status());
    session_.close(disk_.files());
  }

 private:
  Options read_options() { return surroundings_.read_options(input_, disk_.files()); }
  void begin() {
    if (input_->flag()) surroundings_.clock().advance(input_->u32());
  }

  void live() {
    begin();
    const Options options = read_options();
    // Opening takes some twenty changes.
    const uint8_t choice = input_->u8();
    disk_.crash_at(choice < 0x40 ? choice : uint64_t{input_->u8()} + choice);
    if (!is_alive_after(session_.open(options))) return disk_.crash_now();
    session_.find_out_what_is_left(session_.synced());
    for (size_t i = 0; i < kOperationsMax && !disk_.crashed() && !input_->empty(); ++i) {
      if (!is_alive_after(step())) break;
      if (session_.database() == nullptr) return;
    }
    disk_.crash_now();
    session_.abandon();
  }

  bool is_alive_after(const Status& status) {
    FUZZ_CHECK_SAYING(status.ok() || disk_.crashed(), status.to_string());
    return status.ok();
  }

  Status step() {
    switch (input_->u8() % 24) {
      default:
        return session_.write_batch(input_);
      case 9:
      case 10:
      case 11:
        return session_.write_one(input_);
      case 12:
      case 13:
      case 14:
        return session_.flush();
      case 15:
        return session_.compact();
      case 16:
      case 17:
      case 18:
        surroundings_.executor().run_all(1 + input_->below(3));
        return Status();
      case 19:
        return session_.create_keyspace(input_);
      case 20:
        return session_.drop_keyspace(input_);
      case 21:
        return session_.database()->wait_for_background();
      case 22:
        surroundings_.clock().advance(uint64_t{input_->u8()} << 24);
        return Status();
      case 23:
        return close();
    }
  }

  // In order, and then the power fails: nothing is lost.
  Status close() {
    if (input_->below(4) != 0) return Status();
    const Status status = session_.database()->close();
    session_.abandon();
    if (status.ok()) session_.promise_all();
    return status;
  }

  Input* const input_;
  CrashDisk disk_;
  Surroundings surroundings_;
  DatabaseSession session_{&surroundings_, Options{}};
};

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::Input input(data, size);
  varve::fuzz::Lives(&input).run();
  varve::fuzz::check_no_batch_held();
  return 0;
}
