/**
 * P-DARTS (Chen, Xie, Wu, Tian, ICCV 2019): DARTS, first order, in three stages with deeper nets and fewer operations.
 *   stage        a third of the epochs each: a new net with more cells, new A, a cosine of its own for the weights
 *   operations   when a stage ends, each edge keeps those with the largest softmax weights (8 -> 5 -> 3 in the source;
 *                in spaces of K candidates the same shares of K); the others leave the computation
 *   skips        dropout behind identity skips, falling within a stage: p (E - e - 1) / E in its warm epochs, in which
 *                only the weights learn, then p exp(-0.2 (e - warm))
 *   genotype     one operation an edge, none left out, two edges a node; while the normal cell has more skips than the
 *                cap, the weakest of them is taken out of the ranking
 * Defaults: chenxin061/pdarts train_search.py; its README passes skip dropout 0.1, 0.4, 0.7. It prints a genotype for
 * every cap; 2 is the paper's.
 */
import { cosine } from "../cosine.js"
import { matricesOfGenotype, rankedGenotype, skips } from "../derive.js"
import { integerField, numbersField, type FieldValues } from "../expect.js"
import type { Genotype } from "../genotype.js"
import { cellTypes, eachType, rowsOfNode, type CellType, type Space } from "../spaces/index.js"
import type { MethodContext, RunningMethod, SearchMethod } from "./index.js"
import { readMatrices, startAlpha, type Matrices } from "./matrices.js"
import {
  allKept,
  archClipField,
  clipped,
  gradientThrough,
  masksFromJson,
  masksToJson,
  relax,
  startDeviation,
  warmEpochsField,
  writeGradient,
  type Masks,
} from "./relaxed.js"
import { adam, sgd } from "./steps.js"

const fields = {
  addedLayers: numbersField([0, 6, 12], 0, 100, "cells of the three stages beyond --layers"),
  skipDropout: numbersField([0, 0, 0], 0, 0.99, "dropout behind skips at the start of the three stages"),
  warmEpochs: warmEpochsField(10),
  maxSkips: integerField(2, 0, 8, "most skip connections in the normal cell of the genotype"),
  archClip: archClipField(5),
}

export const pdarts: SearchMethod<typeof fields> = {
  name: "pdarts",
  about: "progressive DARTS: deeper nets with fewer operations, in three stages (ICCV 2019)",
  source: "Chen et al., ICCV 2019; defaults of chenxin061/pdarts",
  fields,
  defaults: { epochs: 75, batch: 96, layers: 5, lrMin: 0, archLr: 6e-4 },
  evaluations: () => ({
    architecture: { forward: [14, 0], data: [14, 0] },
    weights: { forward: [14, 0], backward: [14, 0] },
    note: "K falls to 5/8 and 3/8, cells rise by 6 and 12; no architecture step in the warm epochs",
  }),
  prepare,
}

const stages = 3
const keptShares = [1, 5 / 8, 3 / 8] as const

interface State {
  stage: number
  masks: Record<CellType, string>
}

function prepare(context: MethodContext, options: FieldValues<typeof fields>): RunningMethod {
  const { session, space, settings } = context
  const firstEpoch = (of: number) => Math.ceil((of * settings.epochs) / stages)
  const stageOf = (epoch: number) => (epoch >= firstEpoch(2) ? 2 : epoch >= firstEpoch(1) ? 1 : 0)
  const within = (epoch: number) => epoch - firstEpoch(stageOf(epoch))
  const stageEpochs = (epoch: number) => firstEpoch(stageOf(epoch) + 1) - firstEpoch(stageOf(epoch))
  let stage = 0
  let mask = allKept(space)

  const mix = () => relax(session, space, readMatrices(session), { mask })
  const begin = (next: number) => {
    stage = next
    // Each stage's net and A are drawn anew; the first keeps the session's own weights.
    const layers = settings.layers + options.addedLayers[stage]!
    if (stage > 0 || layers !== settings.layers) session.rebuild(layers, settings.seed + stage)
    startAlpha(context, settings.seed, 0, startDeviation, stage)
  }
  begin(0)
  const dropout = (epoch: number) => {
    const e = within(epoch)
    const warm = options.warmEpochs
    const all = stageEpochs(epoch)
    const share = e < warm ? (all - e - 1) / all : Math.exp(-0.2 * (e - warm))
    return options.skipDropout[stageOf(epoch)]! * share
  }
  return {
    hasArchitectureStep: (epoch) => within(epoch) >= options.warmEpochs,
    learningRate: ({ epoch }) => cosine(settings.lr, settings.lrMin, within(epoch), stageEpochs(epoch)),
    relaxed(alpha) {
      const weights = relax(session, space, alpha, { mask })
      return () => gradientThrough(session, space, weights)
    },
    async step(batches, { step, epoch, lr }) {
      while (stage < stageOf(epoch)) {
        mask = strongest(space, mask, mix(), stage + 1)
        begin(stage + 1)
      }
      const rate = dropout(epoch)
      const weightsOfAlpha = mix()
      session.skipDropout(rate, 2 * step)
      const passed =
        batches.validation === null ? null : await session.architectureGradient(batches.validation)
      if (passed) {
        writeGradient(session, clipped(gradientThrough(session, space, weightsOfAlpha), options.archClip))
        session.updateAlpha(adam(settings))
        mix()
      }
      session.skipDropout(rate, 2 * step + 1)
      return { alpha: passed, weights: await session.weightStep(batches.train, sgd(settings, lr)) }
    },
    derive() {
      const genotype = withFewSkips(space, mix(), options.maxSkips)
      return {
        searched: genotype,
        softmax: rankedGenotype(space, mix()),
        selected: matricesOfGenotype(space, genotype),
        alpha: readMatrices(session),
      }
    },
    save: (): State => ({ stage, masks: masksToJson(mask) }),
    restore(state) {
      const saved = state as State
      mask = masksFromJson(saved.masks)
      begin(saved.stage)
    },
  }
}

/** The entries that stage `stage` keeps: per row the largest of those that were there, the later of equals. */
export function strongest(space: Space, mask: Masks, weights: Matrices, stage: number): Masks {
  const kept = eachType((type) => mask[type].slice())
  for (const type of cellTypes) {
    const columns = space[type].length
    const count = Math.max(1, Math.round(columns * keptShares[stage]!))
    for (let first = 0; first < kept[type].length; first += columns) {
      const there = Array.from({ length: columns }, (_, k) => first + k).filter((i) => mask[type][i] === 1)
      there.sort((a, b) => weights[type][a]! - weights[type][b]! || a - b)
      for (const i of there.slice(0, Math.max(0, there.length - count))) kept[type][i] = 0
    }
  }
  return kept
}

/** The ranking's genotype with at most `most` skips in the normal cell. */
export function withFewSkips(space: Space, weights: Matrices, most: number): Genotype {
  const ranked = { normal: weights.normal.slice(), reduce: weights.reduce }
  const skip = space.normal.indexOf("skip_connect")
  for (;;) {
    const genotype = rankedGenotype(space, ranked)
    if (skips(genotype.normal) <= most) return genotype
    const entries = genotype.normal.flatMap(([operation, input], i) =>
      operation === "skip_connect"
        ? [(rowsOfNode(Math.floor(i / 2)).first + input) * space.normal.length + skip]
        : [],
    )
    const left = entries.filter((i) => ranked.normal[i]! >= 0)
    if (left.length === 0) return genotype // nothing but skips on these edges
    ranked.normal[left.reduce((a, b) => (ranked.normal[b]! < ranked.normal[a]! ? b : a))] = -1
  }
}
