#include "txn/history_cycle_check.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "txn/dependency_graph.h"
#include "txn/digraph.h"

namespace varve {

namespace {

// All edges, as they are.
struct WholeView {
  const DependencyGraph& graph;

  uint32_t size() const { return graph.size(); }
  uint32_t edges_begin(uint32_t node) const { return graph.edges_begin(node); }
  uint32_t edges_end(uint32_t node) const { return graph.edges_end(node); }
  uint32_t target(uint32_t, uint32_t edge) const { return graph.target(edge); }
};

// Walks without two adjacent anti-dependencies: node 2n is n reached by a dependency, 2n + 1 by an
// anti-dependency.
struct SplitView {
  const DependencyGraph& graph;

  uint32_t size() const { return graph.size() * 2; }
  uint32_t edges_begin(uint32_t node) const { return graph.edges_begin(node / 2); }
  uint32_t edges_end(uint32_t node) const { return graph.edges_end(node / 2); }
  uint32_t target(uint32_t node, uint32_t edge) const {
    const uint32_t target = graph.target(edge) * 2;
    if (!is_anti_dependency(graph.kind(edge))) return target;
    return node % 2 == 0 ? target + 1 : kNone;
  }
};

// A cycle, as positions of nodes and the edges from them, and what it is made of.
struct Cycle {
  std::vector<CycleStep> steps;
  size_t anti_dependencies = 0;
  bool adjacent = false;  // two of them follow each other
  bool by_range = false;  // one of them is by range
  bool dirty = true;      // all edges are ww
};

Cycle examined(const DependencyGraph& graph, std::vector<CycleStep> steps) {
  // Begins with what took effect first.
  std::rotate(
      steps.begin(),
      std::min_element(steps.begin(), steps.end(),
                       [](const CycleStep& a, const CycleStep& b) { return a.node < b.node; }),
      steps.end());
  Cycle cycle{.steps = std::move(steps)};
  bool previous = is_anti_dependency(graph.kind(cycle.steps.back().edge));
  for (const CycleStep& step : cycle.steps) {
    const EdgeKind kind = graph.kind(step.edge);
    const bool anti = is_anti_dependency(kind);
    cycle.anti_dependencies += anti;
    cycle.adjacent = cycle.adjacent || (anti && previous);
    cycle.by_range = cycle.by_range || kind == EdgeKind::range_rw;
    cycle.dirty = cycle.dirty && kind == EdgeKind::ww;
    previous = anti;
  }
  return cycle;
}

class CycleCheck {
 public:
  CycleCheck(const CompactHistory& history, const DependencyGraph& graph, AnomalyReport* report)
      : history_(history), graph_(graph), report_(*report) {}

  void find_forbidden() {
    const SplitView view{graph_};
    const Components components = strong_components(view);
    CycleSearch search(view, components);
    for (uint32_t component = 0; component < components.nodes.size(); ++component) {
      std::vector<CycleStep> steps = search.shortest(component);
      for (CycleStep& step : steps) step.node /= 2;
      const Cycle cycle = examined(graph_, std::move(steps));
      report_.cycle(forbidden_kind(cycle), positions(cycle), explanation(cycle), lines(cycle));
    }
  }

  // `graph` has serializable transactions only.
  void find_unserializable() {
    const WholeView view{graph_};
    const Components components = strong_components(view);
    CycleSearch search(view, components);
    for (uint32_t component = 0; component < components.nodes.size(); ++component) {
      const Cycle cycle = examined(graph_, search.shortest(component));
      if (!cycle.adjacent) continue;  // find_forbidden() has it
      report_.cycle(skew_kind(cycle, components, component), positions(cycle), explanation(cycle),
                    lines(cycle));
    }
  }

  void count_allowed() {
    const WholeView view{graph_};
    const Components components = strong_components(view);
    CycleSearch search(view, components);
    for (uint32_t component = 0; component < components.nodes.size(); ++component) {
      uint64_t pairs = 0;
      for (const uint32_t node : components.nodes[component]) pairs += count_pairs(node);
      if (pairs != 0) continue;
      const Cycle cycle = examined(graph_, search.shortest(component));
      if (!cycle.adjacent || !takes_part_at_snapshot(cycle)) continue;
      const AnomalyKind kind = skew_kind(cycle, components, component);
      report_.allowed(kind, 1);
      show_allowed(kind, cycle);
    }
  }

 private:
  const CompactTransaction& transaction(uint32_t node) const {
    return history_.transactions()[graph_.transaction(node)];
  }

  static AnomalyKind forbidden_kind(const Cycle& cycle) {
    if (cycle.dirty) return AnomalyKind::dirty_write;
    if (cycle.anti_dependencies == 0) return AnomalyKind::circular_information_flow;
    return cycle.anti_dependencies == 1 ? AnomalyKind::read_skew : AnomalyKind::long_fork;
  }

  AnomalyKind skew_kind(const Cycle& cycle, const Components& components, uint32_t component) {
    const bool reads_only =
        std::any_of(cycle.steps.begin(), cycle.steps.end(),
                    [&](const CycleStep& step) { return !transaction(step.node).writes; });
    if (reads_only && !writers_have_cycle(components, component)) {
      return AnomalyKind::read_only_anomaly;
    }
    return cycle.by_range ? AnomalyKind::predicate_write_skew : AnomalyKind::write_skew;
  }

  // Takes away nodes that nothing leads to, one after the other (A. Kahn, 1962).
  bool writers_have_cycle(const Components& components, uint32_t component) {
    incoming_.resize(graph_.size());
    const auto counts = [&](uint32_t node) {
      return components.of_node[node] == component && transaction(node).writes;
    };
    const auto for_each_target = [&](uint32_t node, const auto& visit) {
      for (uint32_t edge = graph_.edges_begin(node); edge != graph_.edges_end(node); ++edge) {
        if (counts(graph_.target(edge))) visit(graph_.target(edge));
      }
    };
    const std::vector<uint32_t>& nodes = components.nodes[component];
    for (const uint32_t node : nodes) incoming_[node] = 0;
    size_t left = 0;
    for (const uint32_t node : nodes) {
      if (!counts(node)) continue;
      ++left;
      for_each_target(node, [&](uint32_t target) { ++incoming_[target]; });
    }
    std::vector<uint32_t> free;
    for (const uint32_t node : nodes) {
      if (counts(node) && incoming_[node] == 0) free.push_back(node);
    }
    while (!free.empty()) {
      const uint32_t node = free.back();
      free.pop_back();
      --left;
      for_each_target(node, [&](uint32_t target) {
        if (--incoming_[target] == 0) free.push_back(target);
      });
    }
    return left != 0;
  }

  // Later nodes that read what this one wrote over, and wrote over what it read.
  uint64_t count_pairs(uint32_t node) {
    uint64_t pairs = 0;
    uint32_t previous = kNone;
    for (uint32_t edge = graph_.edges_begin(node); edge != graph_.edges_end(node); ++edge) {
      const uint32_t other = graph_.target(edge);
      if (other <= node || other == previous || !is_anti_dependency(graph_.kind(edge))) continue;
      if (!at_snapshot(node) && !at_snapshot(other)) continue;
      const uint32_t back = anti_dependency(other, node);
      if (back == kNone) continue;
      previous = other;
      ++pairs;
      const Cycle cycle =
          examined(graph_, {{.node = node, .edge = edge}, {.node = other, .edge = back}});
      const AnomalyKind kind =
          cycle.by_range ? AnomalyKind::predicate_write_skew : AnomalyKind::write_skew;
      report_.allowed(kind, 1);
      show_allowed(kind, cycle);
    }
    return pairs;
  }

  // The edge; by key if there is one.
  uint32_t anti_dependency(uint32_t from, uint32_t to) const {
    for (const EdgeKind kind : {EdgeKind::rw, EdgeKind::range_rw}) {
      const uint32_t edge = graph_.find(from, to, kind);
      if (edge != kNone) return edge;
    }
    return kNone;
  }

  bool at_snapshot(uint32_t node) const {
    return transaction(node).isolation == RecordedIsolation::snapshot;
  }

  bool takes_part_at_snapshot(const Cycle& cycle) const {
    return std::any_of(cycle.steps.begin(), cycle.steps.end(),
                       [&](const CycleStep& step) { return at_snapshot(step.node); });
  }

  void show_allowed(AnomalyKind kind, const Cycle& cycle) {
    if (!report_.wants_allowed_example(kind)) return;
    report_.allowed_example(kind, positions(cycle), explanation(cycle), lines(cycle));
  }

  std::vector<uint32_t> positions(const Cycle& cycle) const {
    std::vector<uint32_t> positions;
    for (const CycleStep& step : cycle.steps) positions.push_back(graph_.transaction(step.node));
    return positions;
  }

  std::string explanation(const Cycle& cycle) const {
    std::string text = "Each of ";
    for (size_t i = 0; i < cycle.steps.size(); ++i) {
      if (i != 0) text += i + 1 == cycle.steps.size() ? " and " : ", ";
      text += report_.name(graph_.transaction(cycle.steps[i].node));
    }
    return text + " had to take effect before the next one, and the last one before the first.";
  }

  std::vector<std::string> lines(const Cycle& cycle) const {
    std::vector<std::string> lines;
    for (size_t i = 0; i < cycle.steps.size(); ++i) {
      const CycleStep& step = cycle.steps[i];
      const std::string from = report_.name(graph_.transaction(step.node));
      const std::string to = report_.name(graph_.transaction(graph_.target(step.edge)));
      const std::string key = report_.key(graph_.key_of(step.node, step.edge));
      lines.push_back(line(graph_.kind(step.edge), from, to, key));
    }
    return lines;
  }

  static std::string line(EdgeKind kind, const std::string& from, const std::string& to,
                          const std::string& key) {
    switch (kind) {
      case EdgeKind::ww:
        return from + " -ww-> " + to + ": " + to + " wrote over the version of " + key + " that " +
               from + " wrote";
      case EdgeKind::wr:
        return from + " -wr-> " + to + ": " + to + " read " + key + " as " + from + " left it";
      case EdgeKind::range_wr:
        return from + " -wr (range)-> " + to + ": a scan of " + to + " did not meet " + key +
               " any more, which " + from + " erased";
      case EdgeKind::rw:
        return from + " -rw-> " + to + ": " + from + " read " + key + " as it was before " + to +
               " wrote it";
      case EdgeKind::range_rw:
        return from + " -rw (range)-> " + to + ": a scan of " + from + " did not meet " + key +
               ", which " + to + " wrote";
    }
    return {};
  }

  const CompactHistory& history_;
  const DependencyGraph& graph_;
  AnomalyReport& report_;
  std::vector<uint32_t> incoming_;  // edges, by node
};

}  // namespace

void check_cycles(const CompactHistory& history, const VersionChains& chains, const KeyOrder& order,
                  AnomalyReport* report, HistoryFigures* figures) {
  using Scope = DependencyGraph::Scope;
  uint64_t serializable = 0;
  for (const CompactTransaction& transaction : history.transactions()) {
    serializable += transaction.isolation == RecordedIsolation::serializable;
  }
  const DependencyGraph all(history, chains, order, Scope::all);
  figures->edges = all.edge_count();
  if (all.edge_count() == 0) return;
  CycleCheck(history, all, report).find_forbidden();
  if (serializable != history.transactions().size()) {
    CycleCheck(history, all, report).count_allowed();
  }
  if (serializable == history.transactions().size()) {
    CycleCheck(history, all, report).find_unserializable();
  } else if (serializable != 0) {
    const DependencyGraph some(history, chains, order, Scope::serializable);
    CycleCheck(history, some, report).find_unserializable();
  }
}

}  // namespace varve
