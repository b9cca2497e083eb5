/**
 * Images that are not near a normal variable, on every instruction set: equal ones, whose channels BatchNorm blows up beside
 * them, large ones, and such that squares of float32 overflow.
 */
import { describe, expect, test } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import type { NativeSessionOptions } from "../../src/native.js"
import { random } from "../reference/map.js"
import { addon, discrete, makeSession, values, weightUpdate } from "./sessions.js"

const { available } = addon.info()

/** What a weight step says of drawn images: times `factor`, all of them the first where `equal`. */
async function step(options: Partial<NativeSessionOptions>, { factor = 1, equal = false }) {
  const session = makeSession("darts7", { channels: 4, ...options })
  try {
    const { batch, imageSize, precision } = session.options
    const image = 3 * imageSize ** 2
    const drawn = random("extreme").normals(image * batch)
    const x = drawn.map((value, i) => factor * (equal ? drawn[i % image]! : value))
    session.discretise(discrete)
    const ticket = session.load(values(precision, x), new Int32Array(batch))
    return await session.weightStep(ticket, { ...weightUpdate, apply: false })
  } finally {
    session.dispose()
  }
}

describe.each(available)("%s", (isa) => {
  // Lanes beyond the batch have no statistics of their own: what they hold must not become infinite, which zeros of a
  // gradient do not undo.
  test.each([8, 15, 1])("%i equal images have the gradient that 16 have", async (batch) => {
    const options = { isa, precision: "f32", imageSize: 4, layers: 14 } as const
    const images = { factor: 2, equal: true }
    const [some, full] = [
      await step({ ...options, batch }, images),
      await step({ ...options, batch: 16 }, images),
    ]
    expect(full.gradientNorm).toBeGreaterThan(0)
    expect(some.gradientNorm / full.gradientNorm).toBeCloseTo(1, 3)
  })

  test.each([255, 65535, 1e6])("images times %d", async (factor) => {
    const [single, double] = [
      await step({ isa, precision: "f32" }, { factor }),
      await step({ isa: "baseline", precision: "f64" }, { factor }),
    ]
    expect(relativeError(double.logits, single.logits)).toBeLessThan(1e-4)
  })

  test("a variance past float32's range shows", () => {
    const draw = random("overflow")
    const { y, buffers } = addon.runOperation({
      ...{ op: "avg_pool_3x3", channels: 2, height: 8, width: 8, stride: 1, batch: 3, affine: false },
      ...{
        threads: 1,
        isa,
        precision: "f32",
        training: true,
        searchPools: true,
        parameters: [],
      },
      x: draw.normals(3 * 2 * 64).map((v) => 1e20 * v),
      dy: draw.normals(3 * 2 * 64),
    })
    expect(y.some(Number.isFinite)).toBe(false)
    const variance = buffers.find(({ name }) => name.endsWith("running_var"))!
    expect([...variance.data].some(Number.isFinite)).toBe(false)
  })
})
