/** Every case of the table against the reference: both precisions, every instruction set here, 1 and 3 threads. */
import { describe, expect, test } from "vitest"

import { loadNative, type Precision } from "../../src/native.js"
import { parameterShapes } from "../reference/operations.js"
import { makeCase, operationCases, type CaseRequest } from "./cases.js"
import { compare, sameBits } from "./compare.js"

const addon = loadNative()
const sets = addon.info().available
const cases = operationCases(addon)

/** Sums of double precision in another order. */
const doubleTolerance = 1e-10

test("there is a baseline, and a case for every operation", () => {
  expect(sets.length).toBeGreaterThan(0)
  expect(new Set(cases.map((c) => c.op))).toEqual(new Set(addon.operations().map((o) => o.name)))
})

describe.each(addon.operations().map((o) => o.name))("%s", (op) => {
  const own = cases.filter((c) => c.op === op)

  test.each([1, 2] as const)("names and shapes are the reference's, stride %i", (stride) => {
    for (const [affine, searchPools] of [
      [false, false],
      [true, false],
      [false, true],
    ] as const) {
      const tensors = addon.operationTensors(op, 6, stride, affine, searchPools)
      const expected = parameterShapes({ op, channels: 6, stride, affine, searchPools })
      expect(new Map(tensors.map((t) => [t.name, t.shape]))).toEqual(
        new Map(expected.map((t) => [t.name, t.shape])),
      )
    }
  })

  test.each(own.map((c) => [c.name, c] as const))("%s", (_name, { draw, tolerance }) => {
    const { request, expected } = draw()
    const before = structuredClone(request)
    for (const isa of sets) {
      for (const precision of ["f32", "f64"] as const) {
        const one = addon.runOperation({ ...request, precision, isa, threads: 1 })
        const limit = precision === "f32" ? tolerance : doubleTolerance
        compare(one, expected, request.dy, limit, `${isa} ${precision}`)
        sameBits(addon.runOperation({ ...request, precision, isa, threads: 3 }), one, `${isa} ${precision}`)
      }
    }
    expect(request).toEqual(before)
  })
})

test("a wrong expectation is noticed", () => {
  const { request, expected } = cases.find((c) => c.op === "conv_3x3")!.draw()
  expected.dx[3]! += 0.01
  const found = addon.runOperation({ ...request, precision: "f64" })
  expect(() => compare(found, expected, request.dy, doubleTolerance, "changed")).toThrow(/dx/)
})

test.each(["max_pool_3x3", "max_pool_5x5", "max_pool_7x7"])("%s keeps a NaN", (op) => {
  const holes = {
    ...{ name: "three NaN", tolerance: 0 },
    change: ({ x }: CaseRequest) => [8, 17, x.length - 1].forEach((i) => (x[i] = NaN)), // two windows apart, and at the end
  }
  for (const stride of [1, 2] as const) {
    const size = { batch: 20, channels: 6, height: 5, width: 7 }
    const { request, expected } = makeCase(addon, op, stride, size, { special: holes }).draw()
    expect(expected.y.filter(Number.isNaN).length).toBeGreaterThan(4)
    for (const isa of sets) {
      const found = addon.runOperation({ ...request, precision: "f64", isa })
      expect([...found.y].map(Number.isNaN), isa).toEqual([...expected.y].map(Number.isNaN))
      expect(
        found.dx.findIndex((v, i) => !(Math.abs(v - expected.dx[i]!) < doubleTolerance)),
        isa,
      ).toBe(-1)
    }
  }
})

test.each(["f32", "f64"] satisfies Precision[])(
  "an operation that does not exist is refused, %s",
  (precision) => {
    const { request } = cases[0]!.draw()
    expect(() => addon.runOperation({ ...request, op: "conv_9x9", precision })).toThrow(/conv_9x9/)
  },
)
