/**
 * Each method's architecture gradient, as its own step computes it, against central differences of the loss in double
 * (or, where the method is straight-through, of the loss in the mixture's entries, times softmax's Jacobian taken
 * numerically). DARTS of second order, a finite difference itself, is checked against fixtures (test/golden), and so are
 * PC-DARTS' forward and gradients. Steps of size 0 leave alpha and the weights as they are, and `grad.<alpha>` holds what
 * alpha was to move by.
 */
import { describe, expect, test } from "vitest"

import type { TrainTicket, ValidationTicket } from "../../src/data/halves.js"
import { resolveFields } from "../../src/expect.js"
import { gumbels } from "../../src/methods/gumbel.js"
import { findMethod, type MethodSettings, type RunningMethod } from "../../src/methods/index.js"
import { mixAll, readMatrices, type Matrices } from "../../src/methods/matrices.js"
import { gradientThroughPartial, mixPartial } from "../../src/methods/pc-darts.js"
import { relax } from "../../src/methods/relaxed.js"
import type { NativeSession, NativeSessionOptions } from "../../src/native.js"
import { cellTypes, eachType, findSpace } from "../../src/spaces/index.js"
import { random } from "../reference/map.js"
import { addon, loadBatch, makeSession } from "../net/sessions.js"

const h = 1e-5
const space = findSpace("darts")

const settings: MethodSettings = {
  ...{
    channels: 2,
    layers: 3,
    epochs: 10,
    seed: 4,
    lr: 0,
    lrMin: 0,
    momentum: 0.9,
    weightDecay: 3e-4,
    clip: 5,
  },
  ...{ archLr: 0, archBeta1: 0.5, archBeta2: 0.999, archWeightDecay: 0 },
}

interface Bench {
  session: NativeSession
  method: RunningMethod
}

async function withMethod(
  name: string,
  options: Record<string, unknown>,
  action: (bench: Bench) => Promise<void>,
  net: Partial<NativeSessionOptions> = {},
  changed: Partial<MethodSettings> = {},
): Promise<void> {
  const session = makeSession(space.name, net)
  try {
    const method = findMethod(name)
    const context = {
      ...{ addon, session, space, settings: { ...settings, ...changed }, rankingBatches: 1 },
      rankingBatch: (index: number) => loadBatch(session, index) as ValidationTicket,
    }
    const running = method.prepare(context, resolveFields(method.fields, options))
    // Away from the start, where all rows are all but equal.
    const draw = random("alpha")
    for (const type of cellTypes)
      session.write(`alphas_${type}`, Float64Array.from(draw.normals(14 * 8, 0.7)))
    await action({ session, method: running })
  } finally {
    session.dispose()
  }
}

const trainBatch = 0
const validationBatch = 1
const schedule = { step: 0, epoch: 0, stepsPerEpoch: 10, lr: 0 }

/** One step, and the gradient that it left for alpha. */
async function stepGradient(
  { session, method }: Bench,
  at: Partial<typeof schedule> = {},
): Promise<Matrices> {
  const when = { ...schedule, ...at }
  const learns = method.hasArchitectureStep?.(when.epoch) ?? true
  const validation = learns ? (loadBatch(session, validationBatch) as ValidationTicket) : null
  await method.step({ train: loadBatch(session, trainBatch) as TrainTicket, validation }, when)
  return readMatrices(session, "grad.alphas")
}

async function lossAt(session: NativeSession, batch: number): Promise<number> {
  const passed = await session.architectureGradient(loadBatch(session, batch), { keepStatistics: true })
  return passed.loss
}

/** The gradient at some entries against differences of `loss` of moved matrices. */
async function compare(
  gradient: Matrices,
  start: Matrices,
  loss: (moved: Matrices) => Promise<number>,
  every = 17,
): Promise<void> {
  for (const type of cellTypes) {
    const largest = gradient[type].reduce((a, b) => Math.max(a, Math.abs(b)), 0)
    expect(largest).toBeGreaterThan(0)
    for (let i = 0; i < start[type].length; i += every) {
      const at = (side: number) =>
        loss(eachType((t) => (t === type ? start[t].map((v, j) => (j === i ? v + side * h : v)) : start[t])))
      const expected = ((await at(1)) - (await at(-1))) / (2 * h)
      expect(Math.abs(gradient[type][i]! - expected), `${type} ${i}`).toBeLessThan(1e-4 * largest)
    }
  }
}

describe("alpha's gradient is the loss's", () => {
  test("darts, first order", () =>
    withMethod("darts", {}, async (bench) => {
      const gradient = await stepGradient(bench)
      await compare(gradient, readMatrices(bench.session), (moved) => {
        relax(bench.session, space, moved)
        return lossAt(bench.session, validationBatch)
      })
    }))

  test("snas: through the noisy sample, with the expected cost", () =>
    withMethod("snas", { resource: 0.3, temperature: 0.8 }, async (bench) => {
      const { session } = bench
      const gradient = await stepGradient(bench, { step: 6 })
      const noise = gumbels(addon, space, settings.seed, 6)
      const costs = space.normal.map((op) => addon.operationCost(op, settings.channels, 32, 1).parameters)
      const mean = costs.reduce((a, b) => a + b, 0) / costs.length
      await compare(gradient, readMatrices(session), async (moved) => {
        let expectedCost = 0
        for (const type of cellTypes) {
          for (let row = 0; row < 14; row++) {
            const powers = [...moved[type].subarray(row * 8, row * 8 + 8)].map(Math.exp)
            const sum = powers.reduce((a, b) => a + b, 0)
            powers.forEach((p, k) => (expectedCost += ((p / sum) * costs[k]!) / mean))
          }
        }
        relax(
          session,
          space,
          eachType((t) => moved[t].map((v, i) => v + noise[t][i]!)),
          { temperature: 0.8 },
        )
        return (await lossAt(session, trainBatch)) + 0.3 * expectedCost
      })
    }))

  test("asap: with a temperature, over what is left", () =>
    withMethod("asap", { tau: 0.9, prune: 0.8, archClip: 1e6 }, async (bench) => {
      await stepGradient(bench)
      const gradient = await stepGradient(bench, { epoch: 1 })
      const used = readMatrices(bench.session, "selected.alphas")
      const pruned = used.normal.filter((w) => w === 0).length
      expect(pruned).toBeGreaterThan(20)
      expect(pruned).toBeLessThan(98)
      const mask = eachType((type) => Uint8Array.from(used[type], Number))
      for (const type of cellTypes) used[type].forEach((w, i) => (mask[type][i] = w === 0 ? 0 : 1))
      await compare(gradient, readMatrices(bench.session), (moved) => {
        relax(bench.session, space, moved, { temperature: 0.9 * 0.95, mask })
        return lossAt(bench.session, validationBatch)
      })
    }))

  test("pdarts: with skip dropout, over what the stage kept", () =>
    withMethod(
      "pdarts",
      { warmEpochs: 0, skipDropout: [0.3, 0.3, 0.3], addedLayers: [0, 1, 2], archClip: 1e6 },
      async (bench) => {
        const { session } = bench
        await stepGradient(bench)
        expect(session.options.layers).toBe(3)
        const gradient = await stepGradient(bench, { step: 5, epoch: 1 })
        expect(session.options.layers).toBe(4)
        const used = readMatrices(session, "selected.alphas")
        expect(used.normal.filter((w) => w !== 0)).toHaveLength(14 * 5)
        const mask = eachType((type) => Uint8Array.from(used[type], (w) => (w === 0 ? 0 : 1)))
        await compare(gradient, readMatrices(session), (moved) => {
          relax(session, space, moved, { mask })
          session.skipDropout(0.3, 2 * 5)
          return lossAt(session, validationBatch)
        })
      },
      {},
      { epochs: 3 },
    ))

  test("pc-darts: of alpha and of beta", async () => {
    const session = makeSession(space.name, { channels: 8, partialChannels: 4 })
    try {
      const draw = random("pc-darts")
      const alpha = eachType(() => Float64Array.from(draw.normals(14 * 8, 0.5)))
      const beta = eachType(() => Float64Array.from(draw.normals(14, 0.5)))
      const context = { session, space }
      const mixture = mixPartial(context, alpha, beta)
      for (const [first, count] of [
        [0, 2],
        [2, 3],
        [5, 4],
        [9, 5],
      ] as const) {
        const sum = mixture.edges.normal.subarray(first, first + count).reduce((a, b) => a + b, 0)
        expect(sum).toBeCloseTo(1, 12)
      }
      await session.architectureGradient(loadBatch(session, validationBatch))
      const gradient = gradientThroughPartial(context, mixture)
      await compare(gradient.alpha, alpha, (moved) => {
        mixPartial(context, moved, beta)
        return lossAt(session, validationBatch)
      })
      await compare(
        gradient.beta,
        beta,
        (moved) => {
          mixPartial(context, alpha, moved)
          return lossAt(session, validationBatch)
        },
        1,
      )
    } finally {
      session.dispose()
    }
  })

  test.each(["sampled", "all"] as const)("gdas, straight through, %s", (estimator) =>
    withMethod("gdas", { estimator, tauMax: 2, tauMin: 2 }, async (bench) => {
      const { session } = bench
      const gradient = await stepGradient(bench, { step: 3 })
      const drawn = readMatrices(session, "selected.alphas")
      const nodeSums = eachType((type) => session.read(`grad.nodes.alphas_${type}`))
      // The weight step has another draw than alpha's: 2 step and 2 step + 1.
      const noise = gumbels(addon, space, settings.seed, 2 * 3 + 1)
      const alpha = readMatrices(session)
      for (const type of cellTypes) {
        for (let row = 0; row < 14; row += 3) {
          const noisy = [...alpha[type].subarray(row * 8, row * 8 + 8)].map(
            (v, k) => v + noise[type][row * 8 + k]!,
          )
          const chosen = noisy.indexOf(Math.max(...noisy))
          expect([...drawn[type].subarray(row * 8, row * 8 + 8)]).toEqual(
            noisy.map((_, k) => Number(k === chosen)),
          )
          const at = async (side: number) => {
            const moved = eachType((t) => drawn[t].slice())
            moved[type][row * 8 + chosen]! += side * h
            mixAll(session, moved)
            return lossAt(session, validationBatch)
          }
          const dh = ((await at(1)) - (await at(-1))) / (2 * h)
          const node = [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3][row]!
          const others = estimator === "all" ? nodeSums[type][node]! : 0
          const p = (values: number[]) => {
            const powers = values.map((v) => Math.exp(v / 2))
            const sum = powers.reduce((a, b) => a + b, 0)
            return powers.map((v) => v / sum)
          }
          for (let k = 0; k < 8; k += 3) {
            const up = p(noisy.map((v, j) => (j === k ? v + h : v)))
            const down = p(noisy.map((v, j) => (j === k ? v - h : v)))
            const expected = up.reduce(
              (sum, v, j) => sum + ((v - down[j]!) / (2 * h)) * (j === chosen ? dh : others),
              0,
            )
            expect(gradient[type][row * 8 + k]).toBeCloseTo(expected, 7)
          }
        }
      }
    }),
  )

  test.each(["nasp", "lazy-pa", "pa"])("%s, at the discrete matrix", (name) =>
    withMethod(name, {}, async (bench) => {
      const { session } = bench
      session.discretise({ value: "one", edges: "two", epsilon: 0, counter: 0 })
      const D = readMatrices(session, "selected.alphas")
      const gradient = await stepGradient(bench)
      await compare(gradient, D, (moved) => {
        mixAll(session, moved)
        return lossAt(session, validationBatch)
      })
    }),
  )
})
