/** Every case of the table against the reference: both precisions, every instruction set here, 1 and 3 threads. */
import { describe, expect, test } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import { loadNative, type OperationResult, type Precision } from "../../src/native.js"
import { parameterShapes, referenceOperation } from "../reference/operations.js"
import { operationCases } from "./cases.js"

const addon = loadNative()
const sets = addon.info().available
const cases = operationCases(addon)

/** Sums of double precision in another order. */
const doubleTolerance = 1e-10

test("there is a baseline, and a case for every operation", () => {
  expect(sets.length).toBeGreaterThan(0)
  expect(new Set(cases.map((c) => c.request.op))).toEqual(new Set(addon.operations().map((o) => o.name)))
})

describe.each(addon.operations().map((o) => o.name))("%s", (op) => {
  const own = cases.filter((c) => c.request.op === op)

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

  test.each(own.map((c) => [c.name, c] as const))("%s", (_name, { request, tolerance }) => {
    const expected = referenceOperation(request)
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
  const { request } = cases.find((c) => c.request.op === "conv_3x3")!
  const expected = referenceOperation(request)
  expected.dx[3]! += 0.01
  const found = addon.runOperation({ ...request, precision: "f64" })
  expect(() => compare(found, expected, request.dy, doubleTolerance, "changed")).toThrow(/dx/)
})

test.each(["f32", "f64"] satisfies Precision[])(
  "an operation that does not exist is refused, %s",
  (precision) => {
    const { request } = cases[0]!
    expect(() => addon.runOperation({ ...request, op: "conv_9x9", precision })).toThrow(/conv_9x9/)
  },
)

function compare(
  found: OperationResult,
  expected: OperationResult,
  dy: Float64Array,
  limit: number,
  where: string,
) {
  expect(found.yShape, where).toEqual(expected.yShape)
  const pairs: [string, ArrayLike<number>, ArrayLike<number>][] = [
    ["y", expected.y, found.y],
    ["dx", expected.dx, found.dx],
  ]
  for (const group of ["dw", "buffers"] as const) {
    const byName = new Map(found[group].map((t) => [t.name, t]))
    expect([...byName.keys()].sort(), where).toEqual(expected[group].map((t) => t.name).sort())
    for (const { name, shape, data } of expected[group]) {
      expect(byName.get(name)!.shape, `${where} ${name}`).toEqual(shape)
      pairs.push([`${group} ${name}`, data, byName.get(name)!.data])
    }
  }
  for (const [name, want, have] of pairs) {
    expect(relativeError(want, have), `${name}, ${where}`).toBeLessThan(limit)
  }
  // Relative to what the sum would be if nothing cancelled.
  const size = expected.y.reduce((sum, v, i) => sum + Math.abs(v * dy[i]!), 0)
  expect(Math.abs(found.probe - expected.probe), `probe, ${where}`).toBeLessThanOrEqual(
    limit * Math.max(size, 1e-2),
  )
}

function sameBits(a: OperationResult, b: OperationResult, where: string) {
  const all = (r: OperationResult) => [
    r.y,
    r.dx,
    Float64Array.of(r.probe),
    ...r.dw.map((t) => t.data),
    ...r.buffers.map((t) => t.data),
  ]
  all(a).forEach((values, i) => {
    const other = all(b)[i]!
    expect(
      Buffer.from(values.buffer).equals(Buffer.from(other.buffer)),
      `same bits, ${where}, tensor ${i}`,
    ).toBe(true)
  })
}
