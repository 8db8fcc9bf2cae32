// db-bench: runs workloads against varve and other engines. docs/benchmarking.md tells what the
// figures mean.
//
// Exit status: 0; 1 when a benchmark failed; 2 for a command line that cannot be carried out.

#include <cstdio>
#include <exception>

#include "tools/common/output.h"
#include "tools/db_bench/clock.h"
#include "tools/db_bench/runner.h"
#include "tools/db_bench/settings.h"

int main(int argc, char** argv) {
  varve::tools::prepare_standard_streams();
  try {
    int exit_status = 0;
    const std::optional<varve::bench::Settings> settings =
        varve::bench::parse_flags(argc, argv, &exit_status);
    if (!settings.has_value()) return exit_status;
    varve::bench::clock_start();
    varve::bench::Runner(*settings).run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "db-bench: %s\n", error.what());
    return 1;
  }
}
