// Parameters and buffers of a net, by the names of quark0/darts' state_dict, in one stretch each: values, gradients,
// momentum; and beside every parameter whether this step gave it a gradient, and a version that packed copies follow.
// Numbers that units keep from forward to backward lie here too.
//
// Memory    all of it is the backend's: the host reads and writes it through read() and write() alone
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "../backends/step_functions.h"
#include "../core/error.h"
#include "../core/rng.h"
#include "../core/store.h"

namespace nasp {

// fan_in: uniform in +-1 / sqrt(fan in), PyTorch's default for convolutions
enum class Initial { zero, one, fan_in };

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

  // Room for a unit's numbers, of 256-byte alignment; returns their place.
  std::size_t reserve(std::size_t bytes) {
    const std::size_t at = number_bytes_;
    number_bytes_ += (bytes + 255) / 256 * 256;
    return at;
  }
  void* numbers(std::size_t at) { return numbers_.data() + at; }
  // Zeros for as many channels as one of the views has that are asked about.
  void reserve_zeros(int channels) {
    zero_count_ = std::max(zero_count_, static_cast<std::size_t>(channels));
  }
  const S* zeros() const { return zeros_.data(); }

  void allocate(std::uint64_t seed, const Memory& memory) {
    memory_ = memory;
    values_.allocate(total(slots_), memory);
    buffer_values_.allocate(total(buffers_), memory);
    saved_buffers_.allocate(total(buffers_), memory);
    gradients_.allocate(values_.size(), memory);
    momentum_.allocate(values_.size(), memory);
    numbers_.allocate(number_bytes_, memory);
    zeros_.allocate(zero_count_, memory);
    if (!memory.host()) make_pieces();
    std::vector<S> start(values_.size());
    std::uint32_t substream = 0;
    for (Slot& p : slots_) {
      S* v = start.data() + p.offset;
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
    write(values_.data(), start.data(), start.size());
    start.assign(buffer_values_.size(), S(0));
    for (Slot& b : buffers_) {
      for (std::size_t i = 0; i < b.size; i++) start[b.offset + i] = b.initial == Initial::one ? S(1) : S(0);
    }
    write(buffer_values_.data(), start.data(), start.size());
  }

  void read(S* to, const S* from, std::size_t count) const { memory_.read_at(to, from, count * sizeof(S)); }
  void write(S* to, const S* from, std::size_t count) { memory_.write_at(to, from, count * sizeof(S)); }
  const Memory& memory() const { return memory_; }

  Slot& slot(int i) { return slots_[static_cast<std::size_t>(i)]; }
  const Slot& slot(int i) const { return slots_[static_cast<std::size_t>(i)]; }
  const S* value(int i) const { return values_.data() + slots_[static_cast<std::size_t>(i)].offset; }
  S* value(int i) { return values_.data() + slots_[static_cast<std::size_t>(i)].offset; }
  S* gradient(int i) { return gradients_.data() + slots_[static_cast<std::size_t>(i)].offset; }
  S* momentum(int i) { return momentum_.data() + slots_[static_cast<std::size_t>(i)].offset; }
  S* buffer(int i) { return buffer_values_.data() + buffers_[static_cast<std::size_t>(i)].offset; }

  std::vector<Slot>& slots() { return slots_; }
  const std::vector<Slot>& slots() const { return slots_; }
  const std::vector<Slot>& buffers() const { return buffers_; }
  std::size_t values() const { return values_.size(); }  // in all slots, with what lies between them
  void save_buffers() {
    memory_.copy_at(saved_buffers_.data(), buffer_values_.data(), buffer_values_.bytes());
  }
  void restore_buffers() {
    memory_.copy_at(buffer_values_.data(), saved_buffers_.data(), buffer_values_.bytes());
  }
  void forget_gradients() {
    for (Slot& p : slots_) p.has_gradient = false;
  }
  // What a step's optimizer is to know, once all gradients of the step are on their way.
  WeightTable<S> table() {
    table_slots_.clear();
    for (const Slot& s : slots_) table_slots_.push_back({s.offset, s.size, s.has_gradient});
    if (!memory_.host()) {
      std::vector<unsigned char> flags;
      for (const Slot& s : slots_) flags.push_back(s.has_gradient ? 1 : 0);
      memory_.write_at(flags_.data(), flags.data(), flags.size());
    }
    return {values_.data(),
            gradients_.data(),
            momentum_.data(),
            table_slots_.data(),
            static_cast<int>(slots_.size()),
            pieces_.data(),
            flags_.data(),
            partial_.data(),
            static_cast<int>(pieces_.size())};
  }
  std::size_t planned_bytes() const {  // of what grows with the net; before allocate()
    return sizeof(S) * (3 * total(slots_) + 2 * total(buffers_) + zero_count_) + number_bytes_;
  }

 private:
  void make_pieces() {
    std::vector<WeightPiece> pieces;
    for (std::size_t i = 0; i < slots_.size(); i++) {
      for (std::size_t at = 0; at < slots_[i].size; at += piece_size)
        pieces.push_back({static_cast<std::uint32_t>(i),
                          static_cast<std::uint32_t>(std::min(piece_size, slots_[i].size - at)),
                          slots_[i].offset + at});
    }
    pieces_.allocate(pieces.size(), memory_);
    memory_.write_at(pieces_.data(), pieces.data(), pieces_.bytes());
    flags_.allocate(slots_.size(), memory_);
    partial_.allocate(pieces.size(), memory_);
  }
  static int put(std::vector<Slot>& to, const std::string& name, std::vector<int> shape, Initial initial,
                 int fan_in) {
    Slot s = {name, std::move(shape), total(to), 1, initial, fan_in};
    for (int d : s.shape) s.size *= static_cast<std::size_t>(d);
    to.push_back(std::move(s));
    return static_cast<int>(to.size()) - 1;
  }
  static std::size_t total(const std::vector<Slot>& slots) {
    if (slots.empty()) return 0;
    const std::size_t end = slots.back().offset + slots.back().size;
    return (end + slot_alignment - 1) / slot_alignment * slot_alignment;
  }

  std::vector<Slot> slots_, buffers_;
  std::vector<WeightSlot> table_slots_;
  std::size_t number_bytes_ = 0, zero_count_ = 0;
  Memory memory_;
  Store<S> values_, gradients_, momentum_, buffer_values_, saved_buffers_, zeros_;
  Store<char> numbers_;
  Store<WeightPiece> pieces_;
  Store<unsigned char> flags_;
  Store<double> partial_;
};

// Running statistics are, at its end, as they were at its start, however it ends; where not `wanted` it does nothing.
template <class S>
class KeptBuffers {
 public:
  KeptBuffers(Parameters<S>& parameters, bool wanted) : parameters_(wanted ? &parameters : nullptr) {
    if (parameters_) parameters_->save_buffers();
  }
  ~KeptBuffers() {
    if (parameters_) parameters_->restore_buffers();
  }
  KeptBuffers(const KeptBuffers&) = delete;
  KeptBuffers& operator=(const KeptBuffers&) = delete;

 private:
  Parameters<S>* parameters_;
};

}  // namespace nasp
