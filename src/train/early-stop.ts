/**
 * Reasons to end a search early, for any method, looked at after each whole epoch.
 *
 * stopSkips        the derived normal cell has so many skip connections (DARTS+, Liang et al. 2019: two)
 * stopEigenvalue   the dominant eigenvalue of the validation loss's Hessian in alpha grows (RobustDARTS, Zela et al., ICLR
 *                  2020): its average over the last 5 epochs is more than so many times what it was 4 epochs ago (1.3)
 *
 * The eigenvalue is found by power iteration on central differences of the gradient, on one validation batch with its own
 * statistics, in steps of 0.01: a small net's loss has kinks, and what is found there is a curvature at that scale.
 * alpha is what the method relaxes (`relaxed`); methods that relax nothing are looked at in the entries of their mixture.
 * The running statistics stay as they were; the mixture is left to the next step.
 */
import { integerField, numberField, optionalField } from "../expect.js"
import type { RunningMethod } from "../methods/index.js"
import { cellTypes, eachType, mixAll, readMatrices, type Matrices } from "../methods/matrices.js"
import type { NativeAddon, NativeSession } from "../native.js"

export const stopFields = {
  stopSkips: optionalField(
    integerField(2, 1, 8, "end once the derived normal cell has so many skip connections after an epoch"),
  ),
  stopEigenvalue: optionalField(
    numberField(
      1.3,
      1,
      1e6,
      "end once the largest eigenvalue of the loss's Hessian in alpha, averaged over 5 epochs, has grown by this factor in 4",
    ),
  ),
}

const averaged = 5
const lookBack = 4
const iterations = 10
const radius = 1e-2

/** Why a search ends after an epoch, or null. `eigenvalues`: one a whole epoch so far. */
export function reasonToStop(
  { stopSkips, stopEigenvalue }: { stopSkips: number | null; stopEigenvalue: number | null },
  skips: number,
  eigenvalues: readonly number[],
): string | null {
  if (stopSkips !== null && skips >= stopSkips) return `the normal cell has ${skips} skip connections`
  const last = eigenvalues.length - 1
  if (stopEigenvalue === null || last < lookBack) return null
  const [before, now] = [meanUpTo(eigenvalues, last - lookBack), meanUpTo(eigenvalues, last)]
  if (!(now > stopEigenvalue * before)) return null
  return `the Hessian's largest eigenvalue grew from ${before.toPrecision(3)} to ${now.toPrecision(3)}`
}

function meanUpTo(values: readonly number[], last: number): number {
  const window = values.slice(Math.max(0, last - averaged + 1), last + 1)
  return window.reduce((sum, v) => sum + v, 0) / window.length
}

/** The dominant eigenvalue of the validation loss's Hessian in alpha. `ticket`: the batch; it is used up. */
export async function dominantEigenvalue(
  addon: NativeAddon,
  session: NativeSession,
  method: RunningMethod,
  ticket: number,
): Promise<number> {
  session.skipDropout(0, 0)
  const mixtures = method.relaxed ? null : readMatrices(session, "selected.alphas")
  const point = mixtures ?? readMatrices(session)
  let passes = 2 * iterations
  const gradientAt = async (alpha: Matrices): Promise<Matrices> => {
    const read = method.relaxed?.(alpha)
    if (!read) mixAll(session, alpha)
    await session.architectureGradient(ticket, { keepStatistics: true, keepBatch: --passes > 0 })
    return read ? read() : readMatrices(session, "grad.alphas")
  }
  const moved = (direction: Matrices, by: number) =>
    eachType((type) => point[type].map((a, i) => a + by * direction[type][i]!))

  let direction = normalised(
    eachType((type) => addon.normals(0, cellTypes.indexOf(type), point[type].length)),
  )
  let eigenvalue = 0
  for (let i = 0; i < iterations; i++) {
    const above = await gradientAt(moved(direction, radius))
    const below = await gradientAt(moved(direction, -radius))
    const product = eachType((type) => above[type].map((g, j) => (g - below[type][j]!) / (2 * radius)))
    eigenvalue = dot(direction, product)
    direction = normalised(product)
  }
  return eigenvalue
}

function dot(a: Matrices, b: Matrices): number {
  return cellTypes.reduce((sum, type) => a[type].reduce((s, v, i) => s + v * b[type][i]!, sum), 0)
}

function normalised(v: Matrices): Matrices {
  const length = Math.sqrt(dot(v, v))
  return length === 0 ? v : eachType((type) => v[type].map((x) => x / length))
}
