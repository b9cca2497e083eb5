/**
 * Weights as PyTorch draws them: convolutions and the linear layer uniform in +-1 / sqrt(fan in), the linear layer's bias
 * too; BatchNorm's are 1 and 0, its running statistics 0 and 1.
 */
import { describe, expect, test } from "vitest"

import type { NativeSession } from "../../src/native.js"
import { random } from "../reference/map.js"
import { makeSession, numbers, sameBits } from "./sessions.js"

const open = (seed = 1) =>
  makeSession("nasp12-all", { channels: 16, precision: "f32", batch: 1, classes: 100, seed })

interface Drawn {
  name: string
  values: Float64Array
  fanIn: number
}

/** Convolutions' and the classifier's weights, and the classifier's bias, which has its weight's fan in. */
function drawn(session: NativeSession): Drawn[] {
  const parameters = session.tensors().filter(({ group }) => group === "parameter")
  const features = parameters.find(({ name }) => name === "classifier.weight")!.shape[1]!
  return parameters.flatMap(({ name, shape }) => {
    if (shape.length === 1 && name !== "classifier.bias") return []
    // of a grouped convolution: the second dimension is the channels of a group
    const fanIn = name === "classifier.bias" ? features : shape.slice(1).reduce((a, b) => a * b, 1)
    return [{ name, values: numbers(session, name), fanIn }]
  })
}

describe("fan in", () => {
  test("every weight is below its bound, and large tensors fill it evenly", () => {
    const session = open()
    try {
      let large = 0
      for (const { name, values, fanIn } of drawn(session)) {
        const bound = 1 / Math.sqrt(fanIn)
        const largest = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
        expect(largest, name).toBeLessThanOrEqual(Math.fround(bound))
        if (values.length < 2000) continue
        large++
        const mean = values.reduce((a, b) => a + b, 0) / values.length
        const variance = values.reduce((sum, v) => sum + v * v, 0) / values.length
        // Of 2,000 to 37,000 uniform numbers: four deviations.
        const off = 4 / Math.sqrt(values.length)
        expect(largest / bound, name).toBeGreaterThan(0.99)
        expect(Math.abs(mean) / bound, name).toBeLessThan(off * Math.sqrt(1 / 3))
        expect(Math.abs((3 * variance) / bound ** 2 - 1), name).toBeLessThan(off * Math.sqrt(4 / 5))
      }
      expect(large).toBeGreaterThan(50)
    } finally {
      session.dispose()
    }
  })

  test("the linear layer's bias fills its weight's bound", () => {
    const session = open()
    try {
      const of = (name: string) => drawn(session).find((d) => d.name === `classifier.${name}`)!
      expect(of("weight").values).toHaveLength(100 * 256)
      const bias = of("bias").values
      expect(bias.reduce((a, b) => Math.max(a, Math.abs(b)), 0) * 16).toBeGreaterThan(0.9)
      expect(bias.filter((v) => v < 0).length).toBeGreaterThan(30)
      expect(bias.filter((v) => v > 0).length).toBeGreaterThan(30)
    } finally {
      session.dispose()
    }
  })

  test("depthwise kernels, which are small: all of a kind together", () => {
    const session = open()
    try {
      const all = drawn(session)
      for (const fanIn of [9, 25, 49]) {
        const scaled = all
          .filter((d) => d.fanIn === fanIn)
          .flatMap((d) => [...d.values.map((v) => v * Math.sqrt(fanIn))])
        expect(scaled.length, `${fanIn}`).toBeGreaterThan(5000)
        const variance = scaled.reduce((sum, v) => sum + v * v, 0) / scaled.length
        expect(Math.abs(3 * variance - 1), `${fanIn}`).toBeLessThan(0.05)
      }
    } finally {
      session.dispose()
    }
  })
})

test("BatchNorm begins as nothing but its normalisation", () => {
  const session = open()
  try {
    const starts: Record<string, number> = { weight: 1, bias: 0, running_mean: 0, running_var: 1 }
    let seen = 0
    for (const { name, group, shape } of session.tensors()) {
      if ((group !== "parameter" && group !== "buffer") || shape.length > 1 || name === "classifier.bias")
        continue
      const start = starts[name.split(".").at(-1)!]
      expect(start, name).toBeDefined()
      expect(new Set(session.read(name)), name).toEqual(new Set([start]))
      seen++
    }
    expect(seen).toBeGreaterThan(100)
    for (const { name } of session.tensors().filter(({ group }) => group === "momentum" || group === "adam"))
      expect(
        session.read(name).every((v) => v === 0),
        name,
      ).toBe(true)
  } finally {
    session.dispose()
  }
})

test("no two tensors and no two seeds are alike", () => {
  const [session, other, again] = [open(1), open(2), open(1)]
  try {
    const first = drawn(session)
    // Scaled, so that tensors of different bounds would be found out, too.
    const heads = first
      .filter(({ values }) => values.length >= 8)
      .map(({ values, fanIn }) =>
        [...values.subarray(0, 8)].map((v) => (v * Math.sqrt(fanIn)).toFixed(4)).join(),
      )
    expect(new Set(heads).size).toBe(heads.length)
    const pick = random("tensors")
    for (const { name } of first) {
      if (pick.uniform() > 0.2) continue
      expect(sameBits(session.read(name), other.read(name)), name).toBe(false)
      expect(sameBits(session.read(name), again.read(name)), name).toBe(true)
    }
  } finally {
    for (const s of [session, other, again]) s.dispose()
  }
})
