#include "tools/db_bench/phase.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tools/db_bench/process_figures.h"

namespace varve::bench {
namespace {

struct PhasePlan {
  uint32_t threads = 1;
  uint64_t operations = 0;  // per thread; of loads the first threads take the remainder
  uint64_t remainder = 0;
  bool beside = false;
};

PhasePlan plan_phase(const Settings& settings, const Benchmark& benchmark) {
  PhasePlan plan;
  plan.threads = benchmark.one_thread ? 1 : settings.threads;
  plan.beside = benchmark.beside != nullptr;
  if (benchmark.kind == BenchmarkKind::load) {
    const uint64_t all = settings.writes.value_or(settings.num);
    plan.operations = all / plan.threads;
    plan.remainder = all % plan.threads;
  } else {
    plan.operations = benchmark.writes ? settings.writes_per_thread() : settings.reads_per_thread();
  }
  return plan;
}

enum class Pass { warmup, measured };

PassLimits limits_for(const Settings& settings, const Benchmark& benchmark, const PhasePlan& plan,
                      uint32_t thread, Pass pass) {
  const double share = pass == Pass::warmup ? settings.warmup : 1;
  PassLimits limits;
  if (benchmark.until_beside_ends) {
    // No limit of its own.
  } else if (benchmark.kind == BenchmarkKind::load) {
    limits.operations = plan.operations + (thread < plan.remainder ? 1 : 0);
  } else if (settings.duration > 0) {
    limits.seconds = settings.duration * share;
  } else {
    limits.operations = pass == Pass::measured
                            ? plan.operations
                            : static_cast<uint64_t>(static_cast<double>(plan.operations) * share);
  }
  const bool paced = benchmark.kind == BenchmarkKind::load || benchmark.writes;
  if (paced) {
    limits.bytes_per_second =
        static_cast<double>(settings.benchmark_write_rate_limit) / plan.threads;
  }
  return limits;
}

// The threads of a phase, and the gates at which they meet the one that runs it.
class Crew {
 public:
  Crew(const PhaseInputs& inputs, const PhasePlan& plan)
      : inputs_(inputs),
        plan_(plan),
        context_{.settings = inputs.settings,
                 .first_new_id = inputs.first_new_id,
                 .beside_ended = &beside_ended_},
        gate_(static_cast<ptrdiff_t>(plan.threads + (plan.beside ? 1 : 0) + 1)) {
    const uint32_t count = plan.threads + (plan.beside ? 1 : 0);
    for (uint32_t i = 0; i < count; i++) {
      const bool beside = i == plan.threads;
      const WorkerPlace place{
          .thread = beside ? 0 : i,
          .threads = beside ? 1 : plan.threads,
          .seed = mix64(inputs.settings.seed) + 2 * inputs.position + (beside ? 1 : 0)};
      sessions_.push_back(inputs.engine.new_session());
      workers_.push_back(std::make_unique<Worker>(inputs.settings, sessions_.back().get(), place,
                                                  beside ? &stop_beside_ : &stop_));
    }
    for (uint32_t i = 0; i < count; i++) threads_.emplace_back([this, i] { run_thread(i); });
    gate_.arrive_and_wait();  // all are prepared
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew() {
    done_ = true;
    gate_.arrive_and_wait();
    for (std::thread& thread : threads_) thread.join();
  }

  void run_pass(Pass pass) {
    running_ = plan_.threads;
    stop_beside_ = stop_.load();
    beside_ended_ = false;
    for (uint32_t i = 0; i < workers_.size(); i++) {
      PassLimits limits = limits_for(inputs_.settings, inputs_.benchmark, plan_, i, pass);
      if (i == plan_.threads) {
        limits = {.bytes_per_second =
                      static_cast<double>(inputs_.settings.benchmark_write_rate_limit)};
      }
      workers_[i]->set_limits(limits);
    }
    gate_.arrive_and_wait();  // start
    gate_.arrive_and_wait();  // end
  }
  void show(Monitor& monitor) {
    std::vector<Monitor::Source> sources;
    for (uint32_t i = 0; i < plan_.threads; i++) {
      IntervalLatencies* const intervals = workers_[i]->intervals();
      if (intervals != nullptr) intervals->clear();  // of the warm-up
      sources.push_back({&workers_[i]->progress(), intervals});
    }
    const bool by_time =
        inputs_.settings.duration > 0 && inputs_.benchmark.kind != BenchmarkKind::load;
    monitor.begin(inputs_.benchmark.name, std::move(sources),
                  by_time || inputs_.benchmark.until_beside_ends
                      ? 0
                      : plan_.operations * plan_.threads + plan_.remainder,
                  by_time ? inputs_.settings.duration : 0);
  }
  void throw_if_failed() {
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }
  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }

 private:
  void run_thread(uint32_t index) {
    Worker& worker = *workers_[index];
    const bool beside = index == plan_.threads;
    std::unique_ptr<Workload> workload;
    guarded([&] {
      workload = (beside ? inputs_.benchmark.beside : inputs_.benchmark.workload)(context_);
      workload->prepare(worker);
    });
    gate_.arrive_and_wait();  // prepared
    for (;;) {
      gate_.arrive_and_wait();  // start
      if (done_) break;
      worker.begin_pass();
      if (!stop_) guarded([&] { workload->run(worker); });
      worker.end_pass();
      if (beside) beside_ended_ = true;
      if (!beside && running_.fetch_sub(1) == 1) stop_beside_ = true;
      gate_.arrive_and_wait();  // end
    }
    workload.reset();
    sessions_[index].reset();
  }

  template <typename Function>
  void guarded(Function function) {
    try {
      function();
    } catch (const std::exception&) {
      const std::lock_guard lock(failure_mutex_);
      if (failure_ == nullptr) failure_ = std::current_exception();
      stop_ = stop_beside_ = true;
    }
  }

  const PhaseInputs& inputs_;
  const PhasePlan plan_;
  const WorkloadContext context_;
  std::barrier<> gate_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> stop_beside_{false};
  std::atomic<bool> beside_ended_{false};
  std::atomic<uint32_t> running_{0};
  bool done_ = false;  // written before, read after a gate
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

double seconds_between(uint64_t begin_nanos, uint64_t end_nanos) {
  return static_cast<double>(end_nanos - begin_nanos) / 1e9;
}

void collect(const Crew& crew, const PhasePlan& plan, PhaseFigures* result) {
  PassFigures& total = result->total;
  total.start_nanos = UINT64_MAX;
  for (uint32_t i = 0; i < plan.threads; i++) {
    const PassFigures& one = crew.workers()[i]->figures();
    total.operations += one.operations;
    total.bytes += one.bytes;
    total.written_bytes += one.written_bytes;
    total.lookups += one.lookups;
    total.found += one.found;
    total.checksum += one.checksum;
    total.conflicts += one.conflicts;
    total.start_nanos = std::min(total.start_nanos, one.start_nanos);
    total.end_nanos = std::max(total.end_nanos, one.end_nanos);
    total.allocations += one.allocations;
    result->thread_seconds += seconds_between(one.start_nanos, one.end_nanos);
    result->latencies.merge(crew.workers()[i]->histogram());
  }
  result->threads = plan.threads;
  result->seconds = seconds_between(total.start_nanos, total.end_nanos);
  if (plan.beside) {
    result->beside = crew.workers().back()->figures();
    result->beside_seconds = seconds_between(result->beside.start_nanos, result->beside.end_nanos);
  }
}

}  // namespace

Bracket::Bracket(Engine& engine)
    : engine_(engine),
      engine_figures_(engine.figures()),
      storage_bytes_(storage_written_bytes()),
      cpu_seconds_(cpu_seconds()),
      nanos_(monotonic_nanos()),
      allocations_(allocations_of_process()) {}

void Bracket::close(PhaseFigures* figures, uint64_t user_bytes) const {
  figures->process_allocations = allocations_of_process() - allocations_;
  if (figures->seconds == 0) figures->seconds = seconds_between(nanos_, monotonic_nanos());
  figures->cpu_seconds = cpu_seconds() - cpu_seconds_;
  const EngineFigures now = engine_.figures();
  if (now.stall_seconds >= 0) {
    figures->stall_seconds = now.stall_seconds - engine_figures_.stall_seconds;
  }
  const double storage_bytes = storage_written_bytes();
  if (user_bytes == 0) {
    figures->write_amp = 0;
  } else if (now.written_bytes >= 0) {
    figures->write_amp =
        (now.written_bytes - engine_figures_.written_bytes) / static_cast<double>(user_bytes);
  } else if (storage_bytes >= 0) {
    figures->write_amp = (storage_bytes - storage_bytes_) / static_cast<double>(user_bytes);
  }
}

PhaseFigures run_phase(const PhaseInputs& inputs, Monitor& monitor) {
  const PhasePlan plan = plan_phase(inputs.settings, inputs.benchmark);
  // Whatever is thrown: it looks at what is gone then.
  struct EndOfShow {
    Monitor& monitor;
    ~EndOfShow() { monitor.end(); }
  };
  if (inputs.benchmark.preparation != nullptr) {
    std::atomic<uint64_t> rows{0};
    const EndOfShow end{monitor};
    monitor.begin(inputs.benchmark.name, {{.operations = &rows}}, inputs.settings.num, 0);
    inputs.benchmark.preparation(*inputs.engine.new_session(), inputs.settings, &rows);
    if (inputs.benchmark.settled) inputs.engine.settle();
  }
  std::unique_ptr<Verification> verification;
  if (inputs.benchmark.verification != nullptr) {
    verification = inputs.benchmark.verification(inputs.settings);
    verification->before(*inputs.engine.new_session());
  }
  PhaseFigures figures;
  Crew crew(inputs, plan);
  const EndOfShow end{monitor};
  const bool warms_up =
      inputs.benchmark.kind != BenchmarkKind::load && !inputs.benchmark.until_beside_ends;
  if (warms_up && inputs.settings.warmup > 0) {
    crew.run_pass(Pass::warmup);
  }
  crew.show(monitor);
  const Bracket bracket(inputs.engine);
  crew.run_pass(Pass::measured);
  collect(crew, plan, &figures);
  bracket.close(&figures, figures.total.written_bytes + figures.beside.written_bytes);
  monitor.end();
  crew.throw_if_failed();
  if (verification != nullptr) {
    figures.total.checksum += verification->after(*inputs.engine.new_session());
  }
  return figures;
}

}  // namespace varve::bench
