/**
 * Philox 4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011) on bigints: the reference of
 * native/core/rng.h, which lays counter, substream, stream and seed out as below.
 */
const mask = 0xffffffffn

export function philox(seed: number, stream: number, substream: number, counter: number): number[] {
  const wide = BigInt(counter)
  let x = [wide & mask, wide >> 32n, BigInt(substream), BigInt(stream)] as [bigint, bigint, bigint, bigint]
  let [key0, key1] = [BigInt(seed) & mask, BigInt(seed) >> 32n]
  for (let round = 0; round < 10; round++) {
    const a = 0xd2511f53n * x[0]
    const b = 0xcd9e8d57n * x[2]
    x = [(b >> 32n) ^ x[1] ^ key0, b & mask, (a >> 32n) ^ x[3] ^ key1, a & mask]
    key0 = (key0 + 0x9e3779b9n) & mask
    key1 = (key1 + 0xbb67ae85n) & mask
  }
  return x.map(Number)
}

/** A uniform integer in [0, n) from one word. */
export const below = (word: number, n: number) => Number((BigInt(word) * BigInt(n)) >> 32n)
