#include "supernet_config.h"

#include <cstdint>
#include <utility>

#include "../backends/registry.h"
#include "../core/cell_shape.h"
#include "../core/error.h"
#include "../core/usable_threads.h"
#include "../ops/operation.h"

namespace nasp {

namespace {
constexpr std::int64_t most_logits = 1 << 26;
}

void check_probes(bool bf16, Precision precision, const std::string& isa) {
  if (!bf16) return;
  expect(precision == Precision::f32, "f32 for probePrecision beside f64 for precision", "bf16");
  const std::string name = isa.empty() ? chosen_isa() : isa;
  expect(has_bf16_probes(name), "f32 for probePrecision, as AVX512-BF16 is not to be had on " + name, "bf16",
         "ERR_NASP_UNSUPPORTED");
}

SupernetConfig checked(SupernetConfig c) {
  const auto in = [](const char* name, int v, int low, int high) {
    expect(v >= low && v <= high,
           "a whole number from " + std::to_string(low) + " to " + std::to_string(high) + " for " + name,
           std::to_string(v));
  };
  in("channels", c.channels, 1, 4096);
  in("layers", c.layers, 3, 1000);
  in("classes", c.classes, 2, 65536);
  in("imageSize", c.image_size, 4, 4096);
  in("imageChannels", c.image_channels, 1, 64);
  in("batch", c.batch, 1, 65536);
  expect(static_cast<std::int64_t>(c.batch) * c.classes <= most_logits,
         "at most " + std::to_string(most_logits) + " for batch times classes",
         std::to_string(static_cast<std::int64_t>(c.batch) * c.classes));
  in("threads", c.threads, 0, most_threads);
  in("partialChannels", c.partial_channels, 1, 64);
  for (auto [name, list] : {std::pair{"normal", &c.normal}, {"reduce", &c.reduce}}) {
    expect(!list->empty(), std::string("at least one operation for ") + name, "none");
    expect(list->size() <= most_candidates,
           "at most " + std::to_string(most_candidates) + " operations for " + name,
           std::to_string(list->size()));
    for (const std::string& op : *list) make_operation(op, 2, 1, true);
  }
  if (c.isa.empty()) c.isa = chosen_isa();
  check_probes(c.bf16_probes, c.precision, c.isa);
  if (c.threads == 0) c.threads = usable_threads();
  return c;
}

}  // namespace nasp
