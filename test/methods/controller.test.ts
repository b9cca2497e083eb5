/** ENAS' controller: its gradient against central differences, and how it draws. */
import { describe, expect, test } from "vitest"

import { drawsPerSample, makeController } from "../../src/methods/controller.js"
import { findSpace, type Space } from "../../src/spaces/index.js"
import { random } from "../reference/map.js"
import { addon } from "../net/sessions.js"

describe("enas' controller", () => {
  const controllerOf = (of: Space, seed: number) =>
    makeController(of, (n) => Float64Array.from({ length: n }, (_, i) => addon.uniforms(seed, 9, i, 1)[0]!))

  test("gradient of a drawn architecture's log probability", () => {
    const controller = controllerOf(findSpace("darts7-split"), 1)
    const draws = addon.uniforms(1, 8, 0, drawsPerSample)
    const drawn = controller.sample(draws)
    drawn.backward(2)
    const gradient = controller.gradient.slice()
    const pick = random("controller")
    for (let i = 0; i < 20; i++) {
      const at = Math.floor(pick.uniform() * gradient.length)
      const start = controller.values[at]!
      controller.values[at] = start + 1e-5
      const up = controller.sample(draws)
      controller.values[at] = start - 1e-5
      const down = controller.sample(draws)
      controller.values[at] = start
      expect(up.sample).toEqual(drawn.sample)
      const expected = (2 * (up.logProbability - down.logProbability)) / 2e-5
      expect(Math.abs(gradient[at]! - expected), `${at}`).toBeLessThan(1e-6)
    }
    expect(gradient.filter((g) => g !== 0).length).toBeGreaterThan(gradient.length / 2)
  })

  test("without parameters: inputs alike, and the fixed bias of the normal cell's operations", () => {
    const space = findSpace("darts7")
    const controller = controllerOf(space, 1)
    controller.values.fill(0)
    const { sample, logProbability, entropy } = controller.sample(addon.uniforms(1, 8, 0, drawsPerSample))
    const inputs = 4 * [2, 3, 4, 5].reduce((sum, n) => sum + Math.log(n), 0)
    // 2 of the 7 operations have +0.25, 5 have -0.25.
    const sum = 2 * Math.exp(0.25) + 5 * Math.exp(-0.25)
    const ofNormal = sample.normal.map(({ column }) => {
      return (space.normal[column]!.startsWith("sep_conv") ? 0.25 : -0.25) - Math.log(sum)
    })
    const ofReduce = 8 * Math.log(1 / 7)
    expect(logProbability).toBeCloseTo(ofNormal.reduce((a, b) => a + b, 0) + ofReduce - inputs, 12)
    const [high, low] = [Math.exp(0.25) / sum, Math.exp(-0.25) / sum]
    const perNormal = -2 * high * Math.log(high) - 5 * low * Math.log(low)
    expect(entropy).toBeCloseTo(8 * perNormal - ofReduce + inputs, 12)
  })

  test("draws what it gives probability to", () => {
    const controller = controllerOf(findSpace("darts7"), 2)
    const seen = new Map<number, number>()
    for (let i = 0; i < 120; i++) {
      const { sample } = controller.sample(addon.uniforms(3, 8, i, drawsPerSample))
      expect(sample.normal).toHaveLength(8)
      for (const { row, column } of sample.normal.slice(0, 2)) {
        expect(row).toBeLessThan(2)
        seen.set(column, (seen.get(column) ?? 0) + 1)
      }
    }
    // separable convolutions begin with a higher bias
    expect(seen.get(3)! + seen.get(4)!).toBeGreaterThan(100)
    expect(seen.size).toBe(7)
  })
})
