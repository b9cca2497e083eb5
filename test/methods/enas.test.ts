/**
 * ENAS' controller training: REINFORCE towards what is rewarded, and two steps of it by hand. The session is a fake that
 * knows how accurate each architecture is.
 */
import { expect, test } from "vitest"

import type { ValidationTicket } from "../../src/data/halves.js"
import { resolveFields } from "../../src/expect.js"
import { adamFromJson, type AdamJson } from "../../src/methods/adam.js"
import { drawsPerSample, makeController } from "../../src/methods/controller.js"
import { enas } from "../../src/methods/enas.js"
import { matricesOfSample } from "../../src/methods/samples.js"
import { substreams } from "../../src/methods/substreams.js"
import type { NativeSession } from "../../src/native.js"
import type { Space } from "../../src/spaces/index.js"
import { addon, sameBits } from "../net/sessions.js"
import { still } from "./running.js"

const space: Space = {
  name: "two",
  about: "",
  normal: ["skip_connect", "avg_pool_3x3"],
  reduce: ["max_pool_3x3", "skip_connect"],
}
const seed = 11
const types = ["normal", "reduce"] as const
type Weights = Record<(typeof types)[number], Float64Array>

/** The share of a sample's 16 operations that are skip_connect. */
function shareOf(weights: Weights): number {
  const skips = types.flatMap((type) => [
    ...weights[type].filter((_, i) => space[type][i % 2] === "skip_connect"),
  ])
  return skips.reduce((a, b) => a + b, 0) / 16
}

/** ENAS on a session whose evaluations have the accuracy `accuracyOf` the mixture, of `count` images. */
function enasOn(accuracyOf: (weights: Weights) => number, options: Record<string, unknown>) {
  const count = 1600
  const mixture: Weights = { normal: new Float64Array(28), reduce: new Float64Array(28) }
  const matrices = new Map<string, Float64Array>()
  const batches: number[] = []
  const result = () => ({ correct: count * accuracyOf(mixture), count })
  const session = {
    options: { precision: "f64" },
    read: (name: string) => matrices.get(name)!,
    write: (name: string, values: Float64Array) => matrices.set(name, values),
    setMixture: (type: keyof Weights, weight: Float64Array) => (mixture[type] = weight.slice()),
    evaluate: (_ticket: number, how: unknown) => {
      expect(how).toEqual({ batchStatistics: true })
      return Promise.resolve(result())
    },
    weightStep: () => Promise.resolve(result()),
  } as unknown as NativeSession
  const rankingBatch = (index: number) => {
    batches.push(index)
    return index as ValidationTicket
  }
  const context = {
    addon,
    session,
    space,
    settings: { ...still, seed },
    rankingBatch,
    rankingBatches: 1,
  }
  const method = enas.prepare(context, resolveFields(enas.fields, options))
  const train = async (step: number, whole = true) => {
    await method.onEpoch!({ epoch: step, step, whole, last: false })
  }
  /** Architectures as steps draw them. */
  const drawn = async (times: number) => {
    const samples: Weights[] = []
    for (let step = 0; step < times; step++) {
      await method.step(
        { train: 0 as never, validation: null },
        { step, epoch: 0, stepsPerEpoch: times, lr: 0 },
      )
      samples.push({ normal: mixture.normal, reduce: mixture.reduce })
    }
    return samples
  }
  const saved = () => {
    const { controller, baseline } = method.save!() as { controller: AdamJson; baseline: number }
    return { ...adamFromJson(controller), baseline }
  }
  return { train, drawn, saved, batches }
}

// The logits are bounded, and these two operations are neither favoured: 0.5 before, at most e^0.88 / (1 + e^0.88) = 0.71.
test("what is rewarded is drawn more often", { timeout: 300_000 }, async () => {
  const options = {
    ...{ controllerSteps: 2, controllerSamples: 5, controllerLr: 0.1 },
    ...{ epochSamples: 1, rankBatches: 1 },
  }
  const towards = enasOn(shareOf, options)
  const away = enasOn((weights) => 1 - shareOf(weights), options)
  const mean = async (of: typeof towards) => {
    const shares = (await of.drawn(100)).map(shareOf)
    return shares.reduce((a, b) => a + b, 0) / shares.length
  }
  const before = await mean(towards)
  for (let epoch = 1; epoch <= 20; epoch++) {
    await towards.train(epoch)
    await away.train(epoch)
  }
  expect(await mean(towards)).toBeGreaterThan(before + 0.18)
  expect(await mean(away)).toBeLessThan(before - 0.18)
})

/** Fresh parameters, as the method's own. */
function freshController() {
  return makeController(space, (n) => {
    const pieces = Array.from({ length: Math.ceil(n / 4096) }, (_, piece) =>
      addon.uniforms(seed, substreams.controller, piece, Math.min(4096, n - 4096 * piece)),
    )
    return Float64Array.from(pieces.flatMap((piece) => [...piece]))
  })
}

/** Architecture `index` of the controller's training after `step` steps. */
const drawsAt = (step: number, index: number) =>
  addon.uniforms(seed, substreams.controllerSample, step * 2 ** 20 + index, drawsPerSample)

// Steps of TensorFlow's Adam (beta1 0, beta2 0.999, eps 1e-3 beside the uncorrected root) on the mean of -(R - b) log p, R = accuracy + weight * entropy, where the
// moving average b has seen R already.
test("two steps by hand", async () => {
  const [decay, entropyWeight, lr, step] = [0.5, 0.01, 0.1, 3]
  const options = {
    ...{ controllerSteps: 2, controllerSamples: 2, controllerLr: lr, baselineDecay: decay, entropyWeight },
    ...{ epochSamples: 2, rankBatches: 3 },
  }
  const { train, saved, batches } = enasOn(shareOf, options)
  expect(sameBits(saved().values, freshController().values)).toBe(true)
  await train(step)

  const { values, gradient, sample } = freshController()
  const second = new Float64Array(values.length)
  let baseline = 0
  for (let s = 0; s < 2; s++) {
    gradient.fill(0)
    for (let i = 0; i < 2; i++) {
      const drawn = sample(drawsAt(step, 2 * s + i))
      const reward = shareOf(matricesOfSample(space, drawn.sample)) + entropyWeight * drawn.entropy
      baseline = decay * baseline + (1 - decay) * reward
      drawn.backward((reward - baseline) / 2) // up log p where the reward is above the average
    }
    gradient.forEach((g, i) => {
      second[i] = 0.999 * second[i]! + 0.001 * g * g
      values[i]! += (lr * Math.sqrt(1 - 0.999 ** (s + 1)) * g) / (Math.sqrt(second[i]!) + 1e-3)
    })
  }
  const found = saved()
  expect(found.baseline).toBeCloseTo(baseline, 14)
  expect(found.state.step).toBe(2)
  values.forEach((value, i) => expect(Math.abs(found.values[i]! - value), `${i}`).toBeLessThan(1e-10))
  // A batch an architecture, then others that the epoch's candidates are ranked on: 10 an epoch.
  expect(batches).toEqual([30, 31, 32, 33, 34, 35, 36, 37, 38, 39])
})

test("an average that follows at once leaves nothing to learn from, and a cut epoch nothing at all", async () => {
  const options = { controllerSteps: 1, controllerSamples: 2, epochSamples: 1, rankBatches: 1 }
  const { values } = freshController()
  const following = enasOn(shareOf, { ...options, baselineDecay: 0 })
  await following.train(1)
  expect(sameBits(following.saved().values, values)).toBe(true)
  const cut = enasOn(shareOf, options)
  await cut.train(1, false)
  expect(sameBits(cut.saved().values, values)).toBe(true)
  await cut.train(1)
  expect(sameBits(cut.saved().values, values)).toBe(false)
})

// The controller is as it was: the same draws on the same batches.
test("a run's end ranks where nothing was ranked, not where an epoch's end has just done so", async () => {
  const options = { controllerSteps: 0, epochSamples: 2, rankBatches: 3 }
  const { train, batches } = enasOn(shareOf, options)
  await train(1)
  expect(batches).toHaveLength(6)
  await train(1, false)
  expect(batches).toHaveLength(6)
  await train(2, false)
  expect(batches).toHaveLength(12)
  await train(2)
  expect(batches).toHaveLength(18)
})
