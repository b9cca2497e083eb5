/** A queued batch is the same batch as one prepared here, by the documented draws, and handed over by value. */
import { describe, expect, test } from "vitest"

import type { AugmentOptions } from "../../src/native.js"
import { below, philox } from "../reference/philox.js"
import { addon, discrete, makeSession } from "../net/sessions.js"

const [count, channels, size] = [7, 3, 8]
const images = Uint8Array.from(
  { length: count * channels * size * size },
  (_, i) => (i * 73 + (i >> 3) * 31) % 256,
)
const labels = Uint8Array.from([0, 1, 2, 3, 0, 1, 2])
const [mean, std] = [[0.1, 0.5, 0.9], [0.2, 0.25, 0.3]] // prettier-ignore
const none: AugmentOptions = { pad: 0, flip: false, cutout: 0, seed: 2 ** 33 + 5, counter: 2 ** 32 - 2 }

function prepare(indices: Uint32Array, options: AugmentOptions): Float64Array {
  const { pad, flip, cutout, seed, counter } = options
  const out: number[] = []
  for (const [position, index] of indices.entries()) {
    const words = philox(seed, 4, 0, counter + position)
    const down = below(words[0]!, 2 * pad + 1) - pad
    const right = below(words[1]!, 2 * pad + 1) - pad
    const mirrored = flip && words[2]! >= 2 ** 31
    const centre = philox(seed, 4, 1, counter + position)
    const half = Math.floor(cutout / 2)
    const inside = (at: number, word: number) =>
      at >= below(word, size) - half && at < below(word, size) + half
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < size; y++)
        for (let x = 0; x < size; x++) {
          const [row, column] = [y + down, (mirrored ? size - 1 - x : x) + right]
          const padded = row < 0 || row >= size || column < 0 || column >= size
          const pixel = padded ? 0 : images[((index * channels + c) * size + row) * size + column]!
          const cut = half > 0 && inside(y, centre[0]!) && inside(x, centre[1]!)
          out.push(cut ? 0 : (pixel / 255 - mean[c]!) / std[c]!)
        }
  }
  return Float64Array.from(out)
}

describe("a queued batch", () => {
  const dataset = new addon.Dataset({ images, labels, channels, height: size, width: size, mean, std })
  const session = makeSession("nasp12", { precision: "f64" })
  session.discretise(discrete)
  const indices = Uint32Array.from([6, 0, 3, 3, 5])
  const targets = Int32Array.from(indices, (i) => labels[i]!)

  test.each([
    ["as it is", {}],
    ["cropped", { pad: 4 }],
    ["flipped", { flip: true }],
    ["cut out", { cutout: 4 }],
    ["an odd square is one smaller", { cutout: 5 }],
    ["all of them", { pad: 2, flip: true, cutout: 6 }],
  ])("%s", async (_, given) => {
    const options = { ...none, ...given }
    const queued = await session.evaluate(session.queue(dataset, indices, options))
    expect(queued.prepareSeconds).toBeGreaterThan(0)
    const loaded = await session.evaluate(session.load(prepare(indices, options), targets))
    expect(queued.logits).toEqual(loaded.logits)
    expect(queued.loss).toBe(loaded.loss)
    expect(loaded.prepareSeconds).toBe(0)
    expect(queued.count).toBe(5)
  })
})
