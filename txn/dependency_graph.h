// The dependency graph of the committed transactions of a history (A. Adya, Weak Consistency, 1999,
// section 3.1, with the version order that the timestamps give):
//
//   ww   wrote the version of a key after the other one's
//   wr   read, or scanned, what the other one wrote; "range": a scan passed over a key because the
//        other one had erased it
//   rw   read the version before the other one's; "range": a scan passed over a key that the other
//        one then wrote
//
// Nodes stand in the order in which transactions take effect: what wrote by its commit, what only
// read by its snapshot, after the commit of that timestamp. In a serial history every edge leads
// forwards. Each place of a cycle is passed by an edge that leads backwards, so every cycle lies
// within a stretch of nodes that backward edges cover without a gap. Only edges within such
// stretches are kept: none at all when nothing leads backwards.
//
// With Scope::serializable the nodes are the transactions at that level. Versions of others between
// two of theirs are passed over: who wrote what lies before a version precedes those who read it,
// whoever wrote it.
//
// Thread rule: const after construction. Keeps references to what it is made of.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "txn/compact_history.h"
#include "txn/key_order.h"
#include "txn/version_chains.h"

namespace varve {

enum class EdgeKind : uint8_t { ww, wr, range_wr, rw, range_rw };

inline bool is_anti_dependency(EdgeKind kind) {
  return kind == EdgeKind::rw || kind == EdgeKind::range_rw;
}

class DependencyGraph {
 public:
  enum class Scope : uint8_t { all, serializable };

  DependencyGraph(const CompactHistory& history, const VersionChains& chains, const KeyOrder& order,
                  Scope scope);

  uint32_t size() const { return static_cast<uint32_t>(transactions_.size()); }
  uint32_t transaction(uint32_t node) const { return transactions_[node]; }
  // Edges from `node`: [edges_begin, edges_end), by target and kind, each once.
  uint32_t edges_begin(uint32_t node) const { return begins_[node]; }
  uint32_t edges_end(uint32_t node) const { return begins_[node + 1]; }
  uint32_t target(uint32_t edge) const { return targets_[edge]; }
  EdgeKind kind(uint32_t edge) const { return kinds_[edge]; }
  uint64_t edge_count() const { return targets_.size(); }
  // The edge of that kind; kNone: there is none.
  uint32_t find(uint32_t from, uint32_t to, EdgeKind kind) const;

  // A key on account of which there is this edge.
  uint32_t key_of(uint32_t from, uint32_t edge) const;

 private:
  struct Edge {
    uint32_t from;
    uint32_t to;
    EdgeKind kind;
  };

  bool included(uint32_t version) const;
  void number_nodes(Scope scope);
  void index_versions();
  // emit(from node, to node, kind, key)
  template <typename Emit>
  void for_each_edge(const Emit& emit) const;
  template <typename Emit>
  void edges_of_key(uint32_t key, const Emit& emit) const;
  template <typename Emit>
  void edges_of_reader(uint32_t node, const Emit& emit) const;
  template <typename Emit>
  void edges_of_scan(uint32_t node, const CompactScan& scan, std::span<const uint32_t> own,
                     const Emit& emit) const;
  template <typename Emit>
  void edges_of_read(uint32_t node, const Observation& observation, bool range,
                     const Emit& emit) const;
  std::vector<uint32_t> stretches() const;
  void keep(std::vector<Edge> edges);

  const CompactHistory& history_;
  const VersionChains& chains_;
  const KeyOrder& order_;
  std::vector<uint32_t> transactions_;  // by node
  std::vector<uint32_t> nodes_;         // by transaction; kNone: not of the graph
  // By version, within its key: the nearest effective one whose writer is a node, at or before it,
  // and at or after it; kNone: none.
  std::vector<uint32_t> source_;
  std::vector<uint32_t> overwriter_;
  std::vector<uint32_t> begins_;
  std::vector<uint32_t> targets_;
  std::vector<EdgeKind> kinds_;
};

}  // namespace varve
