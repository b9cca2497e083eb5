/**
 * Reasons to end a search early, for any method, looked at after each whole epoch.
 *
 * stopSkips        the derived normal cell has so many skip connections (DARTS+, Liang et al. 2019: two)
 * stopEigenvalue   the largest eigenvalue of the validation loss's Hessian in alpha grows (RobustDARTS, Zela et al., ICLR
 *                  2020; automl/RobustDARTS src/utils.py): its average over 5 epochs is more than so many times (1.3) what
 *                  it was 4 epochs before. There every other epoch is looked at, from the tenth on, and the genotype of the
 *                  earlier average's middle is taken; here the reason names that epoch, and the run's own is the last one's.
 *
 * The eigenvalue is found by ten steps of Lanczos' method on central differences of the gradient, on one validation batch
 * with its own statistics, in steps of 0.01: a small net's loss has kinks, and what is found there is a curvature at that
 * scale. (RobustDARTS computes all of them; power iteration would find that of largest magnitude, which may be negative.)
 * alpha is what the method relaxes (`relaxed`); methods that relax nothing are looked at in the entries of their mixture.
 * The running statistics stay as they were; the mixture is left to the next step.
 */
import { integerField, numberField, optionalField } from "../expect.js"
import type { RunningMethod } from "../methods/index.js"
import { mixAll, readMatrices, type Matrices } from "../methods/matrices.js"
import type { NativeAddon, NativeSession } from "../native.js"
import { cellTypes, eachType } from "../spaces/index.js"

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
const lanczosSteps = 10
const radius = 1e-2

/** Why a search ends after an epoch, or null. `eigenvalues`: one a whole epoch so far; null is JSON's NaN. */
export function reasonToStop(
  { stopSkips, stopEigenvalue }: { stopSkips: number | null; stopEigenvalue: number | null },
  skips: number,
  eigenvalues: readonly (number | null)[],
): string | null {
  if (stopSkips !== null && skips >= stopSkips) return `the normal cell has ${skips} skip connections`
  const first = eigenvalues.length - averaged - lookBack
  if (stopEigenvalue === null || first < 0) return null
  const before = mean(eigenvalues, first)
  const now = mean(eigenvalues, first + lookBack)
  if (!(before > 0 && now > stopEigenvalue * before)) return null
  return `the Hessian's largest eigenvalue grew from ${before.toPrecision(3)}, about epoch ${first + (averaged - 1) / 2} of events.jsonl, to ${now.toPrecision(3)}`
}

// NaN where one is not finite.
function mean(values: readonly (number | null)[], first: number): number {
  const finite = values.slice(first, first + averaged).filter((v): v is number => Number.isFinite(v))
  return finite.length < averaged ? NaN : finite.reduce((sum, v) => sum + v, 0) / averaged
}

/**
 * The largest eigenvalue of the validation loss's Hessian in alpha. `ticket`: the batch; it is used up. `goOn` is called
 * before each pass, and may throw.
 */
export async function largestEigenvalue(
  addon: NativeAddon,
  session: NativeSession,
  method: RunningMethod,
  ticket: number,
  goOn: () => void,
): Promise<number> {
  session.skipDropout(0, 0)
  const mixtures = method.relaxed ? null : readMatrices(session, "selected.alphas")
  const point = mixtures ?? readMatrices(session)
  const gradientAt = async (alpha: Matrices, keepBatch: boolean): Promise<Matrices> => {
    goOn()
    const read = method.relaxed?.(alpha)
    if (!read) mixAll(session, alpha)
    await session.architectureGradient(ticket, { keepStatistics: true, keepBatch })
    return read ? read() : readMatrices(session, "grad.alphas")
  }
  const random = (step: number) =>
    eachType((type) => addon.normals(step, cellTypes.indexOf(type), point[type].length))

  const basis: Matrices[] = [unit(random(0))]
  const diagonal: number[] = []
  const beside: number[] = []
  for (let i = 0; i < lanczosSteps; i++) {
    const direction = basis[i] as Matrices
    const above = await gradientAt(plus(point, radius, direction), true)
    const below = await gradientAt(plus(point, -radius, direction), i + 1 < lanczosSteps)
    const product = scaled(plus(above, -1, below), 1 / (2 * radius))
    diagonal.push(dot(direction, product))
    const rest = without(basis, product)
    const length = norm(rest)
    // Where the space is used up, the next direction is any other one.
    const usedUp = length <= 1e-9 * norm(product)
    beside.push(usedUp ? 0 : length)
    basis.push(unit(usedUp ? without(basis, random(i + 1)) : rest))
  }
  return largestOfTridiagonal(diagonal, beside)
}

/**
 * The largest eigenvalue of a symmetric tridiagonal matrix, by bisection on how many are below a value (Sturm).
 * @param beside next to the diagonal, from the first row on; the last entry is not read
 */
export function largestOfTridiagonal(diagonal: readonly number[], beside: readonly number[]): number {
  const bound = Math.max(
    ...diagonal.map((d, i) => Math.abs(d) + Math.abs(beside[i - 1] ?? 0) + Math.abs(beside[i] ?? 0)),
  )
  const allBelow = (x: number) => {
    let pivot = 1
    return diagonal.every((d, i) => {
      const off = i === 0 ? 0 : (beside[i - 1] as number)
      pivot = d - x - off ** 2 / pivot
      return pivot < 0
    })
  }
  let [low, high] = [-bound, bound]
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2
    if (allBelow(middle)) high = middle
    else low = middle
  }
  return (low + high) / 2
}

function dot(a: Matrices, b: Matrices): number {
  return cellTypes.reduce((sum, type) => a[type].reduce((s, v, i) => s + v * b[type][i]!, sum), 0)
}

function norm(a: Matrices): number {
  return Math.sqrt(dot(a, a))
}

function plus(a: Matrices, times: number, b: Matrices): Matrices {
  return eachType((type) => a[type].map((v, i) => v + times * b[type][i]!))
}

function scaled(a: Matrices, by: number): Matrices {
  return eachType((type) => a[type].map((v) => by * v))
}

function unit(a: Matrices): Matrices {
  const length = norm(a)
  return length === 0 ? a : scaled(a, 1 / length)
}

// What of v is at right angles to all of the basis; taken off twice, against rounding.
function without(basis: readonly Matrices[], v: Matrices): Matrices {
  return [...basis, ...basis].reduce((rest, b) => plus(rest, -dot(rest, b), b), v)
}
