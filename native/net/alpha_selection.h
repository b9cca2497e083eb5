// The way of alpha's update to the backend's memory and of D back from it: the host chooses by D what it launches.
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "../backends/step_functions.h"
#include "supernet.h"

namespace nasp {

template <class S>
class AlphaSelection {
 public:
  AlphaSelection(const Supernet<S>& net, const Memory& memory) : selection_(bytes_of(net), memory) {}

  // One copy there, one launch, one copy back.
  void run(Supernet<S>& net, const StepFunctions<S>& functions, const Run& run, const AlphaStep& step,
           const std::array<const std::vector<double>*, 2>& costs) {
    const Memory& memory = net.parameters().memory();
    std::vector<double> block(selection_.size() / sizeof(double) + 1);
    char* bytes = reinterpret_cast<char*>(block.data());
    const Parts here = parts(net, bytes), there = parts(net, selection_.data());
    AlphaTable<S> tables[2];
    for (int t = 0; t < 2; t++) {
      AlphaMatrix<S>& a = net.alpha(t);
      const Mixture& m = a.mixture;
      std::copy(m.weight.begin(), m.weight.end(), here.weight[t]);
      std::copy(m.use.begin(), m.use.end(), here.use[t]);
      const bool regularised = costs[t] && !costs[t]->empty();
      if (regularised) std::copy(costs[t]->begin(), costs[t]->end(), here.cost[t]);
      tables[t] = {m.candidates, a.value(),       a.gradient(), a.first(),
                   a.second(),   there.weight[t], there.use[t], regularised ? there.cost[t] : nullptr};
    }
    memory.write_at(selection_.data(), bytes, selection_.size());
    functions.update_alpha(run, tables, step);
    memory.read_at(bytes, selection_.data(), selection_.size());
    for (int t = 0; t < 2; t++) {
      Mixture& m = net.alpha(t).mixture;
      std::copy(here.weight[t], here.weight[t] + m.weight.size(), m.weight.begin());
      std::copy(here.use[t], here.use[t] + m.use.size(), m.use.begin());
    }
  }

 private:
  // What goes to alpha's update and D, which comes back: the host chooses by D what it launches. In the backend's memory:
  // weights and costs of both matrices, then uses.
  struct Parts {
    double *weight[2], *cost[2];
    Use* use[2];
  };
  static std::size_t bytes_of(const Supernet<S>& net) {
    std::size_t n = 0;
    for (int t = 0; t < 2; t++)
      n += net.alpha(t).size() * (sizeof(double) + sizeof(Use)) +
           static_cast<std::size_t>(net.alpha(t).mixture.candidates) * sizeof(double);
    return n;
  }
  static Parts parts(const Supernet<S>& net, char* at) {
    Parts s;
    auto* numbers = reinterpret_cast<double*>(at);
    for (int t = 0; t < 2; t++) {
      s.weight[t] = numbers, numbers += net.alpha(t).size();
      s.cost[t] = numbers, numbers += net.alpha(t).mixture.candidates;
    }
    auto* uses = reinterpret_cast<Use*>(numbers);
    for (int t = 0; t < 2; t++) s.use[t] = uses, uses += net.alpha(t).size();
    return s;
  }

  Store<char> selection_;
};

}  // namespace nasp
