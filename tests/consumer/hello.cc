// The smallest program that keeps something: writes two greetings and walks over them.

#include <varve/varve.h>

#include <cstdio>
#include <utility>

int main(int argc, char** argv) {
  auto opened = varve::Database::open({}, argc > 1 ? argv[1] : "hello.db");
  if (!opened.ok()) {
    std::puts(opened.status().to_string().c_str());
    return 1;
  }
  varve::Database& db = **opened;

  // Each put is a commit: when it returns ok, the value is on disk.
  for (auto [language, greeting] : {std::pair{"greeting/en", "hello"}, {"greeting/sv", "hej"}}) {
    if (auto status = db.put(language, greeting); !status.ok()) return 1;
  }

  auto cursor = db.scan({.prefix = "greeting/"});
  if (!cursor.ok()) return 1;
  for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
    std::printf("%.*s = %.*s\n", static_cast<int>(cursor->key().size()), cursor->key().data(),
                static_cast<int>(cursor->value().size()), cursor->value().data());
  }
  return cursor->status().ok() ? 0 : 1;
}
