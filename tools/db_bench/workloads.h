// The loops of all benchmarks, by family. benchmarks.cc names them.
//
// Thread rule: the factories from any thread; a workload belongs to the thread that made it.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "bench/engines/engine.h"
#include "tools/db_bench/settings.h"
#include "tools/db_bench/worker.h"

namespace varve::bench {

// What a workload is made from; outlives it.
struct WorkloadContext {
  const Settings& settings;
  uint64_t first_new_id = 0;  // ids from here on are in use by nobody: for workloads that insert
  // Set when the thread beside has done its work, if that is less than all.
  const std::atomic<bool>* beside_ended = nullptr;
};

using WorkloadFactory = std::unique_ptr<Workload> (*)(const WorkloadContext&);

// Writes what a workload needs to find; `*rows` tells how far it is.
using Preparation = void (*)(Session&, const Settings&, std::atomic<uint64_t>* rows);

// What a workload must keep, looked at before its warm-up and after its measured pass, unmeasured.
class Verification {
 public:
  virtual ~Verification() = default;
  virtual void before(Session& session) = 0;
  // Throws EngineError if the workload broke it. A checksum of what it read.
  virtual uint64_t after(Session& session) = 0;
};
using VerificationFactory = std::unique_ptr<Verification> (*)(const Settings&);

// -- write_workloads.cc --
std::unique_ptr<Workload> fill_in_order(const WorkloadContext&);
std::unique_ptr<Workload> fill_in_batches(const WorkloadContext&);
std::unique_ptr<Workload> fill_permuted(const WorkloadContext&);
std::unique_ptr<Workload> write_random(const WorkloadContext&);
std::unique_ptr<Workload> delete_in_order(const WorkloadContext&);
std::unique_ptr<Workload> delete_random(const WorkloadContext&);

// -- read_workloads.cc --
std::unique_ptr<Workload> read_forward(const WorkloadContext&);
std::unique_ptr<Workload> read_backward(const WorkloadContext&);
std::unique_ptr<Workload> get_random(const WorkloadContext&);
std::unique_ptr<Workload> get_missing(const WorkloadContext&);
std::unique_ptr<Workload> get_hot(const WorkloadContext&);
std::unique_ptr<Workload> multi_get_random(const WorkloadContext&);
std::unique_ptr<Workload> seek_reused_cursor(const WorkloadContext&);
std::unique_ptr<Workload> seek_refreshed_cursor(const WorkloadContext&);
std::unique_ptr<Workload> seek_new_cursor(const WorkloadContext&);

// -- mixed_workloads.cc --
std::unique_ptr<Workload> update_random(const WorkloadContext&);
std::unique_ptr<Workload> get_or_put_random(const WorkloadContext&);
std::unique_ptr<Workload> ycsb_a(const WorkloadContext&);
std::unique_ptr<Workload> ycsb_b(const WorkloadContext&);
std::unique_ptr<Workload> ycsb_c(const WorkloadContext&);
std::unique_ptr<Workload> ycsb_d(const WorkloadContext&);
std::unique_ptr<Workload> ycsb_e(const WorkloadContext&);
std::unique_ptr<Workload> ycsb_f(const WorkloadContext&);

// -- shape_workloads.cc: rows of a shape of their own, written by a preparation --
void prepare_queue(Session& session, const Settings& settings, std::atomic<uint64_t>* rows);
std::unique_ptr<Workload> read_queue_head(const WorkloadContext&);
void prepare_time_series(Session& session, const Settings& settings, std::atomic<uint64_t>* rows);
std::unique_ptr<Workload> read_time_series(const WorkloadContext&);
std::unique_ptr<Workload> append_time_series(const WorkloadContext&);
void prepare_mixgraph(Session& session, const Settings& settings, std::atomic<uint64_t>* rows);
std::unique_ptr<Workload> mixgraph(const WorkloadContext&);

// -- transaction_workloads.cc; what they must keep: transaction_sums.cc --
std::unique_ptr<Workload> transfer(const WorkloadContext&);
std::unique_ptr<Verification> verify_transfer(const Settings&);
std::unique_ptr<Workload> add_to_sets(const WorkloadContext&);
std::unique_ptr<Verification> verify_sets(const Settings&);
// How many ids `transfer` draws from: the first ones.
uint64_t transfer_ids(const Settings& settings);
// The row `number` of a set of `add_to_sets`, of --num rows.
uint64_t id_in_set(const Settings& settings, uint64_t set, uint64_t number);

// -- row_workloads.cc: rows in tables, written by a preparation --
void prepare_items(Session& session, const Settings& settings, std::atomic<uint64_t>* rows);
void prepare_items_to_delete(Session& session, const Settings& settings,
                             std::atomic<uint64_t>* rows);
std::unique_ptr<Workload> update_rows(const WorkloadContext&);
std::unique_ptr<Workload> delete_rows(const WorkloadContext&);
std::unique_ptr<Workload> iterate_index(const WorkloadContext&);
void prepare_items_to_index(Session& session, const Settings& settings,
                            std::atomic<uint64_t>* rows);
std::unique_ptr<Workload> update_single_rows(const WorkloadContext&);
std::unique_ptr<Workload> build_index(const WorkloadContext&);
std::unique_ptr<Verification> verify_items(const Settings&);
void prepare_bank(Session& session, const Settings& settings, std::atomic<uint64_t>* rows);
std::unique_ptr<Workload> bank_transactions(const WorkloadContext&);
std::unique_ptr<Verification> verify_bank(const Settings&);

}  // namespace varve::bench
