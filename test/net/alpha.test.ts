/** From alpha to the discrete matrix and back: ties, edges, the fused update against plain Adam. */
import { describe, expect, test } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import type { AlphaUpdateOptions, NativeSession } from "../../src/native.js"
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

/** PyTorch's Adam with coupled weight decay, then the clip to [0, 1]. */
function adam(
  a: number,
  g: number,
  moments: { m: number; v: number },
  t: number,
  o: AlphaUpdateOptions,
): number {
  const gradient = g + o.weightDecay * a
  moments.m = o.beta1 * moments.m + (1 - o.beta1) * gradient
  moments.v = o.beta2 * moments.v + (1 - o.beta2) * gradient * gradient
  const denominator = Math.sqrt(moments.v) / Math.sqrt(1 - o.beta2 ** t) + o.eps
  return Math.min(1, Math.max(0, a - ((o.lr / (1 - o.beta1 ** t)) * moments.m) / denominator))
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

describe("the update is gradient + regulariser, Adam, clip to [0, 1], discretise", () => {
  test.each(Object.entries(regularised))("%s", (_name, changes) =>
    withSession(async (session) => {
      const options = { ...alphaUpdate, ...changes, lr: 0.3 }
      const moments = names.map((name) => [...session.read(name)].map(() => ({ m: 0, v: 0 })))
      session.discretise(discrete)
      let clipped = 0
      for (let t = 1; t <= 3; t++) {
        await session.architectureGradient(loadBatch(session, t))
        const expected = names.map((name, which) => {
          const costs = [options.costNormal, options.costReduce][which]!
          const on = session.read(options.costOn === "alpha" ? name : `selected.${name}`)
          const gradient = session.read(`grad.${name}`)
          return [...session.read(name)].map((a, i) => {
            const extra = costs.length > 0 ? 2 * options.eta * costs[i % costs.length]! * on[i]! : 0
            return adam(a, gradient[i]! + extra, moments[which]![i]!, t, options)
          })
        })
        session.updateAlpha(options)
        names.forEach((name, which) => {
          expect(relativeError(expected[which]!, session.read(name)), name).toBeLessThan(1e-12)
          const first = moments[which]!.map(({ m }) => m)
          expect(relativeError(first, session.read(`adam.first.${name}`)), name).toBeLessThan(1e-12)
          clipped += expected[which]!.filter((a) => a === 0 || a === 1).length
        })
        expect([...session.read("adam.step")]).toEqual([t])
        const now = names.map((name) => selection(session, name))
        session.discretise(discrete)
        expect(names.map((name) => selection(session, name))).toEqual(now)
      }
      expect(clipped).toBeGreaterThan(0)
    }),
  )
})
