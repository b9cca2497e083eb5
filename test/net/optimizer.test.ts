/**
 * The weights' step against torch.optim.SGD and clip_grad_norm_, parameter by parameter, from the gradients and the
 * momentum that the session tells:
 *   s = min(1, clip / (norm + 1e-6)) g + decay w;  m = momentum m + s;  w -= lr (nesterov ? s + momentum m : m)
 */
import { expect, test } from "vitest"

import type { NativeSession, WeightUpdateOptions } from "../../src/native.js"
import { discrete, loadBatch, makeSession, numbers, weightUpdate } from "./sessions.js"

const base: WeightUpdateOptions = { ...weightUpdate, lr: 0.1, momentum: 0.9, weightDecay: 0.02 }
const large = 1e6

interface State {
  weights: Float64Array
  momentum: Float64Array
  gradient: Float64Array
}

function stateOf(session: NativeSession, names: string[]): Map<string, State> {
  return new Map(
    names.map((name) => [
      name,
      {
        weights: numbers(session, name),
        momentum: numbers(session, `momentum.${name}`),
        gradient: numbers(session, `grad.${name}`),
      },
    ]),
  )
}

const largestDifference = (a: Float64Array, b: Float64Array) =>
  a.reduce((largest, v, i) => Math.max(largest, Math.abs(v - b[i]!)), 0)

const variants: [string, Partial<WeightUpdateOptions>][] = [
  ["clipped", { clip: 0.05 }],
  ["clipped, Nesterov", { clip: 0.05, nesterov: true }],
  ["a norm below the clip", { clip: large }],
  ["a norm below the clip, Nesterov", { clip: large, nesterov: true }],
  ["not clipped", { clip: 0 }],
  ["without momentum", { clip: 0.05, momentum: 0 }],
  ["unselected weights decayed", { clip: 0.05, unselected: "decayed" }],
  ["unselected weights decayed, Nesterov", { clip: 0.05, unselected: "decayed", nesterov: true }],
]

test.each(variants)("%s", async (_, changes) => {
  const options = { ...base, ...changes }
  const session = makeSession("nasp12")
  try {
    session.discretise(discrete)
    const names = session.tensors().flatMap(({ name, group }) => (group === "parameter" ? [name] : []))
    const still = { selected: 0, unselected: 0 }
    for (let step = 0; step < 3; step++) {
      const ticket = loadBatch(session, step)
      const { gradientNorm } = await session.weightStep(ticket, { ...options, apply: false, keepBatch: true })
      const before = stateOf(session, names)
      let squares = 0
      for (const { gradient } of before.values()) for (const g of gradient) squares += g * g
      const norm = Math.sqrt(squares)
      expect(Math.abs(gradientNorm / norm - 1)).toBeLessThan(1e-12)
      const { clip, weightDecay, momentum: mu, lr, nesterov } = options
      const scale = clip > 0 ? Math.min(1, clip / (norm + 1e-6)) : 1
      expect(scale < 0.5).toBe(clip > 0 && clip < large)

      expect((await session.weightStep(ticket, options)).gradientNorm).toBe(gradientNorm)
      for (const [name, { weights: w, momentum: m, gradient: g }] of before) {
        const hasGradient = g.some((v) => v !== 0)
        const steps = options.unselected === "decayed" || hasGradient
        const s = g.map((v, i) => scale * v + weightDecay * w[i]!)
        const momentum = steps ? m.map((v, i) => mu * v + s[i]!) : m
        const weights = steps
          ? w.map((v, i) => v - lr * (nesterov ? s[i]! + mu * momentum[i]! : momentum[i]!))
          : w
        expect(largestDifference(numbers(session, `momentum.${name}`), momentum), name).toBeLessThan(1e-12)
        expect(largestDifference(numbers(session, name), weights), name).toBeLessThan(1e-12)
        if (!hasGradient) still.unselected++
        else if (largestDifference(w, weights) > 1e-6) still.selected++
      }
    }
    // Both kinds of parameters were there.
    expect(still.selected).toBeGreaterThan(50)
    expect(still.unselected).toBeGreaterThan(500)
  } finally {
    session.dispose()
  }
})

test("momentum of an operation that is no longer selected: kept, or run down", async () => {
  for (const unselected of ["skipped", "decayed"] as const) {
    const session = makeSession("nasp12")
    try {
      const options = { ...base, unselected, clip: 0 }
      session.discretise(discrete)
      await session.weightStep(loadBatch(session, 0), options)
      const moving = session
        .tensors()
        .flatMap(({ name }) =>
          name.startsWith("momentum.cells.") && name.includes("._ops.") ? [name.slice(9)] : [],
        )
        .filter((name) => numbers(session, `grad.${name}`).some((g) => g !== 0))
      expect(moving.length).toBeGreaterThan(10)
      // Another selection: alpha mirrored about 0.5.
      for (const name of ["alphas_normal", "alphas_reduce"])
        session.write(
          name,
          numbers(session, name).map((a) => 1 - a),
        )
      session.discretise(discrete)
      const before = stateOf(session, moving)
      await session.weightStep(loadBatch(session, 1), options)
      let seen = 0
      for (const [name, { weights, momentum }] of before) {
        if (numbers(session, `grad.${name}`).some((g) => g !== 0)) continue
        seen++
        const now = { weights: numbers(session, name), momentum: numbers(session, `momentum.${name}`) }
        if (unselected === "skipped") expect(now, name).toEqual({ weights, momentum })
        else {
          const m = momentum.map((v, i) => 0.9 * v + 0.02 * weights[i]!)
          expect(largestDifference(now.momentum, m), name).toBeLessThan(1e-15)
          const w = weights.map((v, i) => v - 0.1 * m[i]!)
          expect(largestDifference(now.weights, w), name).toBeLessThan(1e-15)
        }
      }
      expect(seen).toBeGreaterThan(5)
    } finally {
      session.dispose()
    }
  }
})
