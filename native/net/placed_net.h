// A supernet with all that lies beside it in a backend's memory: what a session builds anew when its net changes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include "../backends/device.h"
#include "../core/arena.h"
#include "../core/store.h"
#include "alpha_selection.h"
#include "held_data.h"
#include "step_batches.h"
#include "supernet.h"
#include "tensor_names.h"
#include "weight_vectors.h"

namespace nasp {

template <class S>
struct PlacedNet {
  // Throws Error. No mixture stands yet: the first discretisation comes next, then reserve_activations.
  PlacedNet(const SupernetConfig& config, const Backend<S>& backend)
      : backend(backend), config(config), supernet(config), vectors(supernet.parameters()) {
    supernet.prepare(backend);
    const std::size_t bytes = supernet.arena_bytes(backend, !backend.device);
    const std::size_t n = static_cast<std::size_t>(config.batch);
    const std::size_t images = n * config.image_channels * config.image_size * config.image_size;
    device = std::make_unique<Device>(
        backend.device, DevicePlan{supernet.largest_activation(backend), bytes, config.batch, images,
                                   supernet.parameter_bytes()});
    Memory memory = device->memory();
    memory.held = &held;
    supernet.allocate(memory);
    results.allocate(sizeof(StepNumbers) + n * config.classes * sizeof(S), memory);
    d_logits.allocate(n * config.classes, memory);
    targets.allocate(n, memory);
    indices.allocate(n, memory);
    selection = std::make_unique<AlphaSelection<S>>(supernet, memory);
    arena = std::make_unique<Arena>(bytes, false, memory);
    names = TensorNames<S>(supernet);
  }

  // What a pass finds: numbers, then logits.
  StepNumbers* numbers() { return reinterpret_cast<StepNumbers*>(results.data()); }
  S* logits() { return reinterpret_cast<S*>(numbers() + 1); }

  // In host memory, address space for every operation: pages follow use. A device's memory is taken whole, so there it
  // grows with what mixtures propagate.
  void reserve_activations() {
    arena->rewind(0);
    if (!backend.device) return;
    const std::size_t bytes = supernet.arena_bytes(backend, false);
    if (bytes <= arena->reserved()) return;
    arena->reserve_anew(0);
    device->expect_room(bytes, config.batch);
    arena->reserve_anew(bytes);
  }

  // Before a batch's step, within which a device takes no memory: a batch of its size is planned, its data set held.
  void prepare_batch(const StepBatch<S>& batch) {
    if (planned.insert(batch.count).second) supernet.plan(*device, batch.count);
    if (batch.dataset) data.hold(batch.dataset, supernet.parameters().memory());
  }

  // x and targets; from a held data set's images, augmented, or from what the loader or the caller prepared.
  void take_batch(const Pass<S>& p, const View<S>& x, const StepBatch<S>& batch) {
    const Memory& memory = supernet.parameters().memory();
    if (batch.dataset) {
      const ImageBytes& images = data.of(batch.dataset);
      memory.write_at(indices.data(), batch.indices.data(), batch.indices.size() * sizeof(std::uint32_t));
      p.between().augment(p.run, x, targets.data(), images, indices.data(), batch.augment);
    } else {
      backend.load(p.run, x, batch.planes.data());
      memory.write_at(targets.data(), batch.targets.data(),
                      sizeof(int) * static_cast<std::size_t>(batch.count));
    }
  }

  // What a pass over so many images left; throws the device's first failure.
  void read_result(StepResult& result, int images) const {
    const std::size_t values = static_cast<std::size_t>(images) * config.classes;
    std::vector<char> found(sizeof(StepNumbers) + values * sizeof(S));
    supernet.parameters().memory().read_at(found.data(), results.data(), found.size());
    device->check();
    StepNumbers numbers;
    std::memcpy(&numbers, found.data(), sizeof(numbers));
    std::vector<S> logits(values);
    std::memcpy(logits.data(), found.data() + sizeof(numbers), values * sizeof(S));
    result.count = images;
    result.loss = numbers.loss, result.correct = numbers.correct;
    result.gradient_norm = numbers.gradient_norm;
    result.logits.assign(logits.begin(), logits.end());
  }

  std::size_t bytes() const { return held + supernet.packed_bytes(); }  // activations excepted

  const Backend<S>& backend;
  const SupernetConfig config;
  std::size_t held = 0;            // bytes, in stores
  std::unique_ptr<Device> device;  // before what lies in its memory
  Supernet<S> supernet;
  WeightVectors<S> vectors;
  TensorNames<S> names;
  std::unique_ptr<AlphaSelection<S>> selection;
  std::unique_ptr<Arena> arena;
  Store<char> results;
  Store<S> d_logits;
  Store<int> targets;
  Store<std::uint32_t> indices;
  HeldData data;
  std::set<int> planned;  // numbers of images
};

}  // namespace nasp
