/**
 * GDAS (Dong, Yang, CVPR 2019): each pass draws one operation an edge, h = onehot(argmax) of p = softmax((A + Gumbel) /
 * tau), straight through to p. First the weights learn (training half), then A (validation half), each with a draw of
 * its own. Two estimators of dL/dp are in the released code (D-X-Y/AutoDL-Projects, issue 119):
 *   sampled   the NASNet search cell's: only the drawn operation's entry has a gradient, <dL/dnode, op>
 *   all       the NAS-Bench-201 cell's: the other h_k are added to the edge as scalars (of value 0), so their entries
 *             have the gradient sum(dL/dnode)
 * tau falls linearly from 10 to 0.1 over the epochs; the weights' learning rate is a cosine updated every step; Nesterov.
 * The genotype takes the two strongest (edge, operation) pairs of a node, so both may lie on one edge.
 */
import { cosine } from "../cosine.js"
import { argmax, genotypeOfMatrices, softmaxGenotype } from "../derive.js"
import { choiceField, numberField, type FieldValues } from "../expect.js"
import { softmaxRows, softmaxRowsBackward } from "../softmax.js"
import { cellTypes, eachType, edges, nodes, rowsOfNode, type Space } from "../spaces/index.js"
import { gumbels, sum } from "./gumbel.js"
import type { MethodContext, RunningMethod, SearchMethod } from "./index.js"
import { mixWeights, readMatrices, startAlpha, type Matrices } from "./matrices.js"
import { startDeviation, writeGradient } from "./relaxed.js"
import { adam, sgd } from "./steps.js"

const fields = {
  estimator: choiceField(
    "sampled",
    ["sampled", "all"],
    "alpha's gradient: of the drawn operations (NASNet cell), or of all through added scalars (NAS-Bench-201)",
  ),
  tauMax: numberField(10, 1e-3, 1e3, "temperature in the first epoch"),
  tauMin: numberField(0.1, 1e-3, 1e3, "temperature in the last epoch"),
}

export const gdas: SearchMethod<typeof fields> = {
  name: "gdas",
  about: "one drawn operation an edge, Gumbel straight through (CVPR 2019)",
  source: "Dong, Yang, CVPR 2019; defaults of D-X-Y/AutoDL-Projects",
  fields,
  defaults: { epochs: 250, batch: 256, layers: 6, weightDecay: 5e-4 },
  evaluations: () => ({
    architecture: { forward: [0, 14], data: [0, 14] },
    weights: { forward: [0, 14], backward: [0, 14] },
  }),
  prepare,
}

function prepare(context: MethodContext, options: FieldValues<typeof fields>): RunningMethod {
  const { addon, session, space, settings } = context
  startAlpha(context, settings.seed, 0, startDeviation)

  const temperature = (epoch: number) =>
    options.tauMax - ((options.tauMax - options.tauMin) * epoch) / Math.max(1, settings.epochs - 1)
  // p of draw `counter`, with the mixture set to its h.
  const sample = (counter: number, tau: number): Matrices => {
    const noisy = sum(readMatrices(session), gumbels(addon, space, settings.seed, counter))
    mixWeights(session, oneHot(space, noisy))
    return eachType((type) => softmaxRows(noisy[type], space[type].length, tau))
  }
  return {
    learningRate: ({ step, stepsPerEpoch }) =>
      cosine(settings.lr, settings.lrMin, step / stepsPerEpoch, settings.epochs),
    async step(batches, { step, epoch, lr }) {
      const tau = temperature(epoch)
      sample(2 * step, tau)
      const weights = await session.weightStep(batches.train, { ...sgd(settings, lr), nesterov: true })
      const p = sample(2 * step + 1, tau)
      const alpha = await session.architectureGradient(batches.validation!, {
        nodeSums: options.estimator === "all",
      })
      const dp = readMatrices(session, "grad.alphas")
      if (options.estimator === "all") addScalars(context, dp)
      writeGradient(
        session,
        eachType((type) => softmaxRowsBackward(p[type], dp[type], space[type].length, tau)),
      )
      session.updateAlpha(adam(settings))
      return { alpha, weights }
    },
    derive() {
      const alpha = readMatrices(session)
      const selected = strongestPairs(space, alpha)
      mixWeights(session, selected)
      return {
        searched: genotypeOfMatrices(space, selected),
        softmax: softmaxGenotype(space, alpha),
        selected,
        alpha,
      }
    },
  }
}

// 1 at each row's first maximum.
function oneHot(space: Space, matrices: Matrices): Matrices {
  return eachType((type) => {
    const columns = space[type].length
    const h = new Float64Array(matrices[type].length)
    for (let row = 0; row < edges; row++) {
      h[row * columns + argmax(matrices[type].subarray(row * columns, (row + 1) * columns))] = 1
    }
    return h
  })
}

// The entries that were not drawn: their scalar reaches every element of the node.
function addScalars({ session, space }: MethodContext, dp: Matrices): void {
  const drawn = readMatrices(session, "selected.alphas")
  for (const type of cellTypes) {
    const sums = session.read(`grad.nodes.alphas_${type}`)
    const columns = space[type].length
    for (let node = 0; node < nodes; node++) {
      const { first, count } = rowsOfNode(node)
      for (let i = first * columns; i < (first + count) * columns; i++) {
        if (drawn[type][i] === 0) dp[type][i] = sums[node]!
      }
    }
  }
}

/** Per node the two entries with the largest softmax weight, none left out; the earlier of equals first. */
export function strongestPairs(space: Space, alpha: Matrices): Matrices {
  return eachType((type) => {
    const columns = space[type].length
    const p = softmaxRows(alpha[type], columns)
    const d = new Float64Array(p.length)
    for (let node = 0; node < nodes; node++) {
      const { first, count } = rowsOfNode(node)
      const entries = Array.from({ length: count * columns }, (_, i) => first * columns + i)
      const candidates = entries.filter((i) => space[type][i % columns] !== "none")
      candidates.sort((a, b) => p[b]! - p[a]! || a - b)
      for (const i of candidates.slice(0, 2)) d[i] = 1
    }
    return d
  })
}
