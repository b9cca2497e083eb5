/**
 * Crossed products (native/backends/cpu/crossed.h), whatever this processor chooses: how much less near they are than
 * direct sums, and that zeros make zeros.
 */
import { describe, expect, test } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import { loadNative } from "../../src/native.js"
import { operationCases, type CaseRequest } from "./cases.js"

const addon = loadNative()
const { available } = addon.info()
// Direct and Winograd's forms, odd numbers of channels and of outputs beside full groups, several pieces.
const sizes = /35x6x8x8$|3x19x8x8$|2x16x12x64$|18x20x8x12$|2x72x4x16$/
const cases = operationCases(addon).filter(({ op, name }) => /conv/.test(op) && sizes.test(name))

const outputs = (request: CaseRequest, isa: string, precision: "f32" | "f64" = "f32") =>
  addon.runOperation({ ...request, precision, isa, threads: 1 }).y

test("there are convolutions of both strides", () => {
  expect(new Set(cases.map(({ op }) => op)).size).toBeGreaterThan(7)
  expect(new Set(cases.map(({ name }) => /stride \d/.exec(name)![0])).size).toBe(2)
})

describe.skipIf(!available.includes("zen4"))("zen4 beside avx512 (skipped without AVX-512)", () => {
  test.each(cases.map((c) => [c.name, c] as const))("%s", (_name, { draw }) => {
    const { request, expected } = draw()
    const [direct, crossed] = ["avx512", "zen4"].map((isa) =>
      relativeError(expected.y, outputs(request, isa)),
    )
    expect(crossed).not.toBe(direct)
    expect(crossed).toBeLessThan(3 * Math.max(direct!, 1e-7))
  })

  // The scale of weights expects inputs near 1. What is lost grows as inputs leave that, and no faster.
  test.each([1 / 64, 1 / 8, 8, 64])("inputs times %f", (factor) => {
    const limit = 5e-6 * Math.max(factor, 1 / factor)
    for (const { draw, name } of cases) {
      const { request } = draw()
      request.x.forEach((value, i) => (request.x[i] = factor * value))
      const error = relativeError(outputs(request, "zen4", "f64"), outputs(request, "zen4"))
      expect(error, name).toBeLessThan(limit)
    }
  })

  // Of weights: depthwise ones alone too, in front of a 1x1 that expects nothing then.
  test.each(["inputs", "weights", "depthwise weights"])(
    "%s of zeros make zeros, to the last bit",
    (zeros) => {
      for (const { draw, name } of cases.filter((c) => !c.name.includes("affine"))) {
        const { request } = draw()
        if (zeros === "inputs") request.x.fill(0)
        for (const { shape, data } of request.parameters ?? []) {
          if (zeros === "weights" || (zeros === "depthwise weights" && shape[1] === 1)) data.fill(0)
        }
        if (zeros === "depthwise weights" && !/sep_|dil_/.test(name)) continue
        const y = outputs(request, "zen4")
        expect(
          y.every((value) => value === 0),
          name,
        ).toBe(true)
      }
    },
  )
})
