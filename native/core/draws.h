// Whole arrays of random numbers for TypeScript, from the counter-based generator (rng.h).
#pragma once
#include <cstdint>
#include <vector>

namespace nasp {

// A permutation of 0 .. n - 1: Fisher-Yates from the back; exchange k draws word k % 4 at counter k / 4 of
// Stream::shuffle.
std::vector<std::uint32_t> permutation(std::uint64_t seed, std::uint32_t substream, std::uint32_t n);

// n (at most 4096) uniform numbers in (0, 1), draw number `counter` (below 2^43) of a substream: number k takes word
// k % 4 at counter * 1024 + k / 4 of Stream::method, as (word + 0.5) / 2^32.
std::vector<double> uniforms(std::uint64_t seed, std::uint32_t substream, std::uint64_t counter,
                             std::uint32_t n);

// n standard normals: number k takes words 2 * (k % 2) and the next at counter k / 2 of Stream::alpha.
std::vector<double> normals(std::uint64_t seed, std::uint32_t substream, std::uint32_t n);

}  // namespace nasp
