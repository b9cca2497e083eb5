// Named vectors over all weights of a net, and sums of them: what an unrolled step and finite differences are made of.
//
//   weights, momentum   the net's own
//   gradient            of the last step that went backward; 0 where that gave none (all of it, without weight gradients)
//   any other name      a copy, made when it is first written
#pragma once
#include <map>
#include <string>
#include <vector>

#include "parameters.h"
#include "session.h"

namespace nasp {

template <class S>
class WeightVectors {
 public:
  explicit WeightVectors(Parameters<S>& parameters) : parameters_(parameters) {}

  // to = sum of factor * vector, summed in double: one term of factor 1 is a copy. `to` may be among the terms.
  void combine(const Run& run, const StepFunctions<S>& functions, const std::string& to,
               const std::vector<WeightTerm>& terms) {
    expect(to != "gradient", "another vector than gradient for to", to);
    expect(terms.size() <= most_vectors, "at most " + std::to_string(most_vectors) + " terms",
           std::to_string(terms.size()));
    for (const WeightTerm& t : terms) require(t.vector);
    const WeightTable<S> table = parameters_.table();
    if (to != "weights" && to != "momentum" && own_.count(to) == 0)
      own_.emplace(to, Store<S>(parameters_.values(), parameters_.memory()));
    std::vector<VectorTerm<S>> vectors;
    for (const WeightTerm& t : terms)
      vectors.push_back({data(table, t.vector), t.factor, t.vector == "gradient"});
    functions.combine(run, data(table, to), table, vectors.data(), static_cast<int>(vectors.size()));
    for (Slot& s : parameters_.slots()) s.version += to == "weights";
  }

  // sqrt of the sum of squares. Waits for it.
  double norm(const Run& run, const StepFunctions<S>& functions, const std::string& vector) {
    require(vector);
    if (result_.size() == 0) result_.allocate(1, parameters_.memory());
    const WeightTable<S> table = parameters_.table();
    functions.norm(run, result_.data(), table, data(table, vector), vector == "gradient");
    double norm = 0;
    parameters_.memory().read_at(&norm, result_.data(), sizeof(norm));
    return norm;
  }

 private:
  void require(const std::string& vector) const {
    if (vector == "weights" || vector == "gradient" || vector == "momentum" || own_.count(vector)) return;
    std::string known = "weights, gradient, momentum";
    for (const auto& [name, _] : own_) known += ", " + name;
    refuse("one of " + known + " for the name of a weight vector", vector);
  }

  S* data(const WeightTable<S>& table, const std::string& vector) {
    if (vector == "weights") return table.values;
    if (vector == "momentum") return table.momentum;
    if (vector == "gradient") return table.gradients;
    return own_.at(vector).data();
  }

  Parameters<S>& parameters_;
  std::map<std::string, Store<S>> own_;
  Store<double> result_;
};

}  // namespace nasp
