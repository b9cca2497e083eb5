/**
 * PC-DARTS (Xu et al., ICLR 2020): operations see one channel in k; the others go by, through a 2 x 2 max pool at stride
 * 2, and the k parts are shuffled. Edges have weights of their own, beta, normalised over a node's inputs by softmax:
 *   node = sum over its edges of softmax(beta)_e * shuffle([sum over k of softmax(A)_ek op_k(x_e), what went by])
 * so the mixture's entries are softmax(beta)_e softmax(A)_ek, and what goes by has the weight softmax(beta)_e. Adam on A
 * and beta together, first order, from epoch 15 on. Strength = softmax(A) softmax(beta).
 * Defaults: yuhuixu1993/PC-DARTS train_search.py.
 */
import { matricesOfGenotype, rankedGenotype } from "../derive.js"
import { integerField, type FieldValues } from "../expect.js"
import { softmaxRows, softmaxRowsBackward } from "../softmax.js"
import { cellTypes, eachType, edges, nodes, rowsOfNode, type CellType, type Space } from "../spaces/index.js"
import { adamFromJson, adamStep, adamToJson, newAdam, type AdamJson } from "./adam.js"
import type { MethodContext, RunningMethod, SearchMethod } from "./index.js"
import { mixWeights, readMatrices, startAlpha, type Matrices } from "./matrices.js"
import { startDeviation, warmEpochsField, writeGradient } from "./relaxed.js"
import { adam, sgd } from "./steps.js"
import { normalSubstreams } from "./substreams.js"

const fields = {
  partialChannels: integerField(4, 1, 64, "operations see one channel in so many"),
  warmEpochs: warmEpochsField(15),
}

export const pcDarts: SearchMethod<typeof fields> = {
  name: "pc-darts",
  about: "DARTS with partial channels and edge normalisation (ICLR 2020)",
  source: "Xu et al., ICLR 2020; defaults of yuhuixu1993/PC-DARTS",
  fields,
  defaults: { batch: 256, lr: 0.1, lrMin: 0, archLr: 6e-4 },
  net: ({ partialChannels }) => ({ partialChannels }),
  evaluations: ({ partialChannels }) => ({
    architecture: { forward: [14, 0], data: [14, 0] },
    weights: { forward: [14, 0], backward: [14, 0] },
    note: `at C / ${partialChannels}; no architecture step in the warm epochs`,
  }),
  prepare,
}

/** The mixture of A and beta, with its parts. */
export interface PartialMixture {
  operations: Matrices
  /** softmax(beta), (14) each. */
  edges: Matrices
}

export function mixPartial(
  { session, space }: Pick<MethodContext, "session" | "space">,
  alpha: Matrices,
  beta: Matrices,
): PartialMixture {
  const operations = eachType((type) => softmaxRows(alpha[type], space[type].length))
  const edgeWeights = eachType((type) => overNodes(beta[type], (b) => softmaxRows(b, b.length)))
  mixWeights(session, strengths(space, { operations, edges: edgeWeights }))
  for (const type of cellTypes) session.setBypass(type, edgeWeights[type])
  return { operations, edges: edgeWeights }
}

/** dL/dA and dL/dbeta after a pass with this mixture. */
export function gradientThroughPartial(
  { session, space }: Pick<MethodContext, "session" | "space">,
  mixture: PartialMixture,
): { alpha: Matrices; beta: Matrices } {
  const entries = readMatrices(session, "grad.alphas")
  const bypass = eachType((type) => Float64Array.from(session.read(`grad.bypass.alphas_${type}`)))
  const perType = (type: CellType) => {
    const columns = space[type].length
    const p = mixture.operations[type]
    const b = mixture.edges[type]
    const dp = entries[type].map((d, i) => d * b[Math.floor(i / columns)]!)
    const db = bypass[type].map((d, e) => {
      for (let k = 0; k < columns; k++) d += p[e * columns + k]! * entries[type][e * columns + k]!
      return d
    })
    const beta = new Float64Array(edges)
    for (let node = 0; node < nodes; node++) {
      const { first, count } = rowsOfNode(node)
      const part = (m: Float64Array) => m.subarray(first, first + count)
      beta.set(softmaxRowsBackward(part(b), part(db), count), first)
    }
    return { alpha: softmaxRowsBackward(p, dp, columns), beta }
  }
  const both = eachType(perType)
  return { alpha: eachType((type) => both[type].alpha), beta: eachType((type) => both[type].beta) }
}

function strengths(space: Space, { operations, edges: b }: PartialMixture): Matrices {
  return eachType((type) => operations[type].map((p, i) => p * b[type][Math.floor(i / space[type].length)]!))
}

// A function of each node's rows.
function overNodes(values: Float64Array, of: (rows: Float64Array) => Float64Array): Float64Array {
  const result = new Float64Array(edges)
  for (let node = 0; node < nodes; node++) {
    const { first, count } = rowsOfNode(node)
    result.set(of(values.subarray(first, first + count)), first)
  }
  return result
}

function prepare(context: MethodContext, { warmEpochs }: FieldValues<typeof fields>): RunningMethod {
  const { addon, session, space, settings } = context
  startAlpha(context, settings.seed, 0, startDeviation)
  // beta of both cell types in one stretch, drawn behind A's.
  let beta: Float64Array = addon
    .normals(settings.seed, normalSubstreams.beta, 2 * edges)
    .map((n) => startDeviation * n)
  let state = newAdam(beta.length)

  const betas = (): Matrices => ({ normal: beta.subarray(0, edges), reduce: beta.subarray(edges) })
  const mix = () => mixPartial(context, readMatrices(session), betas())
  return {
    hasArchitectureStep: (epoch) => epoch >= warmEpochs,
    relaxed(alpha) {
      const mixture = mixPartial(context, alpha, betas())
      return () => gradientThroughPartial(context, mixture).alpha
    },
    async step(batches, { lr }) {
      const mixture = mix()
      const passed =
        batches.validation === null ? null : await session.architectureGradient(batches.validation)
      if (passed) {
        const gradient = gradientThroughPartial(context, mixture)
        const options = adam(settings)
        writeGradient(session, gradient.alpha)
        session.updateAlpha(options)
        adamStep(beta, [...gradient.beta.normal, ...gradient.beta.reduce], state, options)
        mix()
      }
      return { alpha: passed, weights: await session.weightStep(batches.train, sgd(settings, lr)) }
    },
    derive() {
      const genotype = rankedGenotype(space, strengths(space, mix()))
      return {
        searched: genotype,
        softmax: genotype,
        selected: matricesOfGenotype(space, genotype),
        alpha: readMatrices(session),
      }
    },
    save: () => adamToJson(beta, state),
    restore(saved) {
      const restored = adamFromJson(saved as AdamJson)
      beta = restored.values
      state = restored.state
    },
  }
}
