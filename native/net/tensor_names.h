// The tensors of a net by name (session.h has the groups), and where each of them lies.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "supernet.h"

namespace nasp {

template <class S>
std::vector<TensorInfo> list_tensors(const Supernet<S>& net) {
  std::vector<TensorInfo> list;
  const auto& p = net.parameters();
  const auto matrix = [&](int t) { return std::vector<int>{cell_edges, net.alpha(t).mixture.candidates}; };
  for (const Slot& s : p.slots()) list.push_back({s.name, "parameter", s.shape});
  for (const Slot& s : p.buffers()) list.push_back({s.name, "buffer", s.shape});
  for (int t = 0; t < 2; t++) list.push_back({net.alpha(t).name, "alpha", matrix(t)});
  for (const Slot& s : p.slots()) list.push_back({"momentum." + s.name, "momentum", s.shape});
  for (int t = 0; t < 2; t++) {
    list.push_back({"adam.first." + net.alpha(t).name, "adam", matrix(t)});
    list.push_back({"adam.second." + net.alpha(t).name, "adam", matrix(t)});
  }
  list.push_back({"adam.step", "adam", {1}});
  for (const Slot& s : p.slots()) list.push_back({"grad." + s.name, "gradient", s.shape});
  for (int t = 0; t < 2; t++) {
    list.push_back({"grad." + net.alpha(t).name, "gradient", matrix(t)});
    list.push_back({"grad.nodes." + net.alpha(t).name, "gradient", {cell_nodes}});
    list.push_back({"grad.bypass." + net.alpha(t).name, "gradient", {cell_edges}});
  }
  for (int t = 0; t < 2; t++) list.push_back({"selected." + net.alpha(t).name, "selection", matrix(t)});
  return list;
}

template <class S>
class TensorNames {
 public:
  struct Place {
    S* data;  // in the backend's memory
    std::size_t size;
    int slot;   // of a parameter's value, else -1
    bool zero;  // a gradient that this step did not give
  };

  explicit TensorNames(const Supernet<S>& net) {
    const auto& p = net.parameters();
    for (std::size_t i = 0; i < p.slots().size(); i++) names_[p.slots()[i].name] = static_cast<int>(i);
    for (std::size_t i = 0; i < p.buffers().size(); i++)
      names_[p.buffers()[i].name] = -1 - static_cast<int>(i);
  }

  // Throws Error ERR_NASP_UNKNOWN_TENSOR.
  Place find(Supernet<S>& net, const std::string& name) const {
    auto& p = net.parameters();
    const auto rest = [&](const char* prefix) {
      return name.rfind(prefix, 0) == 0 ? name.substr(std::char_traits<char>::length(prefix)) : std::string();
    };
    for (int t = 0; t < 2; t++) {
      AlphaMatrix<S>& a = net.alpha(t);
      if (name == a.name) return {a.value(), a.size(), -1, false};
      if (name == "grad.nodes." + a.name) return {a.node_gradient(), cell_nodes, -1, false};
      if (name == "grad.bypass." + a.name) return {a.bypass_gradient(), cell_edges, -1, false};
      if (name == "grad." + a.name) return {a.gradient(), a.size(), -1, false};
      if (name == "adam.first." + a.name) return {a.first(), a.size(), -1, false};
      if (name == "adam.second." + a.name) return {a.second(), a.size(), -1, false};
    }
    const std::string momentum = rest("momentum."), gradient = rest("grad.");
    const auto found = names_.find(!momentum.empty() ? momentum : !gradient.empty() ? gradient : name);
    if (found == names_.end() || (found->second < 0 && (!momentum.empty() || !gradient.empty()))) {
      throw Error("ERR_NASP_UNKNOWN_TENSOR",
                  "Expected the name of a tensor of this net but received " + name);
    }
    if (found->second < 0)
      return {p.buffer(-1 - found->second), p.buffers()[static_cast<std::size_t>(-1 - found->second)].size,
              -1, false};
    const Slot& s = p.slots()[static_cast<std::size_t>(found->second)];
    if (!momentum.empty()) return {p.momentum(found->second), s.size, -1, false};
    if (!gradient.empty()) return {p.gradient(found->second), s.size, -1, !s.has_gradient};
    return {p.value(found->second), s.size, found->second, false};
  }

 private:
  std::map<std::string, int> names_;  // parameters; buffers as -1 - index
};

}  // namespace nasp
