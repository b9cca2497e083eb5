import { expect, test } from "vitest"

import { loadNative } from "../../src/native.js"
import { below, philox } from "../reference/philox.js"

const addon = loadNative()
const hex = (words: number[]) => words.map((word) => word.toString(16).padStart(8, "0")).join(" ")

test("the reference gives the known answers of Random123", () => {
  expect(hex(philox(0, 0, 0, 0))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8")
})

test("permutation is Fisher-Yates on the shuffle stream", () => {
  const [seed, substream, n] = [2 ** 40 + 7, 3, 23]
  const order = Array.from({ length: n }, (_, i) => i)
  for (let k = 0; k + 1 < n; k++) {
    const last = n - 1 - k
    const other = below(philox(seed, 3, substream, Math.floor(k / 4))[k % 4]!, last + 1)
    ;[order[last], order[other]] = [order[other]!, order[last]!]
  }
  expect([...addon.permutation(seed, substream, n)]).toEqual(order)
  expect([...addon.permutation(seed, substream, 0)]).toEqual([])
  expect([...addon.permutation(seed, substream, 1)]).toEqual([0])
})

test("normals are Box-Muller on the alpha stream", () => {
  const values = addon.normals(5, 1, 3)
  for (const [k, value] of values.entries()) {
    const words = philox(5, 2, 1, Math.floor(k / 2))
    const [a, b] = [words[2 * (k % 2)]!, words[2 * (k % 2) + 1]!]
    expect(value).toBeCloseTo(
      Math.sqrt(-2 * Math.log((a + 1) / 2 ** 32)) * Math.cos(2 * Math.PI * (b / 2 ** 32)),
      12,
    )
  }
  const many = addon.normals(1, 0, 20000)
  const mean = many.reduce((sum, v) => sum + v) / many.length
  expect(Math.abs(mean)).toBeLessThan(0.03)
  expect(many.reduce((sum, v) => sum + (v - mean) ** 2, 0) / many.length).toBeCloseTo(1, 1)
})

test("uniforms are draws of 1,024 counters each on the methods' stream", () => {
  for (const [seed, substream, counter] of [
    [5, 3, 0],
    [2 ** 40 + 7, 2 ** 32 - 1, 12],
    [0, 1, 2 ** 43 - 1],
  ] as const) {
    const values = addon.uniforms(seed, substream, counter, 11)
    for (const [k, value] of values.entries()) {
      const word = philox(seed, 8, substream, counter * 1024 + Math.floor(k / 4))[k % 4]!
      expect(value, `${counter}, ${k}`).toBe((word + 0.5) / 2 ** 32)
    }
  }
  // The last of a draw lie before the next draw's first.
  const whole = addon.uniforms(5, 3, 6, 4096)
  expect(whole[4095]).toBe((philox(5, 8, 3, 6 * 1024 + 1023)[3]! + 0.5) / 2 ** 32)
  expect(new Set([...whole, ...addon.uniforms(5, 3, 7, 4096)]).size).toBeGreaterThan(8190)
})
