/**
 * What the methods with a softmax have in common: the mixture softmax(alpha), alpha's gradient through it, and the
 * genotype from its ranking. The searched net is the mixture itself.
 */
import { matricesOfGenotype, softmaxGenotype } from "../derive.js"
import type { NativeSession } from "../native.js"
import { integerField, numberField, type Field } from "../expect.js"
import { softmaxRows, softmaxRowsBackward } from "../softmax.js"
import { cellTypes, eachType, edges, type CellType, type Space } from "../spaces/index.js"
import type { Derived } from "./index.js"
import { mixWeights, readMatrices, writeMatrices, type Matrices } from "./matrices.js"

/** Entries that are still there: 1, or 0. */
export type Masks = Record<CellType, Uint8Array>

export function allKept(space: Space): Masks {
  return eachType((type) => new Uint8Array(edges * space[type].length).fill(1))
}

/** A mask in a method's state. */
export function masksToJson(masks: Masks): Record<CellType, string> {
  return eachType((type) => masks[type].join(""))
}

export function masksFromJson(state: Record<CellType, string>): Masks {
  return eachType((type) => Uint8Array.from(state[type], Number))
}

/** alpha ~ 1e-3 N(0, 1): quark0/darts cnn/model_search.py. */
export const startDeviation = 1e-3

/** The mixture softmax(alpha / temperature) over the entries that `mask` keeps, and the weights themselves. */
export function relax(
  session: NativeSession,
  space: Space,
  alpha: Matrices,
  { temperature = 1, mask }: { temperature?: number; mask?: Masks } = {},
): Matrices {
  const weights = eachType((type) => softmaxRows(alpha[type], space[type].length, temperature, mask?.[type]))
  mixWeights(session, weights)
  return weights
}

/** dL/dalpha of alpha through these softmax weights, from the session's dL/dmixture. */
export function gradientThrough(
  session: NativeSession,
  space: Space,
  weights: Matrices,
  temperature = 1,
): Matrices {
  const mixture = readMatrices(session, "grad.alphas")
  return eachType((type) =>
    softmaxRowsBackward(weights[type], mixture[type], space[type].length, temperature),
  )
}

/** What `updateAlpha` takes in place of dL/dmixture. */
export function writeGradient(session: NativeSession, gradient: Matrices): void {
  writeMatrices(session, "grad.alphas", gradient)
}

/** The option of the methods that clip alpha's gradient. */
export function archClipField(initial: number): Field<number> {
  return numberField(initial, 0, 1e6, "largest norm of alpha's gradient, 0 = not clipped")
}

/** The option of the methods whose weights learn alone at first. */
export function warmEpochsField(initial: number): Field<number> {
  const about = "epochs at the start (pdarts: of each stage) in which only the weights learn"
  return integerField(initial, 0, 100_000, about)
}

/** The gradient scaled to a norm of at most `most`, over both matrices (clip_grad_norm_); 0: as it is. */
export function clipped(gradient: Matrices, most: number): Matrices {
  if (most === 0) return gradient
  const squares = cellTypes.map((type) => gradient[type].reduce((sum, g) => sum + g * g, 0))
  const ratio = most / (Math.sqrt(squares.reduce((a, b) => a + b, 0)) + 1e-6)
  return ratio < 1 ? eachType((type) => gradient[type].map((g) => ratio * g)) : gradient
}

/** The genotype of softmax(alpha), and its discrete matrices. The mixture is left to the caller. */
export function deriveRelaxed(space: Space, alpha: Matrices): Derived {
  const genotype = softmaxGenotype(space, alpha)
  return { searched: genotype, softmax: genotype, selected: matricesOfGenotype(space, genotype), alpha }
}
