/**
 * Whole nets on every instruction set of this machine, not on the chosen one alone: PyTorch's fixtures of the methods'
 * steps, and nets wide enough for Winograd, whose gradients by the chosen set test/net/gradients.test.ts holds against
 * differences.
 */
import { readdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterEach, describe, expect, test } from "vitest"

import { onDevice, type Place } from "../../src/device.js"
import { relativeError, worst } from "../../src/golden/compare.js"
import { tolerances, verifyFile } from "../../src/golden/index.js"
import { meets } from "../../src/golden/nearby.js"
import type { NativeSession, NativeSessionOptions, Precision } from "../../src/native.js"
import { addon, discrete, loadBatch, makeSession, numbers, weightUpdate } from "./sessions.js"

const opened: NativeSession[] = []
afterEach(() => opened.splice(0).forEach((session) => session.dispose()))
const made = (session: NativeSession) => {
  opened.push(session)
  return session
}

const fixtures = join(dirname(fileURLToPath(import.meta.url)), "../fixtures")
const steps = readdirSync(fixtures).filter((name) => /-(step|trace)-.*\.safetensors$/.test(name))
const { available, chosen } = addon.info()

test("there are fixtures of every kind of step, and the portable set beside the chosen one", () => {
  const kinds = new Set(steps.map((name) => /^[a-z-]+?-(step|trace)/.exec(name)![0]))
  expect([...kinds].sort()).toEqual(["darts-step", "nasp-step", "nasp-trace", "pc-darts-step"])
  expect(available).toContain("baseline")
  expect(available).toContain(chosen)
})

describe.each(available)("%s", (isa) => {
  // An instruction set is a place by another name (src/device.ts).
  const there = onDevice(addon, isa as Place)

  test("is what sessions run on", () => {
    const { options } = made(makeSession("nasp12"))
    const session = made(new there.Session({ ...options, isa: "" }))
    expect(session.options.isa).toBe(isa)
  })

  for (const precision of ["f32", "f64"] as const)
    test.each(steps)(`${precision}: %s`, async (name) => {
      const { comparisons } = await verifyFile(there, join(fixtures, name), precision)
      const missed = comparisons.filter((c) => !meets(c, tolerances[precision]))
      expect(missed).toEqual([])
      if (precision === "f64") expect(worst(comparisons).error).toBeLessThanOrEqual(tolerances.f64)
    })

  const nets: [string, string, Partial<NativeSessionOptions>][] = [
    ["nasp12-all", "nasp12-all", { channels: 16 }],
    ["darts, partial channels", "darts", { channels: 64, partialChannels: 4 }],
    ["3x3 alone", "nasp12", { channels: 16, normal: ["conv_3x3", "conv_3x1_1x3"], reduce: ["conv_3x3"] }],
  ]
  test.each(nets)(
    "16 channels, %s: loss, logits and every gradient as on the chosen set",
    async (_, space, net) => {
      const reference = await stepOf(space, { ...net, isa: chosen, precision: "f64" })
      const exact = await stepOf(space, { ...net, isa, precision: "f64" })
      for (const [name, expected] of reference)
        expect(relativeError(expected, exact.get(name)!), name).toBeLessThan(1e-9)
      const single = await stepOf(space, { ...net, isa, precision: "f32" })
      for (const [name, expected] of reference) {
        // A ReLU's kink that float32 crosses moves some of a gradient, but no more than that.
        const limit = name === "loss" || name === "logits" ? 1e-4 : 1e-2
        expect(distance(expected, single.get(name)!), `f32 ${name}`).toBeLessThan(limit)
      }
    },
  )
})

/** |a - b| / |a| in the Euclidean norm. */
function distance(expected: ArrayLike<number>, actual: ArrayLike<number>): number {
  let [squares, all] = [0, 0]
  for (let i = 0; i < expected.length; i++) {
    squares += (expected[i]! - actual[i]!) ** 2
    all += expected[i]! ** 2
  }
  return Math.sqrt(squares / Math.max(all, 1e-12))
}

/** What the two steps tell: losses, logits, gradients of alpha and of the weights, running statistics. */
async function stepOf(
  space: string,
  net: Partial<NativeSessionOptions> & { isa: string; precision: Precision },
): Promise<Map<string, ArrayLike<number>>> {
  const session = made(makeSession(space, { batch: 3, imageSize: 16, ...net }))
  const told = new Map<string, ArrayLike<number>>()
  session.discretise({ ...discrete, edges: "all", value: "kept" })
  const alpha = await session.architectureGradient(loadBatch(session, 0))
  for (const type of ["normal", "reduce"]) told.set(type, numbers(session, `grad.alphas_${type}`))
  const step = await session.weightStep(loadBatch(session, 1), { ...weightUpdate, apply: false })
  told.set("loss", [alpha.loss, step.loss])
  told.set("logits", [...alpha.logits, ...step.logits])
  for (const { name, group } of session.tensors()) {
    if (group === "parameter") told.set(`grad.${name}`, numbers(session, `grad.${name}`))
    if (group === "buffer") told.set(name, numbers(session, name))
  }
  return told
}
