// NASP's options: cost vectors against the released code's constants, alpha's start, and each option on the engine.
import { describe, expect, it } from "vitest"

import { generateTextures } from "../../src/data/generated.js"
import { costVectors, type CostOptions } from "../../src/methods/cost.js"
import { findMethod } from "../../src/methods/index.js"
import { loadNative } from "../../src/native.js"
import { findSpace, spaces } from "../../src/spaces/index.js"
import type { EpochEvent } from "../../src/train/events.js"
import type { SearchOptions } from "../../src/train/plan.js"
import { search } from "../../src/train/search.js"

const addon = loadNative()
const nasp12 = findSpace("nasp12")

describe("cost vectors", () => {
  const defaults: CostOptions = { cost: "params", costScale: "sum", costCells: "normal", costChannels: "12" }
  const costs = (options: Partial<CostOptions>, space = nasp12) =>
    costVectors(addon, space, 16, { ...defaults, ...options })

  it("are the released code's by default: parameters at 12 channels over their sum, normal cell only", () => {
    // xujinfan/NASP-codes cnn/train_search.py, in the order of the normal cell's operations.
    const released = [0, 864, 252, 144, 1296, 504, 888, 1464]
    const sum = released.reduce((s, c) => s + c, 0)
    const { normal, reduce } = costs({})
    released.forEach((c, k) => expect(normal[k]).toBeCloseTo(c / sum, 14))
    expect(reduce).toEqual([])
  })

  it("scale by the mean, not at all, and with the net's own channels", () => {
    const bySum = costs({}).normal
    costs({ costScale: "mean" }).normal.forEach((c, k) => expect(c).toBeCloseTo(8 * bySum[k]!, 12))
    expect(costs({ costScale: "none" }).normal[1]).toBe(864)
    expect(costs({ costScale: "none", costChannels: "net" }).normal[1]).toBe(2 * 3 * 16 * 16)
  })

  it("count FLOPs, take a table by name, and regularise both cell types", () => {
    const flops = costs({ cost: "flops", costScale: "none" }).normal
    expect(flops[3]).toBe(12 * 12 * 32 * 32)
    const table = costs({ cost: { "sep 7x7": 3, conv_1x1: 1 }, costCells: "both" })
    expect(table.normal).toEqual([0, 0, 0, 0.25, 0, 0, 0, 0.75])
    expect(table.reduce).toEqual([0, 0, 0, 0, 0])
    expect(costs({ costCells: "both" }, findSpace("darts7")).reduce.some((c) => c > 0)).toBe(true)
  })
})

describe("spaces", () => {
  it("hold operations of the engine, each once", () => {
    const known = new Set(addon.operations().map((o) => o.name))
    for (const space of spaces) {
      for (const list of [space.normal, space.reduce]) {
        expect(new Set(list).size).toBe(list.length)
        expect(list.filter((name) => !known.has(name))).toEqual([])
      }
    }
    expect(new Set([...nasp12.normal, ...nasp12.reduce])).toEqual(new Set(findSpace("nasp12-all").normal))
  })
})

describe("on the engine", () => {
  const data = generateTextures(96, 2)
  const small: SearchOptions = {
    data,
    space: "darts7-split",
    channels: 4,
    layers: 3,
    batch: 16,
    epochs: 1,
    seed: 3,
  }
  const alphaAfter = async (options: Record<string, unknown>, more: SearchOptions = {}) =>
    (await search({ ...small, ...more, options }).result()).alpha

  it("starts at 0.5, or with noise", async () => {
    const frozen = { archLr: 0 }
    const { normal } = await alphaAfter({}, frozen)
    expect(new Set(normal as Float32Array)).toEqual(new Set([0.5]))
    const noisy = (await alphaAfter({ alphaNoise: 1e-3 }, frozen)).normal as Float32Array
    expect(new Set(noisy).size).toBeGreaterThan(50)
    for (const a of noisy) expect(Math.abs(a - 0.5)).toBeLessThan(6e-3)
  })

  /** Of every option a value that matters, and what else it takes to matter (`beside`, a search's options in `run`). */
  interface Variant {
    value: unknown
    beside?: Record<string, unknown>
    run?: SearchOptions
  }
  const costly = { eta: 10, costOn: "alpha" }
  const table = { sep_conv_3x3: 1, dil_conv_5x5: 0.25, max_pool_3x3: 2 }
  const variants: Record<string, Variant[]> = {
    // Large steps, which leave [0, 1].
    projection: [
      { value: "none", run: { archLr: 0.3 } },
      { value: "discrete", run: { archLr: 0.3 } },
    ],
    optimizer: [{ value: "sgd", run: { archLr: 1 } }],
    value: [{ value: "kept" }],
    edges: [{ value: "all" }],
    unselected: [{ value: "decayed", run: { weightDecay: 0.1 } }],
    alphaNoise: [{ value: 1e-3 }],
    epsilon: [{ value: 0.5 }],
    eta: [{ value: 10 }],
    // FLOPs are in proportion to parameters: only their scale tells them apart.
    cost: [
      { value: "flops", beside: { ...costly, costScale: "none", eta: 1e-5 } },
      { value: table, beside: costly },
    ],
    costScale: ["mean", "none"].map((value) => ({ value, beside: costly })),
    costCells: [{ value: "both", beside: { ...costly, cost: table } }],
    costOn: [{ value: "alpha", beside: { eta: 10 } }],
    costChannels: [{ value: "net", beside: costly }],
  }

  it("knows of every option a value that matters", () => {
    expect(Object.keys(variants).sort()).toEqual(Object.keys(findMethod("nasp").fields).sort())
  })

  it.each(Object.entries(variants).flatMap(([name, all]) => all.map((variant) => [name, variant] as const)))(
    "minds the option %s: %j",
    async (name, { value, beside = {}, run = {} }) => {
      const { initial } = findMethod("nasp").fields[name]!
      expect(value).not.toEqual(initial)
      // The reduction cell's costs matter where it has candidates of a cost.
      const settings = { archLr: 0.02, space: name === "costCells" ? "darts7" : "darts7-split", ...run }
      const without = await alphaAfter(beside, settings)
      expect(await alphaAfter({ ...beside, [name]: initial }, settings)).toEqual(without)
      const changed = await alphaAfter({ ...beside, [name]: value }, settings)
      expect(changed).not.toEqual(without)
    },
  )

  it("no two options do the same", async () => {
    const options = [
      {},
      { value: "kept" },
      { edges: "all" },
      { epsilon: 0.5 },
      { eta: 10 },
      { eta: 10, costOn: "alpha" },
    ]
    const seen: unknown[] = []
    for (const option of options) {
      const alpha = await alphaAfter(option, { archLr: 0.02 })
      for (const other of seen) expect(alpha).not.toEqual(other)
      seen.push(alpha)
    }
  })

  it("finds cells without costly operations where these cost much", async () => {
    const { genotype } = await search({
      ...small,
      archLr: 0.02,
      epochs: 4,
      options: {
        eta: 1000,
        cost: { sep_conv_3x3: 1, sep_conv_5x5: 1, dil_conv_3x3: 1, dil_conv_5x5: 1 },
        costOn: "alpha",
      },
    }).result()
    expect(genotype.normal.map(([operation]) => operation)).toEqual(Array(8).fill("skip_connect"))
  })

  it("learns the generated set", async () => {
    let last: EpochEvent | null = null
    const run = search({
      ...small,
      data: generateTextures(1200, 1),
      channels: 6,
      epochs: 3,
      lr: 0.1,
      archLr: 3e-3,
    })
    for await (const event of run) if (event.type === "epoch") last = event
    expect(last!.val_acc).toBeGreaterThan(0.4)
    expect(last!.train_loss).toBeLessThan(1.8)
  })

  it("computes the same in double", async () => {
    const firstLoss = async (precision: "f32" | "f64") => {
      for await (const event of search({ ...small, precision }))
        if (event.type === "step") return event.alpha_loss ?? NaN
      return NaN
    }
    const [single, double] = [await firstLoss("f32"), await firstLoss("f64")]
    expect(single).not.toBe(double)
    expect(single).toBeCloseTo(double, 5)
  })
})

describe("ending early on the engine", () => {
  it("aborts within a step, disposes, and leaves the process to end", async () => {
    const abort = new AbortController()
    const run = search({ epochs: 1, batch: 64, channels: 16, layers: 8, signal: abort.signal })
    const events = run[Symbol.asyncIterator]()
    await events.next()
    const step = events.next()
    setTimeout(() => abort.abort(new Error("enough")), 50)
    const began = performance.now()
    await expect(step).rejects.toThrow("enough")
    expect(performance.now() - began).toBeLessThan(10_000)
    await run.dispose()
  })
})
