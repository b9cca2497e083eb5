/** The mixture entry by entry: gradients of any weights, uses, partial channels, skip dropout, sums over nodes. */
import { expect, test } from "vitest"

import { use, type NativeSession, type NativeSessionOptions } from "../../src/native.js"
import { random } from "../reference/map.js"
import { loadBatch, makeSession, numbers, values, weightUpdate } from "./sessions.js"

const types = ["normal", "reduce"] as const
const h = 1e-6
const limit = 1e-5

interface Mixture {
  weight: Float64Array
  use: Uint8Array
}
type Mixtures = Record<(typeof types)[number], Mixture>

/** Random weights; a third of the entries probed, a sixth absent. */
function drawMixtures(session: NativeSession, seed: string): Mixtures {
  const draw = random(seed)
  const of = (type: (typeof types)[number]): Mixture => {
    const size = 14 * session.options[type].length
    const uses = Uint8Array.from({ length: size }, () => {
      const u = draw.uniform()
      return u < 1 / 6 ? use.absent : u < 1 / 2 ? use.probed : use.propagated
    })
    const weight = draw.normals(size, 0.3).map((w, i) => (uses[i] === use.propagated ? 0.3 + w : 0))
    return { weight: Float64Array.from(weight), use: uses }
  }
  return { normal: of("normal"), reduce: of("reduce") }
}

function mix(session: NativeSession, mixtures: Mixtures): void {
  for (const type of types) session.setMixture(type, mixtures[type].weight, mixtures[type].use)
}

const keep = { keepStatistics: true }
const lossOf = async (session: NativeSession) =>
  (await session.architectureGradient(loadBatch(session, 0), keep)).loss

async function withSession(
  space: string,
  options: Partial<NativeSessionOptions>,
  action: (session: NativeSession) => Promise<void>,
): Promise<void> {
  const session = makeSession(space, options)
  try {
    await action(session)
  } finally {
    session.dispose()
  }
}

/** dL/dentry of every `step`-th entry against central differences; absent ones have none. */
async function checkEntries(session: NativeSession, mixtures: Mixtures, step: number): Promise<void> {
  mix(session, mixtures)
  await session.architectureGradient(loadBatch(session, 0), keep)
  for (const type of types) {
    const gradient = numbers(session, `grad.alphas_${type}`)
    const largest = gradient.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
    for (let i = 0; i < gradient.length; i += step) {
      if (mixtures[type].use[i] === use.absent) {
        expect(gradient[i], `${type} ${i}`).toBe(0)
        continue
      }
      const at = async (side: number) => {
        const moved = { weight: mixtures[type].weight.slice(), use: mixtures[type].use.slice() }
        moved.weight[i]! += side * h
        moved.use[i] = use.propagated
        session.setMixture(type, moved.weight, moved.use)
        return lossOf(session)
      }
      const expected = ((await at(1)) - (await at(-1))) / (2 * h)
      session.setMixture(type, mixtures[type].weight, mixtures[type].use)
      expect(Math.abs(gradient[i]! - expected), `${type} ${i}`).toBeLessThan(limit * largest)
    }
  }
}

test.each(["nasp12", "darts"])("dL/dmixture of any weights, propagated, probed and absent: %s", (space) =>
  withSession(space, {}, (session) => checkEntries(session, drawMixtures(session, "mixture"), 5)),
)

test("the same behind partial channels, and dL/dbypass", () =>
  withSession("darts", { channels: 8, partialChannels: 4 }, async (session) => {
    const draw = random("bypass")
    const bypass = { normal: draw.normals(14), reduce: draw.normals(14) }
    for (const type of types) session.setBypass(type, Float64Array.from(bypass[type]))
    const mixtures = drawMixtures(session, "partial")
    await checkEntries(session, mixtures, 9)
    await session.architectureGradient(loadBatch(session, 0), keep)
    const gradients = types.map((type) => numbers(session, `grad.bypass.alphas_${type}`))
    for (const [which, type] of types.entries()) {
      const largest = gradients[which]!.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
      for (let e = 0; e < 14; e++) {
        const at = async (side: number) => {
          const moved = Float64Array.from(bypass[type])
          moved[e]! += side * h
          session.setBypass(type, moved)
          return lossOf(session)
        }
        const expected = ((await at(1)) - (await at(-1))) / (2 * h)
        session.setBypass(type, Float64Array.from(bypass[type]))
        expect(Math.abs(gradients[which]![e]! - expected), `${type} ${e}`).toBeLessThan(limit * largest)
      }
    }
  }))

test("weight gradients behind partial channels and skip dropout", () =>
  withSession("darts", { channels: 8, partialChannels: 4 }, async (session) => {
    for (const type of types) session.setBypass(type, new Float64Array(14).fill(0.4))
    mix(session, drawMixtures(session, "weights"))
    session.skipDropout(0.4, 9) // a mask without a kink within h
    const loss = async () =>
      (await session.weightStep(loadBatch(session, 0), { ...weightUpdate, apply: false })).loss
    await loss()
    const names = session
      .tensors()
      .filter((t) => t.group === "parameter")
      .map((t) => t.name)
      .filter((name) => !name.includes("_ops") || random(name).uniform() < 0.05)
    const gradients = new Map(names.map((name) => [name, numbers(session, `grad.${name}`)]))
    for (const [name, gradient] of gradients) {
      const start = numbers(session, name)
      const direction = random(name).normals(start.length)
      const at = async (side: number) => {
        session.write(
          name,
          start.map((v, i) => v + side * h * direction[i]!),
        )
        return loss()
      }
      const expected = ((await at(1)) - (await at(-1))) / (2 * h)
      session.write(name, start)
      const along = gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0)
      expect(Math.abs(along - expected), name).toBeLessThan(limit * Math.max(Math.abs(expected), 0.01))
    }
  }))

test("skip dropout: a mask a counter, none in evaluation, gradients through it", () =>
  withSession("darts7", {}, async (session) => {
    const mixtures = drawMixtures(session, "dropout")
    mix(session, mixtures)
    const plain = await lossOf(session)
    session.skipDropout(0.5, 1)
    const first = await lossOf(session)
    session.skipDropout(0.5, 2)
    const second = await lossOf(session)
    session.skipDropout(0.5, 1)
    expect(await lossOf(session)).toBe(first)
    expect(new Set([plain, first, second]).size).toBe(3)
    const { normal, reduce } = session.options
    for (const [type, operations] of [
      ["normal", normal],
      ["reduce", reduce],
    ] as const)
      mixtures[type].use.forEach((of, i) => {
        // a probe measures the skip without its dropout
        if (operations[i % operations.length] === "skip_connect" && of === use.probed)
          mixtures[type].use[i] = use.propagated
      })
    await checkEntries(session, mixtures, 5)
    const evaluated = async () =>
      (await session.evaluate(loadBatch(session, 0), { batchStatistics: true })).loss
    const withDropout = await evaluated()
    session.skipDropout(0, 1)
    expect(await evaluated()).toBe(withDropout)
    expect(await lossOf(session)).toBe(plain)
  }))

test("sums of dL/dnode: in the last cell, where the classifier says them", () =>
  withSession("nasp12", {}, async (session) => {
    // Only edges from input 0: the last cell reads the cell before the last but one, and the last but one nothing.
    const classes = session.options.classes
    const mixture = (columns: number) => {
      const weight = new Float64Array(14 * columns)
      for (const row of [0, 2, 5, 9]) weight[row * columns + 1] = 1
      return { weight, use: Uint8Array.from(weight, (w) => (w === 0 ? use.absent : use.propagated)) }
    }
    mix(session, { normal: mixture(8), reduce: mixture(5) })
    const ticket = loadBatch(session, 0)
    const { logits, count } = await session.architectureGradient(ticket, { nodeSums: true, keepBatch: true })
    const weight = numbers(session, "classifier.weight") // (classes, 4 nodes * channels)
    const channels = weight.length / classes / 4
    const targets = (await targetsOf(session, ticket, count)) as number[]
    for (let node = 0; node < 4; node++) {
      let expected = 0
      for (let n = 0; n < count; n++) {
        const row = [...logits.subarray(n * classes, (n + 1) * classes)].map(Math.exp)
        const sum = row.reduce((a, b) => a + b, 0)
        for (let k = 0; k < classes; k++) {
          const d = (row[k]! / sum - (targets[n] === k ? 1 : 0)) / count
          for (let c = 0; c < channels; c++) expected += d * weight[k * 4 * channels + node * channels + c]!
        }
      }
      expect(numbers(session, "grad.nodes.alphas_reduce")[node]).toBeCloseTo(expected, 10)
    }
  }))

/** The batch's targets, from which one-hot classifier bias gradients follow: the series of sessions.ts, drawn again. */
async function targetsOf(session: NativeSession, ticket: number, count: number): Promise<number[]> {
  await session.evaluate(ticket)
  const draw = random("batch 0")
  draw.normals(count * session.options.imageChannels * session.options.imageSize ** 2)
  return Array.from({ length: count }, () => Math.floor(session.options.classes * draw.uniform()))
}

test("combinations of weight vectors, and their norm", () =>
  withSession("darts7-split", {}, async (session) => {
    const name = "stem.0.weight"
    const start = numbers(session, name)
    await session.weightStep(loadBatch(session, 0), { ...weightUpdate, apply: false, clip: 0 })
    const gradient = numbers(session, `grad.${name}`)
    session.combine("kept", { weights: 1 })
    session.combine("weights", { kept: 0.5, gradient: -2 })
    expect([...numbers(session, name)]).toEqual([...start].map((v, i) => 0.5 * v - 2 * gradient[i]!))
    session.combine("weights", { kept: 1 })
    expect(numbers(session, name)).toEqual(start)
    const all = session.tensors().filter((t) => t.group === "parameter")
    const squares = all.flatMap((t) => [...numbers(session, `grad.${t.name}`)].map((g) => g * g))
    expect(session.norm("gradient")).toBeCloseTo(Math.sqrt(squares.reduce((a, b) => a + b, 0)), 12)
    expect(() => session.combine("gradient", { weights: 1 })).toThrow(/another vector than gradient/)
    expect(() => session.norm("nothing")).toThrow(/weights, gradient, momentum, kept/)
  }))

test("a kept batch gives the same again, kept statistics stay", () =>
  withSession("darts7", { precision: "f32" }, async (session) => {
    mix(session, drawMixtures(session, "kept"))
    const buffers = () =>
      session
        .tensors()
        .filter((t) => t.group === "buffer")
        .map((t) => session.read(t.name))
    const before = buffers()
    const ticket = loadBatch(session, 0)
    const options = { keepBatch: true, keepStatistics: true }
    const first = await session.architectureGradient(ticket, options)
    expect((await session.architectureGradient(ticket, options)).loss).toBe(first.loss)
    expect(buffers()).toEqual(before)
    await session.architectureGradient(ticket)
    expect(buffers()).not.toEqual(before)
    await expect(session.architectureGradient(ticket)).rejects.toThrow(/ticket of a queued batch/)
  }))

test("rebuilding makes the net that a new session would", () =>
  withSession("darts7-split", { layers: 5, seed: 9 }, async (fresh) => {
    const session = makeSession("darts7-split", { seed: 2 })
    try {
      await session.weightStep(loadBatch(session, 0), weightUpdate)
      session.rebuild(5, 9)
      expect(session.options).toEqual(fresh.options)
      expect(session.tensors()).toEqual(fresh.tensors())
      for (const type of types) {
        fresh.write(
          `alphas_${type}`,
          values("f64", new Float64Array(session.read(`alphas_${type}`).length).fill(0.5)),
        )
      }
      for (const { name } of fresh.tensors().filter((t) => t.group !== "selection")) {
        expect(session.read(name), name).toEqual(fresh.read(name))
      }
    } finally {
      session.dispose()
    }
  }))

test("bad mixtures are refused", () =>
  withSession("darts7", {}, async (session) => {
    const whole = new Float64Array(98)
    expect(() => session.setMixture("normal", whole.slice(1), new Uint8Array(98))).toThrow(
      /98 entries for weight/,
    )
    expect(() => session.setMixture("normal", whole, new Uint8Array(98).fill(3))).toThrow(/0, 1 or 2/)
    expect(() => session.setMixture("x" as "normal", whole, new Uint8Array(98))).toThrow(/"reduce"/)
    expect(() => session.setBypass("normal", new Float64Array(3))).toThrow(/14 entries/)
    expect(() => session.skipDropout(1, 0)).toThrow(/below 1/)
    expect(() => session.rebuild(2, 0)).toThrow(/layers/)
    expect(() => makeSession("darts7", { channels: 6, partialChannels: 4 })).toThrow(/divide/)
    await Promise.resolve()
  }))
