#include "txn/dependency_graph.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <tuple>

namespace varve {

namespace {

using Kind = OperationRecord::Kind;

}  // namespace

DependencyGraph::DependencyGraph(const CompactHistory& history, const VersionChains& chains,
                                 const KeyOrder& order, Scope scope)
    : history_(history), chains_(chains), order_(order) {
  number_nodes(scope);
  index_versions();
  const std::vector<uint32_t> stretch = stretches();
  std::vector<Edge> edges;
  if (!stretch.empty()) {
    for_each_edge([&](uint32_t from, uint32_t to, EdgeKind kind, uint32_t) {
      if (stretch[from] != kNone && stretch[from] == stretch[to]) {
        edges.push_back({.from = from, .to = to, .kind = kind});
      }
    });
  }
  keep(std::move(edges));
}

void DependencyGraph::number_nodes(Scope scope) {
  const auto& transactions = history_.transactions();
  for (uint32_t i = 0; i < transactions.size(); ++i) {
    const bool wanted =
        scope == Scope::all || transactions[i].isolation == RecordedIsolation::serializable;
    if (wanted && chains_.committed(i) && transactions[i].operation_count != 0) {
      transactions_.push_back(i);
    }
  }
  const auto place = [&](uint32_t i) {
    const bool writes = transactions[i].writes;
    return std::tuple(writes ? chains_.commit(i) : transactions[i].snapshot, !writes, i);
  };
  std::sort(transactions_.begin(), transactions_.end(),
            [&](uint32_t a, uint32_t b) { return place(a) < place(b); });
  nodes_.assign(transactions.size(), kNone);
  for (uint32_t node = 0; node < size(); ++node) nodes_[transactions_[node]] = node;
}

bool DependencyGraph::included(uint32_t version) const {
  const uint32_t writer = chains_.versions()[version].writer;
  return writer != kNone && nodes_[writer] != kNone;
}

void DependencyGraph::index_versions() {
  const auto& versions = chains_.versions();
  const auto counts = [&](uint32_t i) { return versions[i].effective && included(i); };
  source_.resize(versions.size());
  overwriter_.resize(versions.size());
  for (uint32_t key = 0; key < history_.keys().size(); ++key) {
    uint32_t nearest = kNone;
    for (uint32_t i = chains_.begin(key); i != chains_.end(key); ++i) {
      if (counts(i)) nearest = i;
      source_[i] = nearest;
    }
    nearest = kNone;
    for (uint32_t i = chains_.end(key); i-- > chains_.begin(key);) {
      if (counts(i)) nearest = i;
      overwriter_[i] = nearest;
    }
  }
}

template <typename Emit>
void DependencyGraph::for_each_edge(const Emit& emit) const {
  for (uint32_t key = 0; key < history_.keys().size(); ++key) edges_of_key(key, emit);
  for (uint32_t node = 0; node < size(); ++node) edges_of_reader(node, emit);
}

template <typename Emit>
void DependencyGraph::edges_of_key(uint32_t key, const Emit& emit) const {
  uint32_t previous = kNone;
  for (uint32_t i = chains_.begin(key); i != chains_.end(key); ++i) {
    if (!included(i)) continue;
    const uint32_t node = nodes_[chains_.versions()[i].writer];
    if (previous != kNone && previous != node) emit(previous, node, EdgeKind::ww, key);
    previous = node;
  }
}

template <typename Emit>
void DependencyGraph::edges_of_reader(uint32_t node, const Emit& emit) const {
  const CompactTransaction& transaction = history_.transactions()[transactions_[node]];
  std::vector<uint32_t> own;  // keys that it wrote so far
  for (const CompactOperation& operation : history_.operations(transaction)) {
    if (operation.kind == Kind::write || operation.kind == Kind::erase) {
      own.push_back(operation.key);
    } else if (operation.kind == Kind::scan) {
      std::sort(own.begin(), own.end());
      edges_of_scan(node, history_.scan(operation), own, emit);
    } else if (operation.kind == Kind::read && !operation.own) {
      edges_of_read(node,
                    {.key = operation.key,
                     .found = operation.found,
                     .version = operation.version,
                     .value = operation.value,
                     .snapshot = transaction.snapshot},
                    /*range=*/false, emit);
    }
  }
}

template <typename Emit>
void DependencyGraph::edges_of_scan(uint32_t node, const CompactScan& scan,
                                    std::span<const uint32_t> own, const Emit& emit) const {
  const uint64_t snapshot = history_.transactions()[transactions_[node]].snapshot;
  const std::span<const CompactRow> rows = history_.rows(scan);
  for (const CompactRow& row : rows) {
    if (row.own) continue;
    edges_of_read(node,
                  {.key = row.key,
                   .found = true,
                   .version = row.version,
                   .value = row.value,
                   .snapshot = snapshot},
                  /*range=*/false, emit);
  }
  const KeyOrder::Interval covered = order_.covered(scan);
  if (!order_.in_order(scan, covered)) return;  // found by the read check
  size_t seen = 0;
  for (uint32_t rank = covered.begin; rank != covered.end; ++rank) {
    const uint32_t key = order_.key(rank);
    if (seen != rows.size() && rows[scan.reverse ? rows.size() - 1 - seen : seen].key == key) {
      ++seen;
      continue;
    }
    if (std::binary_search(own.begin(), own.end(), key)) continue;  // it erased it itself
    edges_of_read(node,
                  {.key = key, .found = false, .version = 0, .value = kNone, .snapshot = snapshot},
                  /*range=*/true, emit);
  }
}

template <typename Emit>
void DependencyGraph::edges_of_read(uint32_t node, const Observation& observation, bool range,
                                    const Emit& emit) const {
  const VersionChains::Met met = chains_.met(observation);
  if (!met.known) return;
  const auto writer = [&](uint32_t version) { return nodes_[chains_.versions()[version].writer]; };
  if (met.version != kNone && source_[met.version] != kNone) {
    const uint32_t from = writer(source_[met.version]);
    if (from != node) emit(from, node, range ? EdgeKind::range_wr : EdgeKind::wr, observation.key);
  }
  const uint32_t next = met.version == kNone ? chains_.begin(observation.key) : met.version + 1;
  if (next == chains_.end(observation.key) || overwriter_[next] == kNone) return;
  const uint32_t to = writer(overwriter_[next]);
  if (to != node) emit(node, to, range ? EdgeKind::range_rw : EdgeKind::rw, observation.key);
}

// The number of the stretch that each node lies in; kNone: in none. Empty: there are none.
std::vector<uint32_t> DependencyGraph::stretches() const {
  // How many backward edges begin to cover, less those that end to, at the gap behind each node.
  std::vector<int64_t> change(size() + 1, 0);
  bool any = false;
  for_each_edge([&](uint32_t from, uint32_t to, EdgeKind, uint32_t) {
    if (to >= from) return;
    ++change[to];
    --change[from];
    any = true;
  });
  if (!any) return {};
  std::vector<uint32_t> stretch(size(), kNone);
  int64_t covering = 0;
  uint32_t number = 0;
  for (uint32_t node = 0; node + 1 < size(); ++node) {
    covering += change[node];
    if (covering > 0) {
      stretch[node] = stretch[node + 1] = number;
    } else {
      ++number;
    }
  }
  return stretch;
}

void DependencyGraph::keep(std::vector<Edge> edges) {
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
    return std::tie(a.from, a.to, a.kind) < std::tie(b.from, b.to, b.kind);
  });
  edges.erase(std::unique(edges.begin(), edges.end(),
                          [](const Edge& a, const Edge& b) {
                            return a.from == b.from && a.to == b.to && a.kind == b.kind;
                          }),
              edges.end());
  begins_.assign(size() + 1, 0);
  targets_.reserve(edges.size());
  kinds_.reserve(edges.size());
  for (const Edge& edge : edges) {
    ++begins_[edge.from + 1];
    targets_.push_back(edge.to);
    kinds_.push_back(edge.kind);
  }
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
}

uint32_t DependencyGraph::find(uint32_t from, uint32_t to, EdgeKind kind) const {
  const auto begin = targets_.begin() + edges_begin(from);
  const auto end = targets_.begin() + edges_end(from);
  for (auto it = std::lower_bound(begin, end, to); it != end && *it == to; ++it) {
    const auto edge = static_cast<uint32_t>(it - targets_.begin());
    if (kinds_[edge] == kind) return edge;
  }
  return kNone;
}

uint32_t DependencyGraph::key_of(uint32_t from, uint32_t edge) const {
  const uint32_t to = target(edge);
  uint32_t found = kNone;
  const auto look = [&](uint32_t a, uint32_t b, EdgeKind a_kind, uint32_t key) {
    if (found == kNone && a == from && b == to && a_kind == kind(edge)) found = key;
  };
  switch (kind(edge)) {
    case EdgeKind::ww:
      for (const CompactOperation& operation :
           history_.operations(history_.transactions()[transactions_[from]])) {
        const bool wrote = operation.kind == Kind::write || operation.kind == Kind::erase;
        if (wrote && found == kNone) edges_of_key(operation.key, look);
      }
      break;
    case EdgeKind::wr:
    case EdgeKind::range_wr:
      edges_of_reader(to, look);
      break;
    case EdgeKind::rw:
    case EdgeKind::range_rw:
      edges_of_reader(from, look);
      break;
  }
  return found;
}

}  // namespace varve
