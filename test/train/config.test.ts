// Options: what is refused, and how it is said.
import { describe, expect, it } from "vitest"

import { cosine } from "../../src/cosine.js"
import { configHash, resolveConfig, type SearchOptions } from "../../src/train/config.js"

const refused: [SearchOptions | Record<string, unknown>, RegExp][] = [
  [{ epochs: -1 }, /^Expected an integer from 1 to 100000 for epochs but received -1$/],
  [{ epochs: 1.5 }, /for epochs but received 1.5/],
  [{ epochs: Infinity }, /for epochs but received Infinity/],
  [{ epochs: NaN }, /for epochs but received NaN/],
  [{ epochs: "abc" }, /for epochs but received abc/],
  [{ epochs: "3" }, /for epochs but received the text "3"/],
  [{ eta: 0.1 }, /Expected a place in `options`, as an option of the method, for eta/],
  [
    { method: "darts", options: { eta: 0.1 } },
    /Expected order for an option of darts but received eta, an option of nasp, lazy-pa or pa/,
  ],
  [{ epochs: "" }, /for epochs but received an empty string/],
  [{ epochs: null }, /for epochs but received null/],
  [{ epochs: 100_001 }, /for epochs/],
  [{ batch: 0 }, /an integer from 1 to 4096 for batch but received 0/],
  [{ batch: 4097 }, /for batch/],
  [{ channels: 0 }, /for channels/],
  [{ channels: 1025 }, /for channels/],
  [{ layers: 2 }, /an integer from 3 to 100 for layers but received 2/],
  [{ layers: 1_000_000 }, /for layers/],
  [{ threads: 0 }, /for threads but received 0/],
  [{ threads: 1025 }, /an integer from 1 to 1024 for threads but received 1025/],
  [{ steps: 0 }, /for steps/],
  [{ seed: -1 }, /for seed/],
  [{ lr: -0.1 }, /for lr/],
  [{ lr: 0.0001 }, /Expected at most lr \(0.0001\) for lrMin but received 0.001/],
  [{ momentum: 1.1 }, /for momentum/],
  [{ device: "toaster" }, /Expected cpu, cuda or auto for device but received toaster/],
  [
    { space: "nope" },
    /Expected nasp12, nasp12-all, darts7, darts7-split or darts for space but received nope/,
  ],
  [{ method: "nope" }, /Expected nasp, .* for method but received nope/],
  [{ data: "/some/images" }, /folders of images are not read/],
  [{ data: "cifar10" }, /for dataDir/],
  [
    { batchStatistics: true, evaluateDerived: true },
    /Expected false beside evaluateDerived, .* for batchStatistics but received true/,
  ],
  [{ dense: "yes" }, /true or false for dense but received yes/],
  [{ nonsense: 1 }, /but received nonsense/],
  [{ options: { value: "two" } }, /Expected one or kept for value but received two/],
  [{ options: { epsilon: 2 } }, /for epsilon/],
  [{ options: { cost: "price" } }, /for cost but received price/],
  [{ options: { cost: { skip_connect: -1 } } }, /for cost/],
  [{ options: { nonsense: 1 } }, /but received nonsense/],
]

describe("options", () => {
  it.each(refused)("refuses %j", (given, message) => {
    let error: unknown
    try {
      resolveConfig(given as SearchOptions)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: "ERR_NASP_ARGUMENT", message: expect.stringMatching(message) })
  })

  it("fills in the released codes' defaults", () => {
    expect(resolveConfig({})).toMatchObject({
      data: "generated",
      space: "nasp12",
      epochs: 50,
      batch: 64,
      channels: 16,
      layers: 8,
      lr: 0.025,
      lrMin: 0.001,
      momentum: 0.9,
      weightDecay: 3e-4,
      clip: 5,
      archLr: 3e-4,
      archBeta1: 0.5,
      archBeta2: 0.999,
      archWeightDecay: 1e-3,
      cutout: 0,
      options: { value: "one", edges: "two", unselected: "skipped", eta: 0, epsilon: 0, alphaNoise: 0 },
    })
  })

  it("takes null where a field is optional, and threads up to what the engine does", () => {
    expect(resolveConfig({ threads: null, steps: null })).toMatchObject({ threads: null, steps: null })
    expect(resolveConfig({ threads: 1024 }).threads).toBe(1024)
    expect(resolveConfig({ device: "cuda-emulated" }).device).toBe("cuda-emulated") // in no message, for tests
  })

  it("hashes what a run's numbers depend on, and nothing else", () => {
    const hash = (options: SearchOptions, data = "d") => configHash(resolveConfig(options), data)
    expect(hash({ threads: 3, steps: 4, checkpointEvery: 7 })).toBe(hash({}))
    for (const other of [{ seed: 1 }, { batch: 8 }, { dense: true }, { options: { eta: 1 } }]) {
      expect(hash(other)).not.toBe(hash({}))
    }
    expect(hash({}, "e")).not.toBe(hash({}))
  })

  it("keeps the checkpoints of the first run folders valid: options that came later count where they are set", () => {
    const hash = (options: SearchOptions) => configHash(resolveConfig(options), "x")
    expect(hash({})).toBe("9ba26b452a4f221357a5cedd354ede28")
    expect(hash({ space: "darts7", options: { value: "kept" } })).toBe("09036760b35fa2c332e071aa333dfb2f")
    for (const later of [
      { stopSkips: 2 },
      { options: { optimizer: "sgd" } },
      { options: { projection: "none" } },
      { probePrecision: "bf16" },
    ] satisfies SearchOptions[])
      expect(hash(later)).not.toBe(hash({}))
  })
})

describe("the schedule", () => {
  it("is a cosine over the epochs", () => {
    expect(cosine(0.025, 0.001, 0, 50)).toBe(0.025)
    expect(cosine(0.025, 0.001, 25, 50)).toBeCloseTo(0.013, 12)
    expect(cosine(0.025, 0.001, 50, 50)).toBeCloseTo(0.001, 12)
  })
})
