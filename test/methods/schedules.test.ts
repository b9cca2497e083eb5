/**
 * Temperatures, learning rates and dropout over the epochs, where they are used: by hand from the released codes'
 * formulas (the heads of src/methods).
 */
import { describe, expect, test } from "vitest"

import { adamFromJson, type AdamJson } from "../../src/methods/adam.js"
import { gumbels, sum } from "../../src/methods/gumbel.js"
import { readMatrices } from "../../src/methods/matrices.js"
import { generateTextures } from "../../src/data/generated.js"
import { relativeError } from "../../src/golden/compare.js"
import { search } from "../../src/train/search.js"
import { random } from "../reference/map.js"
import { addon, loadBatch } from "../net/sessions.js"
import { stepAt, validationBatch, withMethod, type Running } from "./running.js"
import { cellTypes, eachType } from "../../src/spaces/index.js"

/** Softmax of each row of 8. */
function softmaxOf(values: Float64Array, temperature: number): Float64Array {
  const powers = values.map((v) => Math.exp(v / temperature))
  return powers.map((v, i) => {
    const first = i - (i % 8)
    return v / powers.subarray(first, first + 8).reduce((a, b) => a + b, 0)
  })
}

function writeAlpha({ session }: Running): void {
  const draw = random("alpha")
  for (const type of cellTypes) session.write(`alphas_${type}`, Float64Array.from(draw.normals(14 * 8, 0.7)))
}

describe("gdas", () => {
  // From 10 to 0.1 over 10 epochs: 9.9 / 9 = 1.1 an epoch.
  test.each([
    [0, 10],
    [3, 6.7],
    [9, 0.1],
  ])("in epoch %i of 10 the temperature is %d", (epoch, tau) =>
    withMethod("gdas", {}, async (running) => {
      const { session, settings } = running
      writeAlpha(running)
      const step = 7 * epoch
      await stepAt(running, { step, epoch })
      const gradient = readMatrices(session, "grad.alphas")
      const chosen = readMatrices(session, "selected.alphas")

      // dL/dp of the same net: that of the drawn entries, 0 of the others.
      await session.architectureGradient(loadBatch(session, validationBatch))
      const dp = readMatrices(session, "grad.alphas")
      const noisy = sum(readMatrices(session), gumbels(addon, running.space, settings.seed, 2 * step + 1))
      for (const type of cellTypes) {
        const p = softmaxOf(noisy[type], tau)
        const at = (i: number) => chosen[type].indexOf(1, i - (i % 8)) // the row's drawn entry
        const expected = p.map((v, i) => (dp[type][at(i)]! * v * (Number(i === at(i)) - p[at(i)]!)) / tau)
        expect(dp[type].every((d, i) => d === 0 || i === at(i))).toBe(true)
        expect(relativeError(expected, gradient[type]), type).toBeLessThan(1e-9)
      }
    }),
  )

  test("the learning rate is a cosine of the steps", () =>
    withMethod("gdas", { settings: { lr: 0.025, lrMin: 0.001, epochs: 240 } }, async ({ method }) => {
      const rate = (step: number) =>
        method.learningRate!({ step, epoch: Math.floor(step / 100), stepsPerEpoch: 100 })
      expect(rate(0)).toBe(0.025)
      expect(rate(6000)).toBeCloseTo(0.001 + 0.012 * (1 + Math.SQRT1_2), 14) // a quarter: cos 45 degrees
      expect(rate(8000)).toBeCloseTo(0.019, 14) // a third: cos 60 degrees
      expect(rate(12_000)).toBeCloseTo(0.013, 14)
      expect(rate(16_000)).toBeCloseTo(0.007, 14)
      expect(rate(24_000)).toBeCloseTo(0.001, 14)
      // Within an epoch, too: cos(pi / 480).
      expect(rate(50)).toBeCloseTo(0.001 + 0.012 * (1 + Math.cos(Math.PI / 480)), 14)
      await Promise.resolve()
    }))

  test("the steps of a search take it, with Nesterov's momentum", async () => {
    const rates: number[] = []
    const run = search({
      ...{ data: generateTextures(64, 2), method: "gdas", space: "darts7-split", channels: 4, layers: 3 },
      ...{ batch: 8, epochs: 2, lr: 0.08, lrMin: 0 },
    })
    for await (const event of run) if (event.type === "step") rates.push(event.lr)
    // Of 8 steps: 1, cos 22.5 degrees, and so on.
    const expected = Array.from({ length: 8 }, (_, step) => 0.04 * (1 + Math.cos((Math.PI * step) / 8)))
    rates.forEach((rate, step) => expect(rate, `${step}`).toBeCloseTo(expected[step]!, 14))
    expect(rates).toHaveLength(8)

    await withMethod("gdas", {}, async (running) => {
      await stepAt(running, { lr: 0.0625 })
      const [step] = running.calls.filter(({ name }) => name === "weightStep")
      expect(step!.given[1]).toMatchObject({ lr: 0.0625, nesterov: true })
    })
  })
})

describe("snas", () => {
  // 1 - 0.97 epoch / 4
  test.each([
    ["linear", 0, 1],
    ["linear", 1, 0.7575],
    ["linear", 3, 0.2725],
    ["linear", 4, 0.03],
    ["none", 4, 1],
  ])("annealing %s: in epoch %i of 5 the temperature is %d", (annealing, epoch, temperature) =>
    withMethod("snas", { options: { annealing }, settings: { epochs: 5 } }, async (running) => {
      const { session, settings, method } = running
      writeAlpha(running)
      await stepAt(running, { step: 3, epoch })
      const alpha = readMatrices(session)
      const noise = gumbels(addon, running.space, settings.seed, 3)
      const mixture = () => readMatrices(session, "selected.alphas")
      const drawn = mixture()
      for (const type of cellTypes)
        expect(relativeError(softmaxOf(sum(alpha, noise)[type], temperature), drawn[type])).toBeLessThan(1e-9)
      // The searched net: without noise.
      method.derive()
      for (const type of cellTypes)
        expect(relativeError(softmaxOf(alpha[type], temperature), mixture()[type])).toBeLessThan(1e-9)
    }),
  )

  test("its gradient is at that temperature, too", () =>
    withMethod("snas", { options: { annealing: "linear" }, settings: { epochs: 5 } }, async (running) => {
      const { session } = running
      writeAlpha(running)
      await stepAt(running, { step: 3, epoch: 3 })
      const [z, gradient] = [readMatrices(session, "selected.alphas"), readMatrices(session, "grad.alphas")]
      await session.architectureGradient(loadBatch(session, 0))
      const dz = readMatrices(session, "grad.alphas")
      const expected = eachType((type) =>
        z[type].map((v, i) => {
          let mean = 0
          for (let j = i - (i % 8); j < i - (i % 8) + 8; j++) mean += z[type][j]! * dz[type][j]!
          return (v * (dz[type][i]! - mean)) / 0.2725
        }),
      )
      for (const type of cellTypes) expect(relativeError(expected[type], gradient[type])).toBeLessThan(1e-9)
    }))
})

describe("enas", () => {
  // Cosines of 10, 20 and 40 epochs: 0.0005 + 0.02475 (1 + cos(pi e / length)).
  test.each([
    [0, 0.05],
    [5, 0.02525],
    [9, 0.0005 + 0.02475 * (1 - 0.9510565162951535)],
    [10, 0.05],
    [20, 0.02525],
    [29, 0.0005 + 0.02475 * (1 - 0.9876883405951378)],
    [30, 0.05],
    [50, 0.02525],
    [69, 0.0005 + 0.02475 * (1 - 0.996917333733128)],
    [70, 0.05],
  ])("in epoch %i the learning rate is %d", (epoch, rate) =>
    withMethod("enas", { settings: { lr: 0.05, lrMin: 5e-4, epochs: 150 } }, async ({ method }) => {
      expect(method.learningRate!({ step: 0, epoch, stepsPerEpoch: 10 })).toBeCloseTo(rate, 14)
      await Promise.resolve()
    }),
  )

  test("the first cosine's length is an option, and steps are Nesterov's", () =>
    withMethod("enas", { options: { restart: 3 }, settings: { lr: 1, lrMin: 0 } }, async (running) => {
      const rate = (epoch: number) => running.method.learningRate!({ step: 0, epoch, stepsPerEpoch: 10 })
      const rates = [0, 1, 2, 3, 6, 9].map(rate)
      ;[1, 0.75, 0.25, 1, 0.5, 1].forEach((r, i) => expect(rates[i]).toBeCloseTo(r, 14))
      await stepAt(running, { lr: 0.5 })
      const [step] = running.calls.filter(({ name }) => name === "weightStep")
      expect(step!.given[1]).toMatchObject({ lr: 0.5, nesterov: true })
    }))
})

describe("pdarts", () => {
  test.each([
    [0, 0.025],
    [5, 0.0125 * (1 + Math.cos(0.2 * Math.PI))],
    [24, 0.0125 * (1 + Math.cos(0.96 * Math.PI))],
    [25, 0.025],
    [49, 0.0125 * (1 + Math.cos(0.96 * Math.PI))],
    [50, 0.025],
    [74, 0.0125 * (1 + Math.cos(0.96 * Math.PI))],
  ])("in epoch %i of 3 x 25 the learning rate is %d", (epoch, rate) =>
    withMethod("pdarts", { settings: { lr: 0.025, lrMin: 0, epochs: 75 } }, async ({ method }) => {
      expect(method.learningRate!({ step: 0, epoch, stepsPerEpoch: 10 })).toBeCloseTo(rate, 14)
      await Promise.resolve()
    }),
  )

  // Stages begin at the first whole epoch from a third, and from two thirds, of the epochs on.
  test.each([
    [4, [0.025, 0.0125, 0.025, 0.025]],
    [5, [0.025, 0.0125, 0.025, 0.0125, 0.025]],
    [2, [0.025, 0.025]],
    [1, [0.025]],
  ])("of %i epochs each stage has its cosine", (epochs, rates) =>
    withMethod("pdarts", { settings: { lr: 0.025, lrMin: 0, epochs } }, async ({ method }) => {
      const found = rates.map((_, epoch) => method.learningRate!({ step: 0, epoch, stepsPerEpoch: 10 }))
      found.forEach((rate, epoch) => expect(rate, `epoch ${epoch}`).toBeCloseTo(rates[epoch]!, 14))
      await Promise.resolve()
    }),
  )

  test("skip dropout falls within each stage: linearly while only the weights learn, then by exp(-0.2)", () =>
    withMethod(
      "pdarts",
      {
        options: { skipDropout: [0.1, 0.4, 0.7], addedLayers: [0, 0, 1] },
        settings: { epochs: 75 },
      },
      async (running) => {
        const { session, method, calls } = running
        let step = 0
        for (const [epoch, layers, rate] of [
          [0, 3, 0.1 * (24 / 25)],
          [9, 3, 0.1 * (15 / 25)],
          [10, 3, 0.1],
          [11, 3, 0.1 * Math.exp(-0.2)],
          [24, 3, 0.1 * Math.exp(-2.8)],
          [25, 3, 0.4 * (24 / 25)],
          [34, 3, 0.4 * (15 / 25)],
          [35, 3, 0.4],
          [49, 3, 0.4 * Math.exp(-2.8)],
          [50, 4, 0.7 * (24 / 25)],
          [60, 4, 0.7],
          [74, 4, 0.7 * Math.exp(-2.8)],
        ] as const) {
          expect(method.hasArchitectureStep!(epoch), `epoch ${epoch}`).toBe(epoch % 25 >= 10)
          calls.length = 0
          await stepAt(running, { epoch, step: ++step })
          const drops = calls.filter(({ name }) => name === "skipDropout").map(({ given }) => given)
          expect(drops, `epoch ${epoch}`).toEqual([
            [expect.closeTo(rate, 14), 2 * step],
            [expect.closeTo(rate, 14), 2 * step + 1],
          ])
          expect(session.options.layers).toBe(layers)
          // Each stage's net is drawn anew.
          const stage = epoch % 25 === 0 ? epoch / 25 : 0
          const rebuilt = calls.filter(({ name }) => name === "rebuild").map(({ given }) => given)
          expect(rebuilt).toEqual(stage === 0 ? [] : [[layers, running.settings.seed + stage]])
        }
      },
    ))
})

describe("nasp", () => {
  test("each of a step's two selections has draws of its own", () =>
    withMethod("nasp", { options: { epsilon: 1 } }, async (running) => {
      await stepAt(running, { step: 3 })
      await stepAt(running, { step: 4 })
      const counters = running.calls.flatMap(({ name, given }) => {
        const how = (given as { counter?: number; discretise?: { counter: number } }[])[0]
        return name === "discretise" || name === "updateAlpha"
          ? [how?.discretise?.counter ?? how?.counter]
          : []
      })
      expect(counters).toEqual([6, 7, 8, 9].map((selection) => 64 * selection))
    }))
})

describe("the norm of alpha's gradient", () => {
  test.each([
    ["snas", {}],
    ["asap", { graceTau: 1000 }],
    ["pdarts", { warmEpochs: 0 }],
  ])("is clipped by %s", async (name, options) => {
    const gradientOf = async (archClip: number) => {
      const found: number[] = []
      await withMethod(name, { options: { ...options, archClip } }, async (running) => {
        await stepAt(running)
        const gradient = readMatrices(running.session, "grad.alphas")
        found.push(...gradient.normal, ...gradient.reduce)
      })
      return found
    }
    const [whole, clipped] = [await gradientOf(0), await gradientOf(1e-3)]
    const norm = Math.sqrt(whole.reduce((sum, g) => sum + g * g, 0))
    expect(norm).toBeGreaterThan(2e-3)
    const expected = whole.map((g) => (g * 1e-3) / (norm + 1e-6))
    expect(relativeError(expected, clipped)).toBeLessThan(1e-9)
  })
})

test("pc-darts' edge weights start near each other", () =>
  withMethod("pc-darts", { net: { partialChannels: 2 } }, async ({ method }) => {
    const { values } = adamFromJson(method.save!() as AdamJson)
    expect(values).toHaveLength(28)
    const deviation = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / 28)
    expect(deviation).toBeGreaterThan(0.5e-3)
    expect(deviation).toBeLessThan(2e-3)
    await Promise.resolve()
  }))
