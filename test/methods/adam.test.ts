/** Adam of the methods' own parameters, by hand from torch.optim.Adam's formula. */
import { expect, test } from "vitest"

import { adamFromJson, adamStep, adamToJson, newAdam } from "../../src/methods/adam.js"

// g is the gradient plus decay * value; m = 0.5 m + 0.5 g, v = 0.75 v + 0.25 g g; the step is
// 0.125 (m / (1 - 0.5^t)) / (sqrt(v / (1 - 0.75^t)) + 0.25).
const settings = { lr: 0.125, beta1: 0.5, beta2: 0.75, eps: 0.25, weightDecay: 0.5 }

test("two steps with weight decay", () => {
  const values = Float64Array.of(1, -2)
  const state = newAdam(2)

  // g = 0.5 + 0.5 = 1, m = 0.5, v = 0.25: both are 1 once corrected. g = 4 - 1 = 3: 3 and 9.
  adamStep(values, [0.5, 4], state, settings)
  expect([...state.first]).toEqual([0.5, 1.5])
  expect([...state.second]).toEqual([0.25, 2.25])
  expect(values[0]).toBeCloseTo(1 - 0.125 / 1.25, 14)
  expect(values[1]).toBeCloseTo(-2 - (0.125 * 3) / 3.25, 14)
  expect(values[0]).toBeCloseTo(0.9, 14)

  // g = -1 + 0.45 = -0.55, m = 0.25 - 0.275 = -0.025, v = 0.1875 + 0.075625 = 0.263125.
  adamStep(values, [-1, 0], state, settings)
  expect(state.step).toBe(2)
  expect(state.first[0]).toBeCloseTo(-0.025, 14)
  expect(state.second[0]).toBeCloseTo(0.263125, 14)
  expect(values[0]).toBeCloseTo(0.9 + (0.125 * (0.025 / 0.75)) / (Math.sqrt(0.263125 / 0.4375) + 0.25), 14)
  // The other's gradient is its decay alone.
  const g = 0.5 * (-2 - 0.375 / 3.25)
  const [m, v] = [0.5 * 1.5 + 0.5 * g, 0.75 * 2.25 + 0.25 * g * g]
  expect(values[1]).toBeCloseTo(-2 - 0.375 / 3.25 - (0.125 * (m / 0.75)) / (Math.sqrt(v / 0.4375) + 0.25), 14)
})

test("goes on from JSON with the same bits", () => {
  const values = Float64Array.of(0.1, 1 / 3, -7)
  const state = newAdam(3)
  adamStep(values, [0.3, -0.2, 1e-9], state, settings)
  const again = adamFromJson(JSON.parse(JSON.stringify(adamToJson(values, state))))
  expect(again).toEqual({ values, state })
  adamStep(values, [1, 2, 3], state, settings)
  adamStep(again.values, [1, 2, 3], again.state, settings)
  expect(again).toEqual({ values, state })
})
