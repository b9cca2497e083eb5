#include "dataset.h"

#include <cmath>
#include <string>

#include "../core/error.h"

namespace nasp {

void check_dataset(const Dataset& dataset) {
  const auto text = [](auto value) { return std::to_string(value); };
  expect(dataset.count >= 1, "at least one image for images", text(dataset.count));
  expect(dataset.channels >= 1 && dataset.channels <= 1024, "1 to 1024 for channels", text(dataset.channels));
  expect(dataset.height >= 1 && dataset.height <= 4096, "1 to 4096 for height", text(dataset.height));
  expect(dataset.width >= 1 && dataset.width <= 4096, "1 to 4096 for width", text(dataset.width));
  const std::size_t pixels = static_cast<std::size_t>(dataset.channels) * dataset.height * dataset.width;
  expect(dataset.images.size() == pixels * dataset.count,
         "count * channels * height * width bytes for images", text(dataset.images.size()) + " bytes");
  expect(dataset.labels.size() == static_cast<std::size_t>(dataset.count), "one label an image for labels",
         text(dataset.labels.size()));
  const std::size_t channels = static_cast<std::size_t>(dataset.channels);
  expect(dataset.mean.size() == channels, "one value a channel for mean", text(dataset.mean.size()));
  expect(dataset.std.size() == channels, "one value a channel for std", text(dataset.std.size()));
  for (double value : dataset.mean)
    expect(std::isfinite(value), "finite values for mean", number_text(value));
  for (double value : dataset.std)
    expect(std::isfinite(value) && value > 0, "values above 0 for std", number_text(value));
}

}  // namespace nasp
