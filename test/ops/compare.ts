/** An operation's result against the reference's, and two results against each other. */
import { expect } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import type { OperationResult } from "../../src/native.js"

/** Every tensor within `limit` of its largest magnitude. */
export function compare(
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

export function sameBits(a: OperationResult, b: OperationResult, where: string) {
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
