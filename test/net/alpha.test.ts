/** From alpha to the discrete matrix and back: ties, edges, the fused update against plain Adam and SGD. */
import { describe, expect, test } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import type { AlphaUpdateOptions, DiscretiseOptions, NativeSession } from "../../src/native.js"
import { random } from "../reference/map.js"
import { alphaUpdate, discrete, loadBatch, makeSession } from "./sessions.js"

const names = ["alphas_normal", "alphas_reduce"] as const
// Row r's node: node i has i + 2 rows.
const nodeOf = [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3]

/** Row by row the column that is not 0, or -1. */
function selection(session: NativeSession, name: string): number[] {
  const matrix = session.read(`selected.${name}`)
  const columns = matrix.length / 14
  return nodeOf.map((_, r) => {
    const on = [...matrix.subarray(r * columns, (r + 1) * columns)].flatMap((v, k) => (v === 0 ? [] : [k]))
    expect(on.length).toBeLessThanOrEqual(1)
    return on[0] ?? -1
  })
}

function withSession<T>(action: (session: NativeSession) => T): T {
  const session = makeSession("nasp12")
  const done = action(session)
  if (done instanceof Promise) return done.finally(() => session.dispose()) as T
  session.dispose()
  return done
}

test("ties go to the first operation and the first two edges", () =>
  withSession((session) => {
    for (const name of names) session.write(name, session.read(name).fill(0.5))
    session.discretise(discrete)
    for (const name of names) {
      expect(selection(session, name)).toEqual([0, 0, 0, 0, -1, 0, 0, -1, -1, 0, 0, -1, -1, -1])
    }
    session.discretise({ ...discrete, edges: "all", value: "kept" })
    expect(selection(session, "alphas_normal")).toEqual(nodeOf.map(() => 0))
    expect(session.read("selected.alphas_normal")[0]).toBe(0.5)
  }))

test("a node keeps the two edges with the largest maximum, whatever their operation", () =>
  withSession((session) => {
    const alpha = session.read("alphas_normal").fill(0.25)
    const put = (row: number, column: number, value: number) => (alpha[row * 8 + column] = value)
    put(3, 7, 0.5)
    put(4, 2, 0.75)
    put(8, 1, 0.3125)
    put(9, 3, 0.5)
    put(13, 4, 0.5)
    put(13, 5, 0.5)
    session.write("alphas_normal", alpha)
    session.discretise({ ...discrete, value: "kept" })
    expect(selection(session, "alphas_normal")).toEqual([0, 0, -1, 7, 2, 0, -1, -1, 1, 3, -1, -1, -1, 4])
    expect(session.read("selected.alphas_normal")[4 * 8 + 2]).toBe(0.75)
  }))

test("NaN is below every number", () =>
  withSession((session) => {
    const alpha = session.read("alphas_normal").fill(0.25)
    alpha[4 * 8] = NaN // the first of a row
    alpha.fill(NaN, 0, 8) // an edge of the first node, whose both edges are kept
    alpha.fill(NaN, 2 * 8, 4 * 8) // two of the second node's three
    session.write("alphas_normal", alpha)
    session.discretise(discrete)
    expect(selection(session, "alphas_normal").slice(0, 5)).toEqual([0, 0, 0, -1, 1])
  }))

test("a matrix whose gradient is not finite stays as it is, its moments too", () =>
  withSession((session) => {
    session.discretise(discrete)
    const read = (name: string) => ["", "adam.first.", "adam.second."].map((of) => session.read(of + name))
    for (const [wrong, other, value] of [
      [names[0], names[1], NaN],
      [names[1], names[0], -Infinity],
    ] as const) {
      const before = read(wrong)
      const moved = read(other)
      for (const name of names) session.write(`grad.${name}`, session.read(name).fill(0.5))
      session.write(`grad.${wrong}`, session.read(wrong).fill(0.5).fill(value, 69, 70))
      session.updateAlpha({ ...alphaUpdate, lr: 0.01 })
      expect(read(wrong)).toEqual(before)
      read(other).forEach((after, i) => expect(after).not.toEqual(moved[i]))
    }
  }))

test("epsilon draws operations at random, by the counter", () =>
  withSession((session) => {
    const drawn = (counter: number) => {
      session.discretise({ ...discrete, edges: "all", epsilon: 1, counter })
      return selection(session, "alphas_normal")
    }
    const first = drawn(1)
    expect(drawn(1)).toEqual(first)
    const all = [1, 2, 3, 4, 5, 6].flatMap(drawn)
    expect(new Set(all)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7]))
    session.discretise({ ...discrete, edges: "all", epsilon: 0, counter: 1 })
    const greedy = selection(session, "alphas_normal")
    session.discretise({ ...discrete, edges: "all", epsilon: 0, counter: 2 })
    expect(selection(session, "alphas_normal")).toEqual(greedy)
  }))

test("of random operations a node keeps the two rows whose own entries are largest", () =>
  withSession((session) => {
    const alpha = random("drawn").normals(14 * 8, 1)
    session.write("alphas_normal", Float64Array.from(alpha))
    let greedy = 0 // rows kept that the rows' largest entries would keep too
    for (let counter = 0; counter < 20; counter++) {
      session.discretise({ ...discrete, edges: "all", epsilon: 1, counter })
      const drawn = selection(session, "alphas_normal")
      session.discretise({ ...discrete, epsilon: 1, counter })
      const kept = selection(session, "alphas_normal")
      const strength = drawn.map((operation, row) => alpha[row * 8 + operation]!)
      for (const node of new Set(nodeOf)) {
        const rows = nodeOf.flatMap((of, row) => (of === node ? [row] : []))
        const strongest = [...rows].sort((a, b) => strength[b]! - strength[a]!).slice(0, 2)
        for (const row of rows) expect(kept[row]).toBe(strongest.includes(row) ? drawn[row] : -1)
        const largest = (row: number) => Math.max(...alpha.slice(8 * row, 8 * row + 8))
        const others = [...rows].sort((a, b) => largest(b) - largest(a)).slice(0, 2)
        greedy += Number(String(others.sort()) === String(strongest.sort()))
      }
    }
    expect(greedy).toBeLessThan(60) // of 80; node 0 keeps both of its rows anyway
  }))

// A fresh draw a counter: with probability epsilon every row takes a random operation, each cell type by draws of its own.
test("epsilon is how often a selection is drawn and not greedy", () =>
  withSession((session) => {
    session.discretise(discrete)
    const greedy = names.map((name) => selection(session, name))
    const times = 400
    const differ = names.map(() => 0)
    for (let counter = 0; counter < times; counter++) {
      session.discretise({ ...discrete, epsilon: 0.25, counter })
      names.forEach((name, which) => {
        differ[which]! += Number(String(selection(session, name)) !== String(greedy[which]))
      })
    }
    for (const count of differ) {
      expect(count).toBeGreaterThan(60) // 100 +- 9 are expected
      expect(count).toBeLessThan(140)
    }
  }))

interface Moments {
  m: number
  v: number
}

/** One entry's step with coupled weight decay: PyTorch's Adam, or its SGD without momentum. */
function stepped(a: number, g: number, moments: Moments, t: number, o: AlphaUpdateOptions): number {
  const gradient = g + o.weightDecay * a
  if (o.optimizer === "sgd") return a - o.lr * gradient
  moments.m = o.beta1 * moments.m + (1 - o.beta1) * gradient
  moments.v = o.beta2 * moments.v + (1 - o.beta2) * gradient * gradient
  const denominator = Math.sqrt(moments.v) / Math.sqrt(1 - o.beta2 ** t) + o.eps
  return a - ((o.lr / (1 - o.beta1 ** t)) * moments.m) / denominator
}

const box = (a: number) => Math.min(1, Math.max(0, a))

/** Proposition 1: each row's first maximum, at its own value in the box or 1, in the two rows of a node where it is largest. */
function proximal(alpha: number[], value: DiscretiseOptions["value"]): number[] {
  const columns = alpha.length / nodeOf.length
  const rows = nodeOf.map((node, r) => {
    const row = alpha.slice(r * columns, (r + 1) * columns)
    const top = Math.max(...row)
    return { node, at: r * columns + row.indexOf(top), top }
  })
  const d = alpha.map(() => 0)
  for (const node of new Set(nodeOf)) {
    const ranked = rows.filter((row) => row.node === node).sort((x, y) => y.top - x.top || x.at - y.at)
    for (const { at, top } of ranked.slice(0, 2)) d[at] = value === "one" ? 1 : box(top)
  }
  return d
}

const cost = [0, 0.125, 0.25, 0.0625, 0.25, 0.0625, 0.125, 0.125]
const regularised: Record<string, Partial<AlphaUpdateOptions>> = {
  "no regulariser": {},
  "on D, normal cell": { eta: 0.5, costNormal: cost },
  "on alpha, both cells": {
    eta: 0.5,
    costNormal: cost,
    costReduce: [0, 0.5, 0.25, 0.125, 0.125],
    costOn: "alpha",
  },
}

const optimizers: [string, Partial<AlphaUpdateOptions>][] = [
  ["Adam", { optimizer: "adam", lr: 0.3 }],
  ["SGD", { optimizer: "sgd", lr: 20 }],
]
// What is left out is the default: box, Adam.
const projections: [string, Partial<AlphaUpdateOptions>][] = [
  ["clip to [0, 1]", {}],
  ["as it is", { projection: "none" }],
  ["discrete itself", { projection: "discrete" }],
]

describe.each(optimizers)("the update is gradient + regulariser, %s", (optimizer, ofOptimizer) => {
  describe.each(projections)("%s, discretise", (_, ofProjection) => {
    test.each(
      Object.entries(regularised).flatMap(([name, changes]) =>
        (["one", "kept"] as const).map(
          (value) => [`${name}; entries of D: ${value}`, changes, value] as const,
        ),
      ),
    )("%s", (_name, changes, value) =>
      withSession(async (session) => {
        const discretise = { ...discrete, value }
        const options = { ...alphaUpdate, ...changes, ...ofOptimizer, ...ofProjection, discretise }
        if (optimizer === "Adam" && options.projection === undefined) delete options.optimizer
        const moments = names.map((name) => [...session.read(name)].map(() => ({ m: 0, v: 0 })))
        session.discretise(discretise)
        let left = 0 // entries that the step took out of [0, 1]
        let outside = 0 // and that stayed there
        let clipped = 0
        for (let t = 1; t <= 3; t++) {
          await session.architectureGradient(loadBatch(session, t))
          const expected = names.map((name, which) => {
            const costs = [options.costNormal, options.costReduce][which]!
            const on = session.read(options.costOn === "alpha" ? name : `selected.${name}`)
            const gradient = session.read(`grad.${name}`)
            const after = [...session.read(name)].map((a, i) => {
              const extra = costs.length > 0 ? 2 * options.eta * costs[i % costs.length]! * on[i]! : 0
              return stepped(a, gradient[i]! + extra, moments[which]![i]!, t, options)
            })
            left += after.filter((a) => a !== box(a)).length
            const alpha = options.projection === undefined ? after.map(box) : after
            const d = proximal(alpha, value)
            return options.projection === "discrete" ? { alpha: d, d } : { alpha, d }
          })
          session.updateAlpha(options)
          names.forEach((name, which) => {
            const { alpha, d } = expected[which]!
            expect(relativeError(alpha, session.read(name)), name).toBeLessThan(1e-12)
            expect(relativeError(d, session.read(`selected.${name}`)), name).toBeLessThan(1e-12)
            if (options.projection === "discrete")
              expect(session.read(name)).toEqual(session.read(`selected.${name}`))
            for (const [moment, key] of [
              ["first", "m"],
              ["second", "v"],
            ] as const) {
              const wanted = moments[which]!.map((of) => of[key])
              expect(relativeError(wanted, session.read(`adam.${moment}.${name}`)), name).toBeLessThan(1e-12)
            }
            clipped += alpha.filter((a) => a === 0 || a === 1).length
            outside += alpha.filter((a) => a !== box(a)).length
          })
          expect([...session.read("adam.step")]).toEqual([optimizer === "Adam" ? t : 0])
          const now = names.map((name) => selection(session, name))
          if (options.projection !== "discrete") {
            session.discretise(discretise)
            expect(names.map((name) => selection(session, name))).toEqual(now)
          }
        }
        expect(left).toBeGreaterThan(20)
        if (options.projection === "none") expect(outside).toBe(left)
        else {
          expect(outside).toBe(0)
          expect(clipped).toBeGreaterThan(0)
        }
      }),
    )
  })
})
