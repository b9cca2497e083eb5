/** How far numbers are from what was expected. */

export interface Comparison {
  name: string
  /** Largest error, relative to the expected tensor's largest magnitude. NaN where a number is not finite. */
  error: number
  /** Where that missed the tolerance and the file was tried on nearby inputs: the smallest error there. */
  nearby?: number
  /** Compared, but not judged. */
  unjudged?: true
}

/** A tensor whose largest magnitude is below `zero` is a zero with rounding errors; it counts against `zeroScale`. */
const zero = 1e-6
const zeroScale = 1e-2

/**
 * The largest |actual - expected|, relative to the largest |expected|. What is zero but for rounding (the mean of
 * a normalised channel, say) has no magnitude of its own: there the error counts relative to 0.01.
 * Infinity if the lengths differ, NaN if a number is not finite.
 */
export function relativeError(expected: ArrayLike<number>, actual: ArrayLike<number>): number {
  if (expected.length !== actual.length) return Infinity
  let largest = 0
  let difference = 0
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i]! - expected[i]!)
    if (!Number.isFinite(d)) return NaN
    if (d > difference) difference = d
    largest = Math.max(largest, Math.abs(expected[i]!))
  }
  return difference / (largest >= zero ? largest : zeroScale)
}

/** The comparison with the largest error; a NaN is larger than any. */
export function worst(comparisons: readonly Comparison[]): Comparison {
  return comparisons.reduce((a, b) => (Number.isNaN(a.error) || a.error >= b.error ? a : b))
}
