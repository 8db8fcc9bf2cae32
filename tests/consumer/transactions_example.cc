// What docs/transactions.md shows, as a program that checks it: exit status 1 where the database
// does otherwise. The page has each part between "// -- NAME --" and "// -- end --" word for word:
// tests/consumer/check_examples.py.

#include <varve/varve.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

// Ends the program where `holds` is false.
#define CHECK(holds) check(holds, #holds, __LINE__)
void check(bool holds, const char* what, int line) {
  if (holds) return;
  std::printf("line %d: not so: %s\n", line, what);
  std::exit(1);
}

// -- transfer --
// Moves money, unless there is too little; again from the start whenever somebody got in the way.
varve::Result<varve::Timestamp> transfer(varve::Database& db, std::string_view from,
                                         std::string_view to, int amount) {
  return db.transact([&](varve::Transaction& transaction) -> varve::Status {
    std::string has, other_has;
    varve::Result<bool> found = transaction.get(from, &has);
    if (found.ok() && *found) found = transaction.get(to, &other_has);
    if (!found.ok()) return found.status();
    if (!*found || std::stoi(has) < amount) return varve::Status::invalid_argument("no such sum");
    varve::Status status = transaction.put(from, std::to_string(std::stoi(has) - amount));
    if (status.ok()) status = transaction.put(to, std::to_string(std::stoi(other_has) + amount));
    return status;  // ok: transact() commits
  });
}
// -- end --

// -- one-moment --
// A transaction reads the database as it was when it began, and its own writes on top.
void reads_see_one_moment(varve::Database& db) {
  CHECK(db.put("x", "1").ok() && db.put("y", "1").ok());
  varve::Transaction transaction = db.begin().value();
  std::string x, y;
  CHECK(*transaction.get("x", &x) && x == "1");
  CHECK(transfer(db, "x", "y", 1).ok());         // somebody else commits meanwhile
  CHECK(*transaction.get("y", &y) && y == "1");  // no part of that is seen
  CHECK(transaction.put("x", "5").ok());
  CHECK(*transaction.get("x", &x) && x == "5");  // but what it wrote itself
  CHECK(*db.get("x", &x) && x == "0");           // which nobody else sees
  CHECK(transaction.rollback().ok());
}
// -- end --

// -- lost-update --
// Of two that write one key side by side the first to commit wins, at either level.
void no_update_is_lost(varve::Database& db, varve::Isolation isolation) {
  CHECK(db.put("counter", "7").ok());
  varve::Transaction first = db.begin({.isolation = isolation}).value();
  varve::Transaction second = db.begin({.isolation = isolation}).value();
  std::string read_by_first, read_by_second;
  CHECK(*first.get("counter", &read_by_first) && *second.get("counter", &read_by_second));
  CHECK(first.put("counter", std::to_string(std::stoi(read_by_first) + 1)).ok());
  CHECK(second.put("counter", std::to_string(std::stoi(read_by_second) + 1)).ok());
  CHECK(second.commit().ok());
  CHECK(first.commit().status().code() == varve::StatusCode::conflict);  // transact() begins again
  std::string counter;
  CHECK(*db.get("counter", &counter) && counter == "8");
}
// -- end --

// -- write-skew --
enum class Look { plain, for_update };

// One of two doctors has to stay on call. Each looks whether the other one does, and leaves. How
// many are left?
int on_call_after_both_ask_to_leave(varve::Database& db, varve::Isolation isolation, Look look) {
  CHECK(db.put("on-call/ann", "").ok() && db.put("on-call/bob", "").ok());
  varve::Transaction ann = db.begin({.isolation = isolation}).value();
  varve::Transaction bob = db.begin({.isolation = isolation}).value();
  const auto leaves = [look](varve::Transaction& who, const char* self, const char* other) {
    std::string value;
    const varve::Result<bool> stays =
        look == Look::for_update ? who.get_for_update(other, &value) : who.get(other, &value);
    return stays.ok() && *stays && who.erase(self).ok();
  };
  CHECK(leaves(ann, "on-call/ann", "on-call/bob"));
  CHECK(leaves(bob, "on-call/bob", "on-call/ann"));
  int left = 2;
  for (varve::Transaction* transaction : {&ann, &bob}) {
    const varve::Result<varve::Timestamp> committed = transaction->commit();
    if (committed.ok()) --left;
    CHECK(committed.ok() || committed.status().code() == varve::StatusCode::conflict);
  }
  return left;
}

void write_skew(varve::Database& db) {
  using varve::Isolation;
  // Level `snapshot` checks what was written, and these two wrote different keys.
  CHECK(on_call_after_both_ask_to_leave(db, Isolation::snapshot, Look::plain) == 0);
  // It also checks what was read for an update; level `serializable` whatever was read.
  CHECK(on_call_after_both_ask_to_leave(db, Isolation::snapshot, Look::for_update) == 1);
  CHECK(on_call_after_both_ask_to_leave(db, Isolation::serializable, Look::plain) == 1);
}
// -- end --

// -- phantom --
// Two book the same room, each after it found no booking: there is no key that both read. Level
// `serializable` checks the range that was scanned, with what is not there.
int bookings_after_two_book(varve::Database& db, varve::Isolation isolation) {
  varve::Transaction first = db.begin({.isolation = isolation}).value();
  varve::Transaction second = db.begin({.isolation = isolation}).value();
  const std::string room = isolation == varve::Isolation::snapshot ? "room/1/" : "room/2/";
  for (varve::Transaction* transaction : {&first, &second}) {
    varve::Cursor cursor = transaction->scan({.prefix = room}).value();
    cursor.seek_to_first();
    CHECK(!cursor.valid() && cursor.status().ok());  // free
  }
  CHECK(first.put(room + "14:00 first", "").ok() && second.put(room + "14:00 second", "").ok());
  return int{first.commit().ok()} + int{second.commit().ok()};
}

void phantoms(varve::Database& db) {
  CHECK(bookings_after_two_book(db, varve::Isolation::snapshot) == 2);
  CHECK(bookings_after_two_book(db, varve::Isolation::serializable) == 1);
}
// -- end --

struct Reading {
  std::string key, value;
};

// -- batcher --
varve::Status store(varve::Database& db, const std::vector<Reading>& readings) {
  varve::WriteBatcher batcher(db);  // commits every 1,000 writes, 256 KiB or 100 ms
  for (const Reading& reading : readings) {
    if (varve::Status status = batcher.put(reading.key, reading.value); !status.ok()) return status;
  }
  return batcher.flush();  // ok: all of them are durable, and visible
}
// -- end --

void transfers(varve::Database& db) {
  CHECK(db.put("account/1", "100").ok() && db.put("account/2", "0").ok());
  CHECK(transfer(db, "account/1", "account/2", 30).ok());
  CHECK(transfer(db, "account/1", "account/2", 71).status().code() ==
        varve::StatusCode::invalid_argument);
  std::string one, two;
  CHECK(*db.get("account/1", &one) && one == "70" && *db.get("account/2", &two) && two == "30");
}

void streams(varve::Database& db) {
  std::vector<Reading> readings;
  for (int i = 0; i < 2500; ++i) readings.push_back({"reading/" + std::to_string(i), "21.5"});
  const uint64_t before = db.statistics().commits;
  CHECK(store(db, readings).ok());
  const uint64_t commits = db.statistics().commits - before;
  CHECK(commits >= 3 && commits < 100);
  std::string value;
  for (const Reading& reading : readings) CHECK(*db.get(reading.key, &value) && value == "21.5");
}

}  // namespace

int main(int argc, char** argv) {
  auto opened = varve::Database::open({}, argc > 1 ? argv[1] : "transactions.db");
  if (!opened.ok()) {
    std::puts(opened.status().to_string().c_str());
    return 1;
  }
  varve::Database& db = **opened;
  transfers(db);
  reads_see_one_moment(db);
  no_update_is_lost(db, varve::Isolation::snapshot);
  no_update_is_lost(db, varve::Isolation::serializable);
  write_skew(db);
  phantoms(db);
  streams(db);
  CHECK(db.close().ok());
  std::puts("all as docs/transactions.md says");
}
