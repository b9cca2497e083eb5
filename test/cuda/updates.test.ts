/**
 * What steps compute beside units, on the device as on the CPU: alpha's update with each of its options, the weights'
 * optimizer and vectors, batches prepared from a data set's bytes.
 */
import { describe, expect, test } from "vitest"

import { onDevice, type Place } from "../../src/device.js"
import type {
  AlphaUpdateOptions,
  DiscretiseOptions,
  NativeAddon,
  NativeSession,
  NativeSessionOptions,
  WeightUpdateOptions,
} from "../../src/native.js"
import { random } from "../reference/map.js"
import { alphaUpdate, discrete, drawAlphas, loadBatch, numbers, weightUpdate } from "../net/sessions.js"
import { device, isBuilt, native } from "./device.js"

const operations = ["none", "skip_connect", "conv_1x1", "sep_conv_3x3"]
const matrices = ["alphas_normal", "alphas_reduce"]
/** The stem's weights are more than a block of threads takes at once. */
const wide = { channels: 4 }

describe.skipIf(!isBuilt)(device, () => {
  const costs = { costNormal: [0, 0.1, 1, 2], costReduce: [0, 0.2, 1, 3], eta: 0.3 }
  test.each<[string, Partial<AlphaUpdateOptions>, Partial<DiscretiseOptions>]>([
    ["Adam, the box", {}, {}],
    ["the regulariser at D", costs, {}],
    ["the regulariser at alpha", { ...costs, costOn: "alpha" }, {}],
    ["one type regularised", { ...costs, costReduce: [] }, {}],
    ["plain gradient, no box", { optimizer: "sgd", projection: "none", lr: 3 }, {}],
    ["the discrete projection", { projection: "discrete" }, { value: "kept" }],
    ["kept values, cut to the box", { optimizer: "sgd", projection: "none", lr: 3 }, { value: "kept" }],
    ["all edges", {}, { edges: "all" }],
    ["random operations", {}, { epsilon: 1, counter: 5 }],
    ["equal rows", { lr: 0, weightDecay: 0 }, {}],
    ["the mixture stays", { discretise: undefined }, {}],
    ["a gradient that is not finite", {}, {}],
    ["rows that are no numbers", {}, {}],
  ])("alpha's update: %s", (name, update, how) => {
    const run = (place: Place) =>
      withSession(place, (session) => {
        const gradient = (matrix: string, step: number) => {
          const values = Float32Array.from(draw.normals(14 * 4, 0.2))
          if (name === "a gradient that is not finite" && (step === 1) === (matrix === matrices[0]))
            values[17] = step === 1 ? NaN : Infinity
          return values
        }
        if (name === "equal rows")
          for (const matrix of matrices) session.write(matrix, new Float32Array(14 * 4).fill(0.5))
        const draw = random(name)
        if (name === "rows that are no numbers")
          for (const matrix of matrices)
            session.write(
              matrix,
              Float32Array.from({ length: 14 * 4 }, (_, i) => (i % 24 < 8 ? NaN : draw.uniform())),
            )
        session.discretise(discrete)
        const found: number[] = []
        for (let step = 0; step < 3; step++) {
          for (const matrix of matrices) session.write(`grad.${matrix}`, gradient(matrix, step))
          const { discretise = discrete, ...rest } = { ...alphaUpdate, ...update }
          const isLeft = "discretise" in update
          session.updateAlpha({ ...rest, ...(isLeft ? {} : { discretise: { ...discretise, ...how } }) })
          for (const matrix of matrices)
            for (const kind of ["", "selected.", "adam.first.", "adam.second."])
              found.push(...numbers(session, kind + matrix))
        }
        return found
      })
    const expected = run("cpu")
    run(device).forEach((v, i) => {
      if (Number.isNaN(expected[i])) expect(v, `${i}`).toBeNaN()
      else expect(Math.abs(v - expected[i]!), `${i}`).toBeLessThan(1e-6)
    })
  })

  test.each<[string, Partial<WeightUpdateOptions>]>([
    ["plain", { momentum: 0, weightDecay: 0, clip: 0 }],
    ["clipped", { clip: 0.01 }],
    ["nesterov", { nesterov: true }],
    ["unselected decayed", { unselected: "decayed", weightDecay: 0.1 }],
    ["none applied", { apply: false }],
  ])("the weights' update: %s", { timeout: 600_000 }, async (_name, options) => {
    const run = (place: Place) =>
      withSession(
        place,
        async (session) => {
          session.discretise(discrete)
          for (let step = 0; step < 2; step++)
            await session.weightStep(loadBatch(session, step), { ...weightUpdate, lr: 0.1, ...options })
          const isWeight = (group: string) => group === "parameter" || group === "momentum"
          const names = session.tensors().filter(({ group }) => isWeight(group))
          return names.flatMap(({ name }) => [...numbers(session, name)])
        },
        wide,
      )
    const expected = await run("cpu")
    const found = await run(device)
    found.forEach((v, i) => expect(Math.abs(v - expected[i]!), `${i}`).toBeLessThan(1e-4))
  })

  test("a loss that is not finite leaves the weights", { timeout: 600_000 }, () =>
    withSession(device, async (session) => {
      session.discretise(discrete)
      const before = numbers(session, "classifier.weight")
      const x = new Float32Array(3 * 3 * 64).fill(NaN)
      const { loss } = await session.weightStep(session.load(x, Int32Array.of(0, 1, 2)), weightUpdate)
      expect(loss).toBeNaN()
      expect(numbers(session, "classifier.weight")).toEqual(before)
    }),
  )

  test("vectors over the weights", { timeout: 600_000 }, async () => {
    const run = (place: Place) =>
      withSession(
        place,
        async (session) => {
          session.discretise(discrete)
          await session.weightStep(loadBatch(session, 0), { ...weightUpdate, apply: false })
          session.combine("start", { weights: 1 })
          session.combine("weights", { weights: 1, gradient: -0.5, momentum: 2 })
          session.combine("moved", { weights: 1, start: -1 })
          const norms = ["weights", "gradient", "start", "moved"].map((name) => session.norm(name))
          const moved = numbers(session, "stem.0.weight")
          session.combine("weights", { start: 1 })
          return [...norms, ...moved, ...numbers(session, "stem.0.weight")]
        },
        wide,
      )
    const expected = await run("cpu")
    const found = await run(device)
    found.forEach((v, i) =>
      expect(Math.abs(v - expected[i]!)).toBeLessThan(1e-5 * Math.abs(expected[i]!) + 2e-6),
    )
  })

  test("dropout behind skips, and the nodes' sums", { timeout: 600_000 }, async () => {
    const run = (place: Place) =>
      withSession(place, async (session) => {
        const all = new Uint8Array(14 * 4).fill(2)
        for (const type of ["normal", "reduce"] as const)
          session.setMixture(type, new Float64Array(14 * 4).fill(0.25), all)
        session.skipDropout(0.4, 3)
        const { loss } = await session.architectureGradient(loadBatch(session, 0), { nodeSums: true })
        const kinds = ["grad.", "grad.nodes."]
        return [loss, ...matrices.flatMap((m) => kinds.flatMap((kind) => [...numbers(session, kind + m)]))]
      })
    const expected = await run("cpu")
    const largest = Math.max(...expected.map(Math.abs))
    const found = await run(device)
    found.forEach((v, i) => expect(Math.abs(v - expected[i]!), `${i}`).toBeLessThan(1e-4 * largest))
  })

  test("weights of what goes by partial channels", { timeout: 600_000 }, async () => {
    const run = (place: Place) =>
      withSession(
        place,
        async (session) => {
          const all = new Uint8Array(14 * 4).fill(2)
          for (const type of ["normal", "reduce"] as const) {
            session.setMixture(type, new Float64Array(14 * 4).fill(0.25), all)
            session.setBypass(type, new Float64Array(14).fill(0.4))
          }
          await session.architectureGradient(loadBatch(session, 0))
          return matrices.flatMap((name) => [...numbers(session, `grad.bypass.${name}`)])
        },
        { channels: 4, partialChannels: 2 },
      )
    const expected = await run("cpu")
    const largest = Math.max(...expected.map(Math.abs))
    const found = await run(device)
    found.forEach((v, i) => expect(Math.abs(v - expected[i]!), `${i}`).toBeLessThan(1e-4 * largest))
  })

  test.each([
    { pad: 0, flip: false, cutout: 0 },
    { pad: 2, flip: true, cutout: 5 },
  ])("a batch from the data set's bytes: %o", { timeout: 600_000 }, async (augment) => {
    const run = (place: Place) =>
      withSession(place, async (session, addon) => {
        const draw = random("images")
        const dataset = new addon.Dataset({
          ...{ channels: 3, height: 8, width: 8, mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] },
          images: Uint8Array.from({ length: 7 * 3 * 64 }, () => Math.floor(256 * draw.uniform())),
          labels: Uint8Array.from([0, 1, 2, 3, 2, 1, 0]),
        })
        session.discretise(discrete)
        const found: number[] = []
        for (let step = 0; step < 2; step++) {
          const draws = { ...augment, seed: 3, counter: 10 * step }
          const ticket = session.queue(dataset, Uint32Array.of(6, step, 3), draws)
          const { loss, correct, logits } = await session.evaluate(ticket, { batchStatistics: true })
          found.push(loss, correct, ...logits)
        }
        return found
      })
    const expected = await run("cpu")
    const found = await run(device)
    found.forEach((v, i) => expect(Math.abs(v - expected[i]!), `${i}`).toBeLessThan(1e-4))
  })
})

function withSession<T>(
  place: Place,
  action: (session: NativeSession, addon: NativeAddon) => T,
  options: Partial<NativeSessionOptions> = {},
): T {
  const addon = onDevice(native, place)
  const session = new addon.Session({
    ...{ channels: 2, layers: 3, classes: 4, imageSize: 8, imageChannels: 3, batch: 3 },
    ...{ normal: operations, reduce: operations, precision: "f32", isa: "", threads: 1 },
    ...{ dense: false, seed: 1, ...options },
  })
  drawAlphas(session, "alphas")
  const result = action(session, addon)
  if (!(result instanceof Promise)) session.dispose()
  else void result.catch(() => undefined).then(() => session.dispose())
  return result
}
