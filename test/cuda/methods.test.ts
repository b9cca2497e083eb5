/**
 * Every method of the registry takes its first step on the device and finds what it finds on the CPU: losses, gradients,
 * alpha, weights, momentum and running statistics to 1e-4 of their largest entry. So do a net built anew and an evaluation.
 */
import { describe, expect, test } from "vitest"

import type { TrainTicket, ValidationTicket } from "../../src/data/halves.js"
import type { Place } from "../../src/device.js"
import { onDevice } from "../../src/device.js"
import { resolveFields } from "../../src/expect.js"
import { findMethod, methods, type MethodSettings } from "../../src/methods/index.js"
import type { NativeSession, StepResult } from "../../src/native.js"
import { findSpace } from "../../src/spaces/index.js"
import { discrete, drawAlphas, iterate, loadBatch } from "../net/sessions.js"
import { device, isBuilt, native } from "./device.js"

const tolerance = 1e-4
const space = findSpace("darts")

const settings: MethodSettings = {
  ...{ channels: 4, layers: 3, epochs: 10, seed: 4, lr: 0.025, lrMin: 0 },
  ...{ momentum: 0.9, weightDecay: 3e-4, clip: 5 },
  ...{ archLr: 3e-3, archBeta1: 0.5, archBeta2: 0.999, archWeightDecay: 1e-3 },
}
/** Options with which a first step shows everything that a method does. */
const options: Record<string, Record<string, unknown>> = {
  "pc-darts": { warmEpochs: 0 },
  pdarts: { warmEpochs: 0, skipDropout: [0.3, 0.2, 0.1] },
  gdas: { estimator: "all" },
}

describe.skipIf(!isBuilt)(device, () => {
  test.each(methods.map((method) => method.name))(
    "%s: the first step",
    { timeout: 600_000 },
    async (name) => {
      const [expected, found] = [await firstStep("cpu", name), await firstStep(device, name)]
      compare(found, expected)
    },
  )

  test("a net built anew, trained and evaluated", { timeout: 600_000 }, async () => {
    const run = async (place: Place) => {
      const session = open(place)
      try {
        session.rebuild(4, 9)
        drawAlphas(session, "again")
        session.discretise(discrete)
        const steps = await iterate(session, 0, 1)
        for (const batchStatistics of [false, true])
          steps.push(await session.evaluate(loadBatch(session, 7, 3), { batchStatistics }))
        return contents(session, steps)
      } finally {
        session.dispose()
      }
    }
    compare(await run(device), await run("cpu"))
  })
})

function open(place: Place, features: { partialChannels?: number } = {}): NativeSession {
  const { Session } = onDevice(native, place)
  return new Session({
    ...{ channels: settings.channels, layers: settings.layers, classes: 4, imageSize: 8, imageChannels: 3 },
    ...{ batch: 5, normal: [...space.normal], reduce: [...space.reduce], precision: "f32", isa: "" },
    ...{ threads: 2, dense: false, seed: 1, ...features },
  })
}

async function firstStep(place: Place, name: string): Promise<Map<string, Float64Array>> {
  const method = findMethod(name)
  const own = resolveFields(method.fields, options[name] ?? {})
  const session = open(place, method.net?.(own))
  try {
    drawAlphas(session, "alphas")
    const context = {
      ...{ addon: onDevice(native, place), session, space, settings, rankingBatches: 1 },
      rankingBatch: (index: number) => loadBatch(session, index) as ValidationTicket,
    }
    const running = method.prepare(context, own)
    const validation =
      (running.hasArchitectureStep?.(0) ?? true) ? (loadBatch(session, 1) as ValidationTicket) : null
    const outcome = await running.step(
      { train: loadBatch(session, 0) as TrainTicket, validation },
      { step: 0, epoch: 0, stepsPerEpoch: 10, lr: settings.lr },
    )
    return contents(session, outcome.alpha ? [outcome.alpha, outcome.weights] : [outcome.weights])
  } finally {
    session.dispose()
  }
}

/** All tensors of a session, and what its steps found. */
function contents(session: NativeSession, steps: StepResult[]): Map<string, Float64Array> {
  const all = new Map(session.tensors().map(({ name }) => [name, Float64Array.from(session.read(name))]))
  steps.forEach((step, i) => {
    all.set(`loss of step ${i}`, Float64Array.of(step.loss))
    all.set(`gradient norm of step ${i}`, Float64Array.of(step.gradientNorm))
    all.set(`logits of step ${i}`, Float64Array.from(step.logits))
  })
  return all
}

// Beside a tensor's own largest entry stands a millionth of its kind's: what should be 0 is the rest of a cancellation.
function compare(found: Map<string, Float64Array>, expected: Map<string, Float64Array>): void {
  expect([...found.keys()]).toEqual([...expected.keys()])
  const largest = (values: Float64Array<ArrayBufferLike>) =>
    values.reduce<number>((a, b) => Math.max(a, Math.abs(b)), 0)
  const kindOf = (name: string) => /^(grad|momentum|adam)\.|running_mean|running_var/.exec(name)?.[0] ?? ""
  const largestOf = new Map<string, number>()
  for (const [name, values] of expected)
    largestOf.set(kindOf(name), Math.max(largestOf.get(kindOf(name)) ?? 0, largest(values)))
  const wrong: string[] = []
  for (const [name, values] of expected) {
    const allowed = tolerance * largest(values) + 1e-6 * largestOf.get(kindOf(name))!
    const off = largest(Float64Array.from(values, (v, i) => found.get(name)![i]! - v))
    if (!(off <= allowed)) wrong.push(`${name}: off by ${off}, allowed ${allowed}`)
  }
  expect(wrong).toEqual([])
}
