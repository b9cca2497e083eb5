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
