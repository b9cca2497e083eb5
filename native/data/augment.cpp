#include "augment.h"

#include <algorithm>
#include <string>

#include "../core/error.h"
#include "../core/image_draws.h"

namespace nasp {

void check_augment(const Dataset& dataset, const Augment& augment) {
  expect(augment.pad >= 0 && augment.pad <= 4096, "0 to 4096 for augment.pad", std::to_string(augment.pad));
  const int largest = 2 * std::max(dataset.height, dataset.width);
  expect(augment.cutout >= 0 && augment.cutout <= largest, "0 to twice the image's size for augment.cutout",
         std::to_string(augment.cutout));
}

void check_indices(const Dataset& dataset, const std::uint32_t* indices, int count) {
  for (int i = 0; i < count; i++) {
    expect(indices[i] < static_cast<std::uint32_t>(dataset.count),
           "less than the data set's count for indices[" + std::to_string(i) + "]",
           std::to_string(indices[i]));
  }
}

template <class S>
void augment_image(const Dataset& dataset, std::uint32_t index, const Augment& augment, int position,
                   S* planes) {
  const int height = dataset.height, width = dataset.width;
  const std::uint64_t counter = augment.counter + static_cast<std::uint64_t>(position);
  const auto [down, right, flip] = draw_crop(augment.seed, counter, augment.pad, augment.flip);
  const std::size_t pixels = static_cast<std::size_t>(height) * width;
  const std::uint8_t* image = dataset.images.data() + index * pixels * dataset.channels;  // (C, H, W)
  for (int c = 0; c < dataset.channels; c++) {
    const std::size_t channel = static_cast<std::size_t>(c);
    const double mean = dataset.mean[channel], std = dataset.std[channel];
    S value[256];
    for (int v = 0; v < 256; v++) value[v] = static_cast<S>(normalised_byte(v, mean, std));
    for (int y = 0; y < height; y++) {
      const std::uint8_t* row =
          y + down >= 0 && y + down < height ? image + c * pixels + (y + down) * width : nullptr;
      S* out = planes + c * pixels + static_cast<std::size_t>(y) * width;
      for (int x = 0; x < width; x++) {
        const int from = (flip ? width - 1 - x : x) + right;
        out[x] = value[row && from >= 0 && from < width ? row[from] : 0];
      }
    }
  }
  const Cutout cut = draw_cutout(augment.seed, counter, augment.cutout, height, width);
  for (int c = 0; c < dataset.channels; c++) {
    for (int y = std::max(cut.top, 0); y < std::min(cut.bottom, height); y++) {
      S* row = planes + c * pixels + static_cast<std::size_t>(y) * width;
      std::fill(row + std::max(cut.left, 0), row + std::min(cut.end, width), S(0));
    }
  }
}

template <class S>
void augment_batch(const Dataset& dataset, const std::uint32_t* indices, int count, const Augment& augment,
                   S* planes, int* labels) {
  const std::size_t size = static_cast<std::size_t>(dataset.channels) * dataset.height * dataset.width;
  for (int i = 0; i < count; i++) {
    augment_image(dataset, indices[i], augment, i, planes + size * i);
    labels[i] = dataset.labels[indices[i]];
  }
}

template void augment_image(const Dataset&, std::uint32_t, const Augment&, int, float*);
template void augment_image(const Dataset&, std::uint32_t, const Augment&, int, double*);
template void augment_batch(const Dataset&, const std::uint32_t*, int, const Augment&, float*, int*);
template void augment_batch(const Dataset&, const std::uint32_t*, int, const Augment&, double*, int*);

}  // namespace nasp
