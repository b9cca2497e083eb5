// The tensors of a net by name (session.h has the groups), and where each of them lies.
#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "session.h"
#include "supernet.h"

namespace nasp {

template <class S>
struct Tensor {
  TensorInfo info;
  S* data = nullptr;  // in the backend's memory; null: adam.step, and what has a mixture
  bool writable = true;
  int slot = -1;                     // of a parameter and its gradient
  const Mixture* mixture = nullptr;  // its weights, in the host's memory
};

// Of an allocated net, for as long as that is there.
template <class S>
std::vector<Tensor<S>> list_tensors(Supernet<S>& net) {
  std::vector<Tensor<S>> list;
  Parameters<S>& p = net.parameters();
  const int slots = static_cast<int>(p.slots().size()), buffers = static_cast<int>(p.buffers().size());
  const auto each_alpha = [&](const auto& add) {
    for (int t = 0; t < 2; t++) {
      AlphaMatrix<S>& a = net.alpha(t);
      add(a, std::vector<int>{cell_edges, a.mixture.candidates});
    }
  };
  for (int i = 0; i < slots; i++)
    list.push_back({{p.slot(i).name, "parameter", p.slot(i).shape}, p.value(i), true, i});
  for (int i = 0; i < buffers; i++) {
    const Slot& b = p.buffers()[static_cast<std::size_t>(i)];
    list.push_back({{b.name, "buffer", b.shape}, p.buffer(i)});
  }
  each_alpha([&](auto& a, const auto& matrix) { list.push_back({{a.name, "alpha", matrix}, a.value()}); });
  for (int i = 0; i < slots; i++)
    list.push_back({{"momentum." + p.slot(i).name, "momentum", p.slot(i).shape}, p.momentum(i)});
  each_alpha([&](auto& a, const auto& matrix) {
    list.push_back({{"adam.first." + a.name, "adam", matrix}, a.first()});
    list.push_back({{"adam.second." + a.name, "adam", matrix}, a.second()});
  });
  list.push_back({{"adam.step", "adam", {1}}});
  for (int i = 0; i < slots; i++)
    list.push_back({{"grad." + p.slot(i).name, "gradient", p.slot(i).shape}, p.gradient(i), false, i});
  each_alpha([&](auto& a, const auto& matrix) {
    list.push_back({{"grad." + a.name, "gradient", matrix}, a.gradient()});
    list.push_back({{"grad.nodes." + a.name, "gradient", {cell_nodes}}, a.node_gradient(), false});
    list.push_back({{"grad.bypass." + a.name, "gradient", {cell_edges}}, a.bypass_gradient(), false});
  });
  each_alpha([&](auto& a, const auto& matrix) {
    list.push_back({{"selected." + a.name, "selection", matrix}, nullptr, false, -1, &a.mixture});
  });
  return list;
}

template <class S>
class TensorNames {
 public:
  TensorNames() = default;
  explicit TensorNames(Supernet<S>& net) : list_(list_tensors(net)) {
    for (std::size_t i = 0; i < list_.size(); i++) places_[list_[i].info.name] = i;
  }
  const std::vector<Tensor<S>>& list() const { return list_; }
  const Tensor<S>& find(const std::string& name) const {  // throws Error ERR_NASP_UNKNOWN_TENSOR
    const auto found = places_.find(name);
    expect(found != places_.end(), "the name of a tensor of this net", name, "ERR_NASP_UNKNOWN_TENSOR");
    return list_[found->second];
  }

 private:
  std::vector<Tensor<S>> list_;
  std::unordered_map<std::string, std::size_t> places_;
};

}  // namespace nasp
