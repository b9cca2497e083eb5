// Images by value: what is refused, at once and by name, and what is taken.
import { describe, expect, it, vi } from "vitest"

import { copyImages } from "../../src/data/check-images.js"
import type { ImageData } from "../../src/data/index.js"
import { search, type SearchOptions } from "../../src/index.js"
import { fake, fakeAddon } from "../train/fake-native.js"

vi.mock("../../src/native.js", async (original) => ({
  ...(await original<object>()),
  loadNative: () => fakeAddon,
}))

const grey: ImageData = {
  classes: ["one", "two"],
  channels: 1,
  size: 4,
  images: new Uint8Array(20 * 16),
  labels: Uint8Array.from({ length: 20 }, (_, i) => i % 2),
  mean: [0.5],
  std: [0.25],
  augment: { pad: 1, flip: false },
}

describe("images by value", () => {
  it.each<[object, RegExp]>([
    [{ classes: undefined }, /2 to 256 names for data.classes but received undefined/],
    [{ classes: ["one"] }, /2 to 256 names for data.classes/],
    [{ channels: 0 }, /from 1 to 64 for data.channels but received 0/],
    [{ size: 2.5 }, /from 4 to 4096 for data.size but received 2.5/],
    [{ images: [1, 2] }, /a Uint8Array of 320 bytes \(20 \* 1 \* 4 \* 4.* for data.images/],
    [{ images: new Uint8Array(319) }, /for data.images but received Uint8Array of 319 bytes/],
    [{ images: new Uint8Array(16), labels: new Uint8Array(1) }, /2 images at least for data.labels/],
    [
      { labels: new Uint8Array(20).fill(2, 19) },
      /labels from 0 to 1 for data.labels but received 2 \(image 19\)/,
    ],
    [{ mean: [0, 0] }, /1 finite numbers, one a channel for data.mean/],
    [{ std: [0] }, /above 0 for data.std/],
    [{ augment: undefined }, /for data.augment but received undefined/],
    [{ augment: { pad: -1, flip: true } }, /for data.augment/],
    [
      { augment: { pad: 1, flip: true, cutout: 4 } },
      /pad or flip for a field of data.augment but received cutout/,
    ],
    [{ augmnet: 1 }, /or augment for a field of data but received augmnet/],
  ])("%o is refused", (change, message) => {
    const data = { ...grey, ...change } as ImageData
    expect(() => search({ data })).toThrow(message)
    expect(() => search({ data })).toThrow(expect.objectContaining({ code: "ERR_NASP_ARGUMENT" }))
  })

  it("null, a folder without a name, and a cutout larger than the images are refused", async () => {
    expect(() => search({ data: null } as unknown as SearchOptions)).toThrow(/for data but received null/)
    for (const out of ["", 5] as string[])
      expect(() => search({ data: grey, out })).toThrow(/a folder for out/)
    expect(() => search({ resume: "any", data: {} as ImageData })).toThrow(/for data.classes/)
    expect(() => search({ resume: "" })).toThrow(/a run folder for resume but received an empty string/)
    await expect(search({ data: grey, cutout: 9 }).result()).rejects.toThrow(
      /at most twice the images' side \(4\) for cutout but received 9/,
    )
  })

  it("are those of the call, whatever becomes of the object before the first event", async () => {
    const small = { batch: 4, channels: 4, layers: 3, epochs: 1 }
    const result = (data: ImageData, change = () => {}) => {
      const running = search({ ...small, data })
      change()
      return running.result()
    }
    const whole = await result(grey)
    const wrong: (keyof ImageData)[] = ["classes", "channels", "size", "images", "labels", "mean", "std"]
    for (const field of [...wrong, "augment" as const]) {
      const data = { ...grey }
      expect(await result(data, () => void ((data as Record<string, unknown>)[field] = null))).toEqual(whole)
    }
    const data = structuredClone(grey)
    const queued = fake.queued.length
    const within = await result(data, () => {
      data.classes.length = 1
      data.labels.fill(9)
      data.std[0] = 0
      data.augment.pad = -1
    })
    expect(within).toEqual(whole)
    expect(fake.queued[queued]!.augment.pad).toBe(1)
    expect(fake.labels).toEqual(grey.labels)
  })

  it("keep the hash that a run's folder has of them, in whatever order their fields stand", async () => {
    const { augment, ...rest } = grey
    const data = { augment, ...rest }
    expect(JSON.stringify(copyImages(data))).toBe(JSON.stringify(data))
  })

  it("of one channel are searched on", async () => {
    const small = { batch: 4, channels: 4, layers: 3, epochs: 1 }
    expect(await search({ ...small, data: grey, cutout: 8 }).result()).toMatchObject({ step: 3 })
  })
})
