// What a net is made by, and what of it a session accepts, whoever calls.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace nasp {

enum class Precision { f32, f64 };

struct SupernetConfig {
  int channels = 16, layers = 8, classes = 10;
  int image_size = 32, image_channels = 3;
  int batch = 64;                           // the largest batch that will be queued
  std::vector<std::string> normal, reduce;  // candidate operations of the two cell types, canonical names
  Precision precision = Precision::f32;
  std::string isa;           // "" = NASP_ISA or the best the machine has
  int threads = 0;           // 0 = what the process may use
  int partial_channels = 1;  // operations see one channel in so many (PC-DARTS); the others go by
  bool bf16_probes =
      false;           // probes' products of channels in bfloat16; beside f32 alone, where there are such
  bool dense = false;  // run and differentiate every operation (tests, comparison)
  std::uint64_t seed = 0;
};

// Throws Error ERR_NASP_UNSUPPORTED where probes can't have bfloat16 (bf16), ERR_NASP_ARGUMENT beside f64.
void check_probes(bool bf16, Precision precision, const std::string& isa);

// With isa and threads filled in. Throws Error ERR_NASP_ARGUMENT (or what an unknown operation throws).
SupernetConfig checked(SupernetConfig config);

}  // namespace nasp
