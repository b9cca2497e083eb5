// Parameters and buffers of a net, by the names of quark0/darts' state_dict, in one stretch each: values, gradients,
// momentum; and beside every parameter whether this step gave it a gradient, and a version that packed copies follow.
#pragma once
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "../core/error.h"
#include "../core/rng.h"
#include "session.h"

namespace nasp {

enum class Initial {
  zero,
  one,
  fan_in
};  // fan_in: uniform in +-1 / sqrt(fan in), PyTorch's default for convolutions

struct Slot {
  std::string name;
  std::vector<int> shape;
  std::size_t offset, size;
  Initial initial;
  int fan_in;
  bool has_gradient = false;  // in the current step
  std::uint32_t version = 1;  // counts changes of the values
};

template <class S>
class Parameters {
 public:
  // Registration, before allocate(). fan_in: of the module, so that a bias gets its weight's.
  int add(const std::string& name, std::vector<int> shape, Initial initial, int fan_in = 0) {
    return put(slots_, name, std::move(shape), initial, fan_in);
  }
  int add_buffer(const std::string& name, int channels, Initial initial) {
    return put(buffers_, name, {channels}, initial, 0);
  }

  // train: room for gradients and momentum too.
  void allocate(std::uint64_t seed, bool train) {
    values_.assign(total(slots_), S(0));
    buffer_values_.assign(total(buffers_), S(0));
    if (train) gradients_.assign(values_.size(), S(0)), momentum_.assign(values_.size(), S(0));
    std::uint32_t substream = 0;
    for (Slot& p : slots_) {
      S* v = values_.data() + p.offset;
      const double bound = p.fan_in > 0 ? 1 / std::sqrt(static_cast<double>(p.fan_in)) : 0;
      for (std::size_t i = 0; i < p.size; i++) {
        const Random4 r = p.initial == Initial::fan_in
                              ? philox(seed, static_cast<std::uint32_t>(Stream::weights), substream, i / 4)
                              : Random4{};
        v[i] = p.initial == Initial::one    ? S(1)
               : p.initial == Initial::zero ? S(0)
                                            : S((2 * uniform(r.word[i % 4]) - 1) * bound);
      }
      substream++;
    }
    for (Slot& b : buffers_) {
      for (std::size_t i = 0; i < b.size; i++)
        buffer_values_[b.offset + i] = b.initial == Initial::one ? S(1) : S(0);
    }
  }

  Slot& slot(int i) { return slots_[static_cast<std::size_t>(i)]; }
  const S* value(int i) const { return values_.data() + slots_[static_cast<std::size_t>(i)].offset; }
  S* value(int i) { return values_.data() + slots_[static_cast<std::size_t>(i)].offset; }
  S* gradient(int i) { return gradients_.data() + slots_[static_cast<std::size_t>(i)].offset; }
  S* momentum(int i) { return momentum_.data() + slots_[static_cast<std::size_t>(i)].offset; }
  S* buffer(int i) { return buffer_values_.data() + buffers_[static_cast<std::size_t>(i)].offset; }

  std::vector<Slot>& slots() { return slots_; }
  const std::vector<Slot>& slots() const { return slots_; }
  const std::vector<Slot>& buffers() const { return buffers_; }
  std::size_t values() const { return values_.size(); }  // in all slots
  std::vector<S> buffer_values() const { return buffer_values_; }
  void restore_buffers(const std::vector<S>& values) { buffer_values_ = values; }
  void forget_gradients() {
    for (Slot& p : slots_) p.has_gradient = false;
  }
  std::size_t bytes() const {
    return sizeof(S) * (values_.size() + gradients_.size() + momentum_.size() + buffer_values_.size());
  }

 private:
  static int put(std::vector<Slot>& to, const std::string& name, std::vector<int> shape, Initial initial,
                 int fan_in) {
    Slot s = {name, std::move(shape), total(to), 1, initial, fan_in};
    for (int d : s.shape) s.size *= static_cast<std::size_t>(d);
    to.push_back(std::move(s));
    return static_cast<int>(to.size()) - 1;
  }
  static std::size_t total(const std::vector<Slot>& slots) {
    return slots.empty() ? 0 : slots.back().offset + slots.back().size;
  }

  std::vector<Slot> slots_, buffers_;
  std::vector<S> values_, gradients_, momentum_, buffer_values_;
};

}  // namespace nasp
