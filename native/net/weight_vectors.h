// Named vectors over all weights of a net, and sums of them: what an unrolled step and finite differences are made of.
//
//   weights, momentum   the net's own
//   gradient            of the last step that had weight gradients; 0 where it gave none
//   any other name      a copy, made when it is first written
#pragma once
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "parameters.h"

namespace nasp {

template <class S>
class WeightVectors {
 public:
  explicit WeightVectors(Parameters<S>& parameters) : parameters_(parameters) {}

  // to = sum of factor * vector, summed in double: one term of factor 1 is a copy. `to` may be among the terms.
  void combine(const std::string& to, const std::vector<WeightTerm>& terms) {
    if (to == "gradient")
      throw Error("ERR_NASP_ARGUMENT", "Expected another vector than gradient for to but received gradient");
    for (const WeightTerm& t : terms) require(t.vector);
    if (to != "weights" && to != "momentum") own_[to].resize(parameters_.values());
    for (std::size_t i = 0; i < parameters_.slots().size(); i++) {
      std::vector<const S*> from;
      for (const WeightTerm& t : terms) from.push_back(part(t.vector, i));
      S* target = const_cast<S*>(part(to, i));
      for (std::size_t j = 0; j < parameters_.slots()[i].size; j++) {
        double sum = 0;
        for (std::size_t t = 0; t < terms.size(); t++) {
          if (from[t]) sum += terms[t].factor * from[t][j];
        }
        target[j] = static_cast<S>(sum);
      }
      if (to == "weights") parameters_.slots()[i].version++;
    }
  }

  double norm(const std::string& vector) const {
    require(vector);
    double squares = 0;
    for (std::size_t i = 0; i < parameters_.slots().size(); i++) {
      const S* v = part(vector, i);
      double sum = 0;
      for (std::size_t j = 0; v && j < parameters_.slots()[i].size; j++)
        sum += static_cast<double>(v[j]) * v[j];
      squares += sum;
    }
    return std::sqrt(squares);
  }

  std::size_t bytes() const { return own_.size() * parameters_.values() * sizeof(S); }

 private:
  void require(const std::string& vector) const {
    if (vector == "weights" || vector == "gradient" || vector == "momentum" || own_.count(vector)) return;
    std::string known = "weights, gradient, momentum";
    for (const auto& [name, _] : own_) known += ", " + name;
    throw Error("ERR_NASP_ARGUMENT",
                "Expected one of " + known + " for the name of a weight vector but received " + vector);
  }

  // Slot i of a vector; null where it is all zero.
  const S* part(const std::string& vector, std::size_t i) const {
    const int slot = static_cast<int>(i);
    const Slot& s = parameters_.slots()[i];
    if (vector == "weights") return parameters_.value(slot);
    if (vector == "momentum") return parameters_.momentum(slot);
    if (vector == "gradient") return s.has_gradient ? parameters_.gradient(slot) : nullptr;
    return own_.at(vector).data() + s.offset;
  }

  Parameters<S>& parameters_;
  std::map<std::string, std::vector<S>> own_;
};

}  // namespace nasp
