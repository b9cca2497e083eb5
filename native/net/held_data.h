// Data sets in a device's memory, from which its batches are prepared in the step. They stay there for as long as anybody
// has them: the caller, or a batch that is queued.
#pragma once
#include <map>
#include <memory>

#include "../backends/step_functions.h"
#include "../core/store.h"
#include "../data/dataset.h"

namespace nasp {

class HeldData {
 public:
  // Before a step: copied there unless it is there, in the place of those that nobody has any more.
  void hold(const std::shared_ptr<const Dataset>& dataset, const Memory& memory) {
    std::erase_if(held_, [](const auto& held) { return held.first.expired(); });
    if (held_.count(dataset)) return;
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
    held_.emplace(dataset, std::move(held));
  }
  const ImageBytes& of(const std::shared_ptr<const Dataset>& dataset) const {
    return held_.at(dataset).bytes;
  }

 private:
  struct Held {
    Store<unsigned char> images, labels;
    Store<double> normalisation;  // means, then deviations
    ImageBytes bytes;
  };
  std::map<std::weak_ptr<const Dataset>, Held, std::owner_less<std::weak_ptr<const Dataset>>> held_;
};

}  // namespace nasp
