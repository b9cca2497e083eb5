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

/** A weight step on images of which pixel i is pixel(i), i counting through all of them, and its gradient's norm. */
async function step(
  options: Partial<NativeSessionOptions>,
  pixels: (drawn: Float64Array, image: number, i: number) => number,
) {
  const session = makeSession("darts7", { channels: 4, ...options })
  try {
    const { batch, imageSize, precision } = session.options
    const image = 3 * imageSize ** 2
    const drawn = random("extreme").normals(image * batch)
    const x = drawn.map((_, i) => pixels(drawn, Math.floor(i / image), i % image))
    session.discretise(discrete)
    const ticket = session.load(values(precision, x), new Int32Array(batch))
    const { loss, logits, gradientNorm } = await session.weightStep(ticket, { ...weightUpdate, apply: false })
    return { loss, logits, gradientNorm }
  } finally {
    session.dispose()
  }
}

describe.each(available)("%s", (isa) => {
  // Lanes beyond the batch have no statistics of their own: what they hold must not become infinite, which zeros of a
  // gradient do not undo.
  test.each([8, 15, 1])("%i equal images have the gradient that 16 have", async (batch) => {
    const options = { isa, precision: "f32", imageSize: 4, layers: 14 } as const
    const equal = (drawn: Float64Array, _image: number, i: number) => 2 * drawn[i]!
    const [some, full] = [
      await step({ ...options, batch }, equal),
      await step({ ...options, batch: 16 }, equal),
    ]
    expect(full.gradientNorm).toBeGreaterThan(0)
    expect(some.gradientNorm / full.gradientNorm).toBeCloseTo(1, 3)
  })

  test.each([255, 65535, 1e6])("images times %d", async (factor) => {
    const large = (drawn: Float64Array, image: number, i: number) => factor * drawn[image * 192 + i]!
    const [single, double] = [
      await step({ isa, precision: "f32" }, large),
      await step({ isa: "baseline", precision: "f64" }, large),
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
        device: "cpu",
        seed: 0,
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
