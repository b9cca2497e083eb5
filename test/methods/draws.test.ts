/** What the methods draw: Gumbel noise and random architectures, against the generator's reference and their statistics. */
import { expect, test } from "vitest"

import { gumbels } from "../../src/methods/gumbel.js"
import { matricesOfSample, randomSample } from "../../src/methods/samples.js"
import { cellTypes, findSpace } from "../../src/spaces/index.js"
import { philox } from "../reference/philox.js"
import { addon } from "../net/sessions.js"

const space = findSpace("nasp12") // 8 and 5 columns

test("Gumbel noise is -log(-log u) of the cell type's own uniforms", () => {
  const [seed, counter] = [9, 5]
  const noise = gumbels(addon, space, seed, counter)
  for (const [type, substream] of [
    ["normal", 2],
    ["reduce", 3],
  ] as const) {
    expect(noise[type]).toHaveLength(14 * space[type].length)
    noise[type].forEach((value, i) => {
      const word = philox(seed, 8, substream, counter * 1024 + Math.floor(i / 4))[i % 4]!
      expect(value, `${type} ${i}`).toBeCloseTo(-Math.log(-Math.log((word + 0.5) / 2 ** 32)), 12)
    })
  }
})

test("Gumbel noise has the mean and the variance of its distribution", () => {
  const values: number[] = []
  for (let counter = 0; values.length < 20_000; counter++) {
    const { normal, reduce } = gumbels(addon, space, 1, counter)
    values.push(...normal, ...reduce)
  }
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length
  expect(Math.abs(mean - 0.5772)).toBeLessThan(0.03) // Euler's constant
  expect(Math.abs(variance - Math.PI ** 2 / 6)).toBeLessThan(0.1)
})

test("random architectures: two inputs a node, any two alike, and any operation", () => {
  const times = 2000
  const firstRow = [0, 2, 5, 9]
  for (const type of cellTypes) {
    const columns = space[type].length
    const operations = new Array<number>(columns).fill(0)
    const pairs = firstRow.map(() => new Map<string, number>())
    // Pairs of operations that a node takes: its two edges draw one each.
    const both = new Map<string, number>()
    for (let counter = 0; counter < times; counter++) {
      const sample = randomSample(addon, space, 3, 7, counter)
      const edges = sample[type]
      expect(edges).toHaveLength(8)
      for (const [node, first] of firstRow.entries()) {
        const [a, b] = edges.slice(2 * node, 2 * node + 2)
        const inputs = [a!.row - first, b!.row - first]
        for (const input of inputs) expect(input >= 0 && input < node + 2).toBe(true)
        expect(inputs[0]).toBeLessThan(inputs[1]!)
        const count = (of: Map<string, number>, key: string) => of.set(key, (of.get(key) ?? 0) + 1)
        count(pairs[node]!, inputs.join())
        count(both, `${a!.column},${b!.column}`)
        operations[a!.column]!++
        operations[b!.column]!++
      }
      expect(matricesOfSample(space, sample)[type].reduce((a, b) => a + b, 0)).toBe(8)
    }
    for (const [node, seen] of pairs.entries()) {
      const all = ((node + 2) * (node + 1)) / 2
      expect(seen.size, `node ${node}`).toBe(all)
      const bound = 3 * Math.sqrt(1 / all / times) // three deviations
      for (const [pair, n] of seen)
        expect(Math.abs(n / times - 1 / all), `${node}: ${pair}`).toBeLessThan(bound)
    }
    for (const n of operations) expect(Math.abs(n / (8 * times) - 1 / columns)).toBeLessThan(0.012)
    expect(both.size).toBe(columns ** 2)
    for (const [pair, n] of both)
      expect(Math.abs(n / (4 * times) - 1 / columns ** 2), pair).toBeLessThan(0.012)
  }
})

test("an architecture is its seed's, its substream's and its counter's", () => {
  const text = (seed: number, substream: number, counter: number) =>
    JSON.stringify(randomSample(addon, space, seed, substream, counter))
  expect(text(1, 2, 3)).toBe(text(1, 2, 3))
  expect(new Set([text(1, 2, 3), text(2, 2, 3), text(1, 3, 3), text(1, 2, 4)]).size).toBe(4)
})
