/**
 * The matrices of the two cell types between the session and a method: alpha, the mixture and its gradients, in double.
 * What is a function of one row (softmax and its derivative) is here too.
 */
import type { CellMatrices } from "../derive.js"
import { use, type NativeAddon, type NativeSession, type Values } from "../native.js"
import { edges, type Space } from "../spaces/index.js"

export const cellTypes = ["normal", "reduce"] as const
export type CellType = (typeof cellTypes)[number]
/** (14, K) each, row after row. */
export type Matrices = Record<CellType, Float64Array>

export function eachType<T>(make: (type: CellType) => T): Record<CellType, T> {
  return { normal: make("normal"), reduce: make("reduce") }
}

/** A session's matrices by prefix: alphas, selected.alphas, grad.alphas. */
export function readMatrices(session: NativeSession, prefix = "alphas"): Matrices {
  return eachType((type) => Float64Array.from(session.read(`${prefix}_${type}`)))
}

export function writeMatrices(session: NativeSession, prefix: string, matrices: CellMatrices): void {
  for (const type of cellTypes) session.write(`${prefix}_${type}`, inPrecision(session, matrices[type]))
}

function inPrecision(session: NativeSession, values: ArrayLike<number>): Values {
  return session.options.precision === "f32" ? Float32Array.from(values) : Float64Array.from(values)
}

/** mean + deviation times a standard normal, drawn from `seed`; each `start` of a search has draws of its own. */
export function startAlpha(
  { addon, session, space }: { addon: NativeAddon; session: NativeSession; space: Space },
  seed: number,
  mean: number,
  deviation: number,
  start = 0,
): void {
  const matrix = (type: CellType, substream: number) => {
    const size = edges * space[type].length
    if (deviation === 0) return new Float64Array(size).fill(mean)
    return addon.normals(seed, 2 * start + substream, size).map((n) => mean + deviation * n)
  }
  writeMatrices(session, "alphas", { normal: matrix("normal", 0), reduce: matrix("reduce", 1) })
}

/** Row by row softmax(a / temperature) over the entries that `mask` keeps; 0 elsewhere. */
export function softmaxRows(
  a: Float64Array,
  columns: number,
  temperature = 1,
  mask?: Uint8Array,
): Float64Array {
  const p = new Float64Array(a.length)
  const kept = (i: number) => !mask || mask[i] === 1
  for (let first = 0; first < a.length; first += columns) {
    let top = -Infinity
    let sum = 0
    for (let i = first; i < first + columns; i++) if (kept(i)) top = Math.max(top, a[i]!)
    for (let i = first; i < first + columns; i++) {
      if (kept(i)) sum += p[i] = Math.exp((a[i]! - top) / temperature)
    }
    for (let i = first; i < first + columns; i++) p[i]! /= sum
  }
  return p
}

/** dL/da of p = softmaxRows(a, columns, temperature), from dL/dp. */
export function softmaxRowsBackward(
  p: Float64Array,
  dp: Float64Array,
  columns: number,
  temperature = 1,
): Float64Array {
  const da = new Float64Array(p.length)
  for (let first = 0; first < p.length; first += columns) {
    let mean = 0
    for (let i = first; i < first + columns; i++) mean += p[i]! * dp[i]!
    for (let i = first; i < first + columns; i++) da[i] = (p[i]! * (dp[i]! - mean)) / temperature
  }
  return da
}

/** The mixture with these weights: those that are not 0 propagated, the others absent or probed. */
export function mixWeights(
  session: NativeSession,
  weights: Matrices,
  others: "absent" | "probed" = "absent",
): void {
  for (const type of cellTypes) {
    const uses = Uint8Array.from(weights[type], (w) => (w === 0 ? use[others] : use.propagated))
    session.setMixture(type, weights[type], uses)
  }
}

/** Every entry propagated, whatever its weight. */
export function mixAll(session: NativeSession, weights: Matrices): void {
  for (const type of cellTypes) {
    session.setMixture(type, weights[type], new Uint8Array(weights[type].length).fill(use.propagated))
  }
}
