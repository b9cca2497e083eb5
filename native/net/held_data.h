// Data sets in a device's memory, from which its batches are prepared in the step.
#pragma once
#include <map>
#include <memory>

#include "../backends/step_functions.h"
#include "../core/store.h"
#include "../data/dataset.h"

namespace nasp {

class HeldData {
 public:
  // Copied there when it is first asked for.
  const ImageBytes& of(const std::shared_ptr<const Dataset>& dataset, const Memory& memory) {
    const auto found = held_.find(dataset);
    if (found != held_.end()) return found->second.bytes;
    const Dataset& d = *dataset;
    Held held = {Store<unsigned char>(d.images.size(), memory),
                 Store<unsigned char>(d.labels.size(), memory),
                 Store<double>(d.mean.size() + d.std.size(), memory),
                 {}};
    double *mean = held.normalisation.data(), *deviation = mean + d.mean.size();
    memory.write_at(held.images.data(), d.images.data(), d.images.size());
    memory.write_at(held.labels.data(), d.labels.data(), d.labels.size());
    memory.write_at(mean, d.mean.data(), d.mean.size() * sizeof(double));
    memory.write_at(deviation, d.std.data(), d.std.size() * sizeof(double));
    held.bytes = {held.images.data(), held.labels.data(), mean, deviation, d.channels, d.height, d.width};
    return held_.emplace(dataset, std::move(held)).first->second.bytes;
  }

 private:
  struct Held {
    Store<unsigned char> images, labels;
    Store<double> normalisation;  // means, then deviations
    ImageBytes bytes;
  };
  std::map<std::shared_ptr<const Dataset>, Held> held_;
};

}  // namespace nasp
