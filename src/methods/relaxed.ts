/**
 * What the methods with a softmax have in common: the mixture softmax(alpha), alpha's gradient through it, and the
 * genotype from its ranking. The searched net is the mixture itself.
 */
import { matricesOfGenotype, softmaxGenotype } from "../derive.js"
import type { NativeSession } from "../native.js"
import type { Space } from "../spaces/index.js"
import type { Derived } from "./index.js"
import {
  eachType,
  mixWeights,
  readMatrices,
  softmaxRows,
  softmaxRowsBackward,
  writeMatrices,
  type Matrices,
} from "./matrices.js"

/** alpha ~ 1e-3 N(0, 1): quark0/darts cnn/model_search.py. */
export const startDeviation = 1e-3

/** The mixture softmax(alpha / temperature), and the weights themselves. */
export function relax(session: NativeSession, space: Space, alpha: Matrices, temperature = 1): Matrices {
  const weights = eachType((type) => softmaxRows(alpha[type], space[type].length, temperature))
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

/** The genotype of softmax(alpha), and its discrete matrices. The mixture is left to the caller. */
export function deriveRelaxed(space: Space, alpha: Matrices): Derived {
  const genotype = softmaxGenotype(space, alpha)
  return { searched: genotype, softmax: genotype, selected: matricesOfGenotype(space, genotype), alpha }
}
