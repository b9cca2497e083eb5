/**
 * SNAS (Xie, Zheng, Liu, Lin, ICLR 2019): one level. Each training batch draws Z = softmax((A + Gumbel) / T), shared by
 * the cells of a type; one backward pass gives the gradients of the weights (SGD) and, through Z, of A (Adam).
 *   loss = cross-entropy + resource * sum over rows of the cost that softmax(A) expects
 * Defaults: SNAS-Series Analysis/snas/train_search.py: A ~ 1 + 0.01 N, T = 1 throughout unless annealed (linearly to
 * 0.03), no resource term. There it trains on all images; here on the training half. Costs are parameters or FLOPs of the
 * candidates at the net's width over their mean (there: parameters, FLOPs and memory accesses from a table). Its net has no
 * reduction cells.
 * The searched net, for an evaluation, is the mixture softmax(A / T), without noise; its argmax may be none.
 */
import { matricesOfGenotype, rankedGenotype, softmaxGenotype } from "../derive.js"
import { choiceField, numberField, type FieldValues } from "../expect.js"
import { softmaxRows, softmaxRowsBackward } from "../softmax.js"
import { eachType } from "../spaces/index.js"
import { checkCost, costField, costVectors } from "./cost.js"
import { gumbels, sum } from "./gumbel.js"
import type { MethodContext, RunningMethod, SearchMethod } from "./index.js"
import { readMatrices, startAlpha } from "./matrices.js"
import { archClipField, clipped, gradientThrough, relax, writeGradient } from "./relaxed.js"
import { adam, sgd } from "./steps.js"

const fields = {
  temperature: numberField(1, 1e-3, 1e3, "temperature of the samples"),
  temperatureMin: numberField(0.03, 1e-3, 1e3, "temperature in the last epoch, with annealing"),
  annealing: choiceField("none", ["none", "linear"], "temperature over the epochs"),
  resource: numberField(0, 0, 1e6, "weight of the expected cost in the loss"),
  cost: costField,
  archClip: archClipField(10),
}

export const snas: SearchMethod<typeof fields> = {
  name: "snas",
  about: "stochastic architecture search, one level (ICLR 2019)",
  source: "Xie et al., ICLR 2019; defaults of SNAS-Series (Analysis/snas)",
  fields,
  defaults: { epochs: 150, batch: 96 },
  evaluations: () => ({
    architecture: {},
    weights: { forward: [14, 0], backward: [14, 0] },
    note: "one joint pass for weights and alpha",
  }),
  prepare,
}

function prepare(context: MethodContext, options: FieldValues<typeof fields>): RunningMethod {
  const { addon, session, space, settings } = context
  checkCost(addon, space, options.cost)
  const cost = costVectors(addon, space, settings.channels, {
    ...{ cost: options.cost, costScale: "mean", costCells: "both", costChannels: "net" },
  })
  startAlpha(context, settings.seed, 1, 0.01)

  const temperature = (epoch: number) => {
    const share = options.annealing === "linear" ? epoch / Math.max(1, settings.epochs - 1) : 0
    return options.temperature - (options.temperature - options.temperatureMin) * share
  }
  // d/dA of resource * E[cost] under softmax(A).
  const costGradient = () =>
    eachType((type) => {
      const columns = space[type].length
      const p = softmaxRows(readMatrices(session)[type], columns)
      const dp = p.map((_, i) => options.resource * cost[type][i % columns]!)
      return softmaxRowsBackward(p, dp, columns)
    })
  let now = temperature(0)
  return {
    hasArchitectureStep: () => false,
    relaxed(alpha) {
      const weights = relax(session, space, alpha, { temperature: now })
      return () => gradientThrough(session, space, weights, now)
    },
    async step({ train }, { step, epoch, lr }) {
      now = temperature(epoch)
      const noisy = sum(readMatrices(session), gumbels(addon, space, settings.seed, step))
      const z = relax(session, space, noisy, { temperature: now })
      const weights = await session.weightStep(train, { ...sgd(settings, lr), mixture: true })
      const gradient = gradientThrough(session, space, z, now)
      const whole = options.resource > 0 ? sum(gradient, costGradient()) : gradient
      writeGradient(session, clipped(whole, options.archClip))
      session.updateAlpha(adam(settings))
      return { alpha: null, weights }
    },
    derive() {
      const alpha = readMatrices(session)
      relax(session, space, alpha, { temperature: now })
      const probabilities = eachType((type) => softmaxRows(alpha[type], space[type].length))
      const searched = rankedGenotype(space, probabilities, "ranked")
      return {
        searched,
        softmax: softmaxGenotype(space, alpha),
        selected: matricesOfGenotype(space, searched),
        alpha,
      }
    },
    save: () => ({ temperature: now }),
    restore(state) {
      now = (state as { temperature: number }).temperature
    },
  }
}
