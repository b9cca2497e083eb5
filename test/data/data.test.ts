// Data sets: CIFAR-10's files and what is refused of them, and what the generated set promises.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

import { cifar10 } from "../../src/data/cifar10.js"
import { generateTextures } from "../../src/data/generated.js"
import { halvesOf } from "../../src/data/halves.js"

let folder = ""
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "nasp-data-"))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Records whose pixels all hold `first + i`. */
function records(count: number, first: number): Uint8Array {
  const bytes = new Uint8Array(count * 3073)
  for (let i = 0; i < count; i++) {
    bytes.fill(first + i, i * 3073, (i + 1) * 3073)
    bytes[i * 3073] = i % 10
  }
  return bytes
}

describe("cifar10", () => {
  it("reads all training batches in the order of their numbers, and not the test batch", () => {
    writeFileSync(join(folder, "data_batch_10.bin"), records(1, 50))
    writeFileSync(join(folder, "data_batch_2.bin"), records(3, 20))
    writeFileSync(join(folder, "test_batch.bin"), records(7, 90))
    const data = cifar10.load(folder)
    expect([...data.labels]).toEqual([0, 1, 2, 0])
    expect([0, 1, 2, 3].map((i) => data.images[i * 3072])).toEqual([20, 21, 22, 50])
    expect(data.images).toHaveLength(4 * 3072)
  })

  it("finds the official archive's folder", () => {
    mkdirSync(join(folder, "cifar-10-batches-bin"))
    writeFileSync(join(folder, "cifar-10-batches-bin", "data_batch_1.bin"), records(2, 1))
    expect(cifar10.load(folder).labels).toHaveLength(2)
  })

  it.each<[string, Uint8Array | null, RegExp]>([
    ["an empty folder", null, /no data_batch_1.bin in/],
    ["an empty file", new Uint8Array(0), /data_batch_1.bin has 0 bytes/],
    [
      "a truncated file",
      records(3, 0).subarray(0, 5000),
      /data_batch_1.bin has 5000 bytes, not a whole number/,
    ],
    [
      "foreign bytes of a fitting size",
      new Uint8Array(3073).fill(77),
      /record 0 of .*data_batch_1.bin has label 77/,
    ],
  ])("refuses %s", (_, bytes, why) => {
    if (bytes) writeFileSync(join(folder, "data_batch_1.bin"), bytes)
    expect(() => cifar10.load(folder)).toThrow(why)
  })

  it("refuses a folder that is none", () => {
    expect(() => cifar10.load(join(folder, "none"))).toThrow(/does not exist/)
    writeFileSync(join(folder, "file"), "x")
    expect(() => cifar10.load(join(folder, "file"))).toThrow(/is not a folder/)
    writeFileSync(join(folder, "cifar-10-batches-bin"), "x")
    expect(() => cifar10.load(folder)).toThrow(
      expect.objectContaining({
        code: "ERR_NASP_DATA",
        message: expect.stringMatching(/^CIFAR-10 cannot be read: .*cifar-10-batches-bin/),
      }),
    )
  })
})

describe("the halves", () => {
  it("are none of a single image", () => {
    expect(() => halvesOf(1)).toThrow(
      expect.objectContaining({
        code: "ERR_NASP_DATA",
        message: "Expected 2 images at least, one to train and one to validate, but received 1",
      }),
    )
    expect(halvesOf(3)).toMatchObject({ train: { count: 1 }, validation: { count: 2 } })
  })
})

describe("the generated set", () => {
  const count = 2000
  const data = generateTextures(count, 1)
  const pixels = 3072
  const pixel = (i: number, p: number) => data.images[i * pixels + p] as number

  it("is the same every time, another with another seed, and balanced in any prefix", () => {
    expect(generateTextures(50, 1).images).toEqual(data.images.subarray(0, 50 * pixels))
    expect(generateTextures(50, 2).images).not.toEqual(data.images.subarray(0, 50 * pixels))
    expect(data.labels.subarray(0, 10)).toEqual(Uint8Array.from({ length: 10 }, (_, i) => i))
  })

  it("has classes of one mean image", () => {
    // A class mean over n images has the standard error sd / sqrt(n): with 200 images about 1/14 of a pixel's own.
    const means = Array.from({ length: 10 }, () => new Float64Array(pixels))
    for (let i = 0; i < count; i++)
      for (let p = 0; p < pixels; p++) means[i % 10]![p]! += pixel(i, p) / (count / 10)
    for (const mean of means) {
      const spread = Math.sqrt(mean.reduce((s, v) => s + (v - 127.5) ** 2, 0) / pixels)
      expect(spread).toBeLessThan((3 * 30) / Math.sqrt(count / 10))
    }
  })

  it("is not to be told apart by a linear model", () => {
    // Ridge-like classifier: nearest class mean in the space of pixels, and softmax regression by gradient descent.
    const train = 1000
    const weights = new Float64Array(10 * pixels)
    const x = (i: number, p: number) => (pixel(i, p) - 127.5) / 40
    const scores = (i: number) =>
      Array.from({ length: 10 }, (_, c) => {
        let s = 0
        for (let p = 0; p < pixels; p++) s += (weights[c * pixels + p] as number) * x(i, p)
        return s
      })
    for (let pass = 0; pass < 3; pass++) {
      for (let i = 0; i < train; i++) {
        const s = scores(i)
        const top = Math.max(...s)
        const powers = s.map((v) => Math.exp(v - top))
        const sum = powers.reduce((a, b) => a + b, 0)
        powers.forEach((power, c) => {
          const g = power / sum - Number(c === i % 10)
          for (let p = 0; p < pixels; p++) weights[c * pixels + p]! -= 3e-4 * g * x(i, p)
        })
      }
    }
    let right = 0
    for (let i = train; i < count; i++) {
      const s = scores(i)
      if (s.indexOf(Math.max(...s)) === i % 10) right++
    }
    expect(right / (count - train)).toBeLessThan(0.17)
  })
})
