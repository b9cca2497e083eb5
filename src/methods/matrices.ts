/**
 * The matrices of the two cell types between the session and a method: alpha, the mixture and its gradients, in double.
 */
import type { CellMatrices } from "../derive.js"
import { use, type NativeAddon, type NativeSession, type Precision, type Values } from "../native.js"
import { cellTypes, eachType, edges, type CellType, type Space } from "../spaces/index.js"
import { normalSubstreams } from "./substreams.js"

/** (14, K) each, row after row. */
export type Matrices = Record<CellType, Float64Array>

/** A session's matrices by prefix: alphas, selected.alphas, grad.alphas. */
export function readMatrices(session: NativeSession, prefix = "alphas"): Matrices {
  return eachType((type) => Float64Array.from(session.read(`${prefix}_${type}`)))
}

export function writeMatrices(session: NativeSession, prefix: string, matrices: CellMatrices): void {
  const { precision } = session.options
  for (const type of cellTypes) session.write(`${prefix}_${type}`, inPrecision(precision, matrices[type]))
}

export function inPrecision(precision: Precision, values: ArrayLike<number>): Values {
  return precision === "f32" ? Float32Array.from(values) : Float64Array.from(values)
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
    return addon
      .normals(seed, normalSubstreams.alpha + 2 * start + substream, size)
      .map((n) => mean + deviation * n)
  }
  writeMatrices(session, "alphas", { normal: matrix("normal", 0), reduce: matrix("reduce", 1) })
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
