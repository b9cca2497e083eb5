// The k parts of a node whose channels are partial (PC-DARTS): channel i k + p of the node is channel i of part p. Views of
// the node itself, every k-th channel, or where the backend wants neighbours (Backend::split) of memory beside it.
#pragma once
#include "chain.h"

namespace nasp {

template <class S>
class NodeParts {
 public:
  NodeParts() = default;
  // Memory beside the node, where it takes any, is the pass's.
  NodeParts(const Pass<S>& pass, const View<S>& node, int count) : node_(node), count_(count) {
    if (count > 1 && pass.backend.split) beside_ = pass.take(node.channels, node.height, node.width).data;
    part_size_ = pass.backend.size(pass.run.batch, node.channels / count, node.height, node.width);
  }

  static void count(ArenaCount<S>& arena, int channels, int height, int width, int parts) {
    if (parts > 1 && arena.backend().split) arena.take(channels, height, width);
  }

  View<S> of(const Backend<S>& backend, int part) const {
    const int channels = node_.channels / count_;
    if (beside_) return backend.view(beside_ + part * part_size_, channels, node_.height, node_.width);
    View<S> view = node_.slice(part, 1);
    view.channels = channels;
    view.channel_pitch *= count_;
    return view;
  }

  void from_node(const Pass<S>& pass) const {
    if (beside_) pass.backend.split(pass.run, beside_, node_, count_);
  }
  void to_node(const Pass<S>& pass) const {
    if (beside_) pass.backend.join(pass.run, node_, beside_, count_);
  }

 private:
  View<S> node_;
  int count_ = 1;
  S* beside_ = nullptr;
  std::size_t part_size_ = 0;
};

}  // namespace nasp
