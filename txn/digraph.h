// Strongly connected components, and shortest cycles in them, of a directed graph given by a view:
//
//   uint32_t size() const;                                 nodes are [0, size)
//   uint32_t edges_begin(uint32_t node) const, edges_end;  edges have numbers
//   uint32_t target(uint32_t node, uint32_t edge) const;   kNone: that edge is not of this view
//
// Components: R. Tarjan, Depth-First Search and Linear Graph Algorithms, 1972, without recursion.
//
// Thread rule: one thread.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "txn/compact_history.h"

namespace varve {

struct Components {
  std::vector<uint32_t> of_node;             // the number of its component; kNone: alone
  std::vector<std::vector<uint32_t>> nodes;  // by component, each with two nodes or more, ascending
};

template <typename View>
class ComponentSearch {
 public:
  explicit ComponentSearch(const View& view)
      : view_(view), index_(view.size(), 0), low_(view.size(), 0) {
    result_.of_node.assign(view.size(), kNone);
    for (uint32_t node = 0; node < view.size(); ++node) {
      if (index_[node] == 0) search(node);
    }
  }

  Components take() { return std::move(result_); }

 private:
  static constexpr uint32_t kDone = UINT32_MAX;  // as an index: its component is complete

  struct Frame {
    uint32_t node;
    uint32_t edge;  // the next one to follow
  };

  void enter(uint32_t node) {
    index_[node] = low_[node] = ++last_index_;
    stack_.push_back(node);
    path_.push_back({.node = node, .edge = view_.edges_begin(node)});
  }

  void search(uint32_t root) {
    enter(root);
    while (!path_.empty()) {
      Frame& frame = path_.back();
      const uint32_t node = frame.node;
      if (frame.edge != view_.edges_end(node)) {
        const uint32_t target = view_.target(node, frame.edge++);
        if (target == kNone) continue;
        if (index_[target] == 0) {
          enter(target);
        } else if (index_[target] != kDone) {
          low_[node] = std::min(low_[node], index_[target]);
        }
        continue;
      }
      path_.pop_back();
      if (!path_.empty()) {
        low_[path_.back().node] = std::min(low_[path_.back().node], low_[node]);
      }
      if (low_[node] == index_[node]) complete(node);
    }
  }

  void complete(uint32_t root) {
    auto first = stack_.end();
    do {
      --first;
      index_[*first] = kDone;
    } while (*first != root);
    if (stack_.end() - first > 1) {
      const auto number = static_cast<uint32_t>(result_.nodes.size());
      std::vector<uint32_t>& nodes = result_.nodes.emplace_back(first, stack_.end());
      std::sort(nodes.begin(), nodes.end());
      for (const uint32_t node : nodes) result_.of_node[node] = number;
    }
    stack_.erase(first, stack_.end());
  }

  const View& view_;
  Components result_;
  std::vector<uint32_t> index_;  // 0: not yet seen
  std::vector<uint32_t> low_;
  uint32_t last_index_ = 0;
  std::vector<uint32_t> stack_;
  std::vector<Frame> path_;
};

template <typename View>
Components strong_components(const View& view) {
  return ComponentSearch<View>(view).take();
}

struct CycleStep {
  uint32_t node;
  uint32_t edge;  // to the next step's node
};

// Breadth-first searches from node after node of a component. The cycle is the shortest one unless
// the component is so large that the searches would follow more than kEdgesMax edges together; then
// it is the shortest that they have met by then.
template <typename View>
class CycleSearch {
 public:
  CycleSearch(const View& view, const Components& components)
      : view_(view),
        components_(components),
        seen_(view.size(), 0),
        depth_(view.size()),
        from_(view.size()) {}

  std::vector<CycleStep> shortest(uint32_t component) {
    std::vector<CycleStep> best;
    uint64_t followed = 0;
    for (const uint32_t start : components_.nodes[component]) {
      if (!best.empty() && (best.size() == 2 || followed > kEdgesMax || all_followed_ > kAllMax)) {
        break;
      }
      const uint64_t before = all_followed_;
      const std::vector<CycleStep> found = through(start, best.empty() ? UINT32_MAX : best.size());
      followed += all_followed_ - before;
      if (!found.empty()) best = found;
    }
    return best;
  }

 private:
  // About a tenth of a second for one component, ten seconds for all.
  static constexpr uint64_t kEdgesMax = 10'000'000;
  static constexpr uint64_t kAllMax = 1'000'000'000;

  // The shortest cycle through `start` if it has fewer than `length` steps.
  std::vector<CycleStep> through(uint32_t start, size_t length) {
    ++round_;
    queue_.clear();
    queue_.push_back(start);
    seen_[start] = round_;
    depth_[start] = 0;
    const uint32_t component = components_.of_node[start];
    for (size_t head = 0; head < queue_.size(); ++head) {
      const uint32_t node = queue_[head];
      if (depth_[node] + 1 >= length) return {};
      for (uint32_t edge = view_.edges_begin(node); edge != view_.edges_end(node); ++edge) {
        ++all_followed_;
        const uint32_t target = view_.target(node, edge);
        if (target == kNone || components_.of_node[target] != component) continue;
        if (target == start) return path_to(start, {.node = node, .edge = edge});
        if (seen_[target] == round_) continue;
        seen_[target] = round_;
        depth_[target] = depth_[node] + 1;
        from_[target] = {.node = node, .edge = edge};
        queue_.push_back(target);
      }
    }
    return {};
  }

  std::vector<CycleStep> path_to(uint32_t start, CycleStep last) const {
    std::vector<CycleStep> path{last};
    while (path.back().node != start) path.push_back(from_[path.back().node]);
    std::reverse(path.begin(), path.end());
    return path;
  }

  const View& view_;
  const Components& components_;
  std::vector<uint32_t> seen_;   // the round in which it was met
  std::vector<uint32_t> depth_;  // valid if met in this round, as `from_`
  std::vector<CycleStep> from_;
  std::vector<uint32_t> queue_;
  uint32_t round_ = 0;
  uint64_t all_followed_ = 0;
};

}  // namespace varve
