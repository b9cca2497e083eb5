/**
 * Backward error, for float32 and the supernet's kinds only. Where an element lies within a rounding of a kink (ReLU,
 * max pool), float32 may take the other side than the float64 run that made the file, and a gradient then differs by
 * 1e-3 or more though nothing is wrong. So a file with a tensor that misses the tolerance is computed again on nearby
 * inputs: every value of `input.*` and `w.*` times 1 + 2^-24 u, u uniform in [-2, 2], which is two units in the last
 * place at most. A tensor passes if it meets the same tolerance on the file's own inputs or in one of these runs. The
 * values are drawn from a fixed seed a try: the same file is always tried on the same inputs. What is not finite, or
 * of another length, lies on no kink and is not tried again.
 */
import { mulberry32 } from "../mulberry32.js"
import type { Comparison } from "./compare.js"
import { type GoldenFile, numbers } from "./file.js"

export const nearbyTries = 12

/** The file on the inputs of one try, counted from 1. */
export function nearbyFile(file: GoldenFile, attempt: number): GoldenFile {
  const random = mulberry32(attempt)
  const move = (value: number) => value * (1 + 2 ** -24 * (4 * random() - 2))
  const tensors = new Map(file.tensors)
  for (const [name, tensor] of file.tensors) {
    if (/^(input|w)\./.test(name))
      tensors.set(name, { ...tensor, dtype: "F32", data: Float32Array.from(numbers(tensor), move) })
  }
  return file.withTensors(tensors)
}

/**
 * Runs `compare` on nearby files until each of `missed` has met the tolerance in one of them. Notes in each its smallest
 * error there; returns the number of tries.
 */
export async function tryNearby(
  file: GoldenFile,
  missed: readonly Comparison[],
  tolerance: number,
  compare: (nearby: GoldenFile) => Promise<Comparison[]>,
): Promise<number> {
  if (!missed.every(({ error }) => Number.isFinite(error))) return 0
  let tries = 0
  while (tries < nearbyTries && !missed.every((c) => meets(c, tolerance))) {
    const found = new Map((await compare(nearbyFile(file, ++tries))).map((c) => [c.name, c.error]))
    for (const c of missed) {
      const error = found.get(c.name) ?? NaN
      if (!Number.isNaN(error)) c.nearby = Math.min(c.nearby ?? Infinity, error)
    }
  }
  return tries
}

/** On the file's own inputs or on nearby ones; what is not judged only has to be a number. NaN meets nothing. */
export function meets({ error, nearby, unjudged }: Comparison, tolerance: number): boolean {
  if (unjudged) return Number.isFinite(error)
  return error <= tolerance || (nearby !== undefined && nearby <= tolerance)
}
