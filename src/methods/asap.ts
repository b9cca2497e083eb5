/**
 * ASAP (Noy et al., AISTATS 2020): architecture search, anneal and prune. The mixture is softmax(A / tau), tau = 1.6 *
 * 0.95^epoch. While tau >= 1 only the weights learn; then A (validation half, Adam, clipped) and the weights by turns,
 * first order. When an epoch begins, operations whose weight is below 0.4 / K (K candidates) are pruned: they leave the
 * computation for good.
 * Defaults: uninas methods/asap.py and its d1_asap configuration (no official code was found). Its threshold is divided
 * again for every edge, so that only the first is pruned; here every edge has its own. It prunes by the weights at the
 * epoch before's temperature, here by the new one's. Its drop path is left out.
 */
import { matricesOfGenotype, rankedGenotype } from "../derive.js"
import { numberField, type FieldValues } from "../expect.js"
import { eachType, type CellType } from "../spaces/index.js"
import type { MethodContext, RunningMethod, SearchMethod } from "./index.js"
import { readMatrices, startAlpha } from "./matrices.js"
import {
  allKept,
  archClipField,
  clipped,
  gradientThrough,
  masksFromJson,
  masksToJson,
  relax,
  startDeviation,
  writeGradient,
  type Masks,
} from "./relaxed.js"
import { adam, sgd } from "./steps.js"

const fields = {
  tau: numberField(1.6, 1e-3, 1e3, "temperature in the first epoch"),
  tauDecay: numberField(0.95, 0.01, 1, "factor of the temperature an epoch"),
  graceTau: numberField(1, 0, 1e3, "alpha learns once the temperature is below this"),
  prune: numberField(
    0.4,
    0,
    0.99,
    "operations whose weight is below this over the number of candidates are pruned",
  ),
  archClip: archClipField(5),
}

export const asap: SearchMethod<typeof fields> = {
  name: "asap",
  about: "architecture search, anneal and prune (AISTATS 2020)",
  source: "Noy et al., AISTATS 2020; defaults of uninas (d1_asap)",
  fields,
  defaults: {},
  evaluations: () => ({
    architecture: { forward: [14, 0], data: [14, 0] },
    weights: { forward: [14, 0], backward: [14, 0] },
    note: "falls as operations are pruned; no architecture step in the grace epochs",
  }),
  prepare,
}

interface State {
  /** The epoch whose pruning is done. */
  epoch: number
  masks: Record<CellType, string>
}

function prepare(context: MethodContext, options: FieldValues<typeof fields>): RunningMethod {
  const { session, space, settings } = context
  startAlpha(context, settings.seed, 0, startDeviation)
  let mask = allKept(space)
  let epoch = 0

  const temperature = () => options.tau * options.tauDecay ** epoch
  const hasArchitectureStep = (at: number) => options.tau * options.tauDecay ** at < options.graceTau
  const mix = () => relax(session, space, readMatrices(session), { temperature: temperature(), mask })
  return {
    hasArchitectureStep,
    relaxed(alpha) {
      const weights = relax(session, space, alpha, { temperature: temperature(), mask })
      return () => gradientThrough(session, space, weights, temperature())
    },
    async step(batches, { epoch: at, lr }) {
      if (at !== epoch) {
        epoch = at
        mask = prune(mask, mix(), options.prune)
      }
      const weightsOfAlpha = mix()
      const passed =
        batches.validation === null ? null : await session.architectureGradient(batches.validation)
      if (passed) {
        const gradient = gradientThrough(session, space, weightsOfAlpha, temperature())
        writeGradient(session, clipped(gradient, options.archClip))
        session.updateAlpha(adam(settings))
        mix()
      }
      return { alpha: passed, weights: await session.weightStep(batches.train, sgd(settings, lr)) }
    },
    derive() {
      const alpha = readMatrices(session)
      const genotype = rankedGenotype(space, mix())
      return { searched: genotype, softmax: genotype, selected: matricesOfGenotype(space, genotype), alpha }
    },
    save: (): State => ({ epoch, masks: masksToJson(mask) }),
    restore(state) {
      const saved = state as State
      epoch = saved.epoch
      mask = masksFromJson(saved.masks)
    },
  }

  function prune(from: Masks, weights: Record<CellType, Float64Array>, threshold: number): Masks {
    return eachType((type) =>
      from[type].map((kept, i) => (weights[type][i]! < threshold / space[type].length ? 0 : kept)),
    )
  }
}
