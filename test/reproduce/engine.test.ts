// On the real engine: comparing orders changes nothing and is right where the answer is known; the derived net of a
// softmax search; the commands from the command line. Needs dist (npm run build).
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"

import { generateTextures } from "../../src/data/generated.js"
import { matricesOfGenotype } from "../../src/derive.js"
import type { ImageData } from "../../src/data/index.js"
import { loadNative, use } from "../../src/native.js"
import { readSafetensors } from "../../src/safetensors.js"
import { findSpace, type CellType } from "../../src/spaces/index.js"
import { makeBatches } from "../../src/train/batches.js"
import { openSession, registerData } from "../../src/train/parts.js"
import { readRunRecord } from "../../src/train/run-folder.js"
import type { Table6Row } from "../../src/reproduce/table6.js"
import type { EpochEvent, OrdersEvent, SearchEvent } from "../../src/train/events.js"
import type { SearchOptions } from "../../src/train/plan.js"
import { search } from "../../src/train/search.js"

const main = new URL("../../dist/cli/main.js", import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), "nasp-reproduce-engine-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const at = (name: string) => join(folder, name)

const small: SearchOptions = {
  data: generateTextures(64, 2),
  space: "darts7-split",
  epochs: 2,
  batch: 8,
  channels: 4,
  layers: 3,
  seed: 3,
}

async function collect(options: SearchOptions): Promise<SearchEvent[]> {
  const told: SearchEvent[] = []
  for await (const event of search(options)) told.push(event)
  return told
}
const ordersOf = (events: SearchEvent[]) => events.filter((e): e is OrdersEvent => e.type === "orders")

function bytesOf(run: string): Record<string, string> {
  const names = readdirSync(run, { recursive: true, encoding: "utf8" }).filter((n) => /safetensors$/.test(n))
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(run, name), "base64")]))
}

describe("comparing orders", () => {
  it.each(["nasp", "darts"])("of %s leaves the search's bytes as they were", async (method) => {
    await search({ ...small, method, out: at(`${method}-plain`) }).result()
    const told = await collect({ ...small, method, compareOrders: 3, evaluateDerived: true, out: at(method) })
    expect(ordersOf(told).map((e) => e.step)).toEqual([3, 6])
    for (const e of ordersOf(told)) {
      expect(Math.abs(e.cosine!)).toBeLessThanOrEqual(1 + 1e-9)
      expect(e.first_norm).toBeGreaterThan(0)
      expect(e.difference_norm).toBeGreaterThan(0)
    }
    expect(bytesOf(at(method))).toEqual(bytesOf(at(`${method}-plain`)))
  })

  it.each(["nasp", "darts"])("of %s finds none where the unrolled step goes nowhere", async (method) => {
    const still = { lr: 1e-9, lrMin: 0, precision: "f64" } as const
    const [e] = ordersOf(await collect({ ...small, ...still, method, steps: 1, compareOrders: 1 }))
    expect(e!.cosine).toBeCloseTo(1, 9)
    expect(e!.difference_norm / e!.first_norm).toBeLessThan(1e-5)
  })

  it("drops no skips out, whatever the steps do", async () => {
    const still = { lr: 1e-12, lrMin: 0, archLr: 0, precision: "f64", steps: 1, compareOrders: 1 } as const
    const norm = async (rate: number) => {
      const options = { warmEpochs: 0, skipDropout: [rate, rate, rate] }
      const told = await collect({ ...small, ...still, method: "pdarts", options })
      return ordersOf(told)[0]!.first_norm
    }
    const [none, most] = [await norm(0), await norm(0.9)]
    expect(most / none).toBeCloseTo(1, 9)
  })

  it("is refused for a method that does not descend on alpha's gradient", () => {
    expect(() => search({ ...small, method: "random", compareOrders: 1 })).toThrow(
      /for method but received random/,
    )
  })
})

describe("the derived net", () => {
  const derived = async (method: string) => {
    const told = await collect({ ...small, method, evaluateDerived: true, epochs: 1 })
    return told.find((e): e is EpochEvent => e.type === "epoch")!
  }

  it("of NASP is the searched net", async () => {
    const { derived: net, val_acc, val_loss } = await derived("nasp")
    expect(net).toMatchObject({ accuracy: val_acc, loss: val_loss })
    expect(net!.batch_accuracy).toBe(net!.searched_batch_accuracy)
  })

  it("has the searched net's accuracy with each batch's own statistics, as a search that validates with them", async () => {
    const { derived: net, ...measured } = await derived("nasp")
    const told = await collect({ ...small, batchStatistics: true, epochs: 1 })
    const own = told.find((e): e is EpochEvent => e.type === "epoch")!
    expect(own.val_acc).toBe(net!.searched_batch_accuracy)
    expect([own.val_loss, own.train_loss]).toEqual([
      expect.not.closeTo(measured.val_loss, 3),
      measured.train_loss,
    ])
  })

  // With partial channels, nothing passes by an edge that the net has not.
  it.each(["darts", "pc-darts"])("of %s is that of its genotype with its weights", async (method) => {
    const out = at(`derived-${method}`)
    const options = method === "pc-darts" ? { warmEpochs: 0 } : {}
    const told = await collect({
      ...{ ...small, method, options, channels: 16, evaluateDerived: true, epochs: 1, out },
    })
    const { derived: net, genotype } = told.find((e): e is EpochEvent => e.type === "epoch")!
    const addon = loadNative()
    const space = findSpace("darts7-split")
    const data = small.data as ImageData
    const session = openSession(addon, readRunRecord(out).config, space, data)
    for (const { name, data } of readSafetensors(join(out, "weights.safetensors")).tensors.values())
      session.write(name, data as Float32Array)
    for (const [type, matrix] of Object.entries(matricesOfGenotype(space, genotype)) as [
      CellType,
      Float64Array,
    ][]) {
      session.setMixture(
        type,
        matrix,
        Uint8Array.from(matrix, (w) => (w === 0 ? use.absent : use.propagated)),
      )
      const columns = space[type].length
      const rows = Array.from({ length: 14 }, (_, e) => matrix.slice(e * columns, (e + 1) * columns))
      const operations = Float64Array.from(rows, (row) => row.reduce((a, b) => a + b))
      if (method === "pc-darts") session.setBypass(type, operations)
    }
    const batches = makeBatches(addon, session, registerData(addon, data), data, {
      batch: 8,
      seed: 3,
      cutout: 0,
    })
    let loss = 0
    for (let b = 0; b < batches.validationBatches; b++)
      loss += (await session.evaluate(batches.queueValidation(0, b))).loss / batches.validationBatches
    session.dispose()
    expect(net!.loss).toBeCloseTo(loss, 5)
  })

  it("of DARTS is another one", async () => {
    const { derived: net, val_loss } = await derived("darts")
    expect(Math.abs(net!.loss - val_loss)).toBeGreaterThan(1e-3)
  })
})

describe("the command line", () => {
  const size = ["--batch", "8", "--channels", "4", "--layers", "3"]
  const nasp = (...args: string[]) =>
    spawnSync(process.execPath, [main, "reproduce", ...args], {
      encoding: "utf8",
      cwd: folder,
      timeout: 110_000,
    })

  it("table6 prints one row of JSON a line, with spread and ratios", () => {
    const { status, stdout, stderr } = nasp(
      "table6",
      "--batches",
      "2",
      "--spaces",
      "darts7,nasp12",
      ...size,
      "--json",
    )
    expect(status).toBe(0)
    expect(stderr).toMatch(/NASP's selections: seeds 1 to 2/)
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown> & { seconds: Record<string, number | null> })
    expect(rows.map((r) => [r.space, r.ops, r.method, r.order])).toEqual(
      [
        ["darts7", 7],
        ["nasp12", 12],
      ].flatMap((space) => [
        [...space, "darts", "first"],
        [...space, "darts", "second"],
        [...space, "nasp", "first"],
      ]),
    )
    for (const row of rows) {
      expect(Object.keys(row)).toEqual([
        ...["method", "order", "space", "ops", "seconds", "paper", "ratio", "spread", "samples"],
        ...["supernet_parameters", "final_parameters", "search_error"],
      ])
      const { ratio, spread, paper } = row as unknown as Table6Row
      expect(spread.total).toMatchObject({ n: 2, mean: row.seconds.total })
      expect(ratio.forward).toBeCloseTo(row.seconds.forward! / paper.forward!, 9)
      expect(Object.keys(row.seconds)).toEqual(expect.arrayContaining(["data", "overhead"]))
      expect(row.search_error).toBeNull()
      const { total, ...parts } = row.seconds
      const sum = Object.values(parts).reduce<number>((s, v) => s + (v ?? 0), 0)
      expect(sum / total!).toBeCloseTo(1, 6)
      expect(parts[`alpha_${row.order as string}`]).toBeGreaterThan(0)
      expect(parts[row.order === "first" ? "alpha_second" : "alpha_first"]).toBeNull()
    }
  })

  it("table6 shows the paper's numbers, the ratios, the seed and a dash for the error", () => {
    const { status, stdout } = nasp(
      "table6",
      "--batches",
      "1",
      "--spaces",
      "darts7",
      "--seed",
      "4",
      ...size,
      "--out",
      "t",
    )
    expect(status).toBe(0)
    expect(stdout).toMatch(/darts7 +7 +NASP +here .* -$/m)
    expect(stdout).toMatch(/paper .*1315 .*1693/)
    expect(stdout).toMatch(/DARTS \(2nd order\) \/ NASP = [\d.]+, paper 4\.9/)
    expect(stdout).toMatch(/seeds 5 to 5/)
    expect(readdirSync(at("t")).sort()).toEqual(["table6.csv", "table6.json"])
  })

  it("figure3 leaves runs, data and pictures, and --from draws the same again", () => {
    const args = ["--sides", "nasp,lazy-pa", "--seeds", "1", "--budget", "4", ...size]
    const live = nasp("figure3", ...args, "--out", "f")
    expect(live.status).toBe(0)
    expect(readdirSync(at("f")).sort()).toEqual(["figure3-cd.svg", "figure3.csv", "figure3.json", "runs"])
    expect(live.stderr).toMatch(/nasp, seed 0: step 4, .* validation accuracy/)
    const again = nasp("figure3", "--from", "f", "--out", "g")
    expect(again.status).toBe(0)
    for (const name of readdirSync(at("g"))) {
      expect(readFileSync(at(`g/${name}`), "utf8")).toBe(readFileSync(at(`f/${name}`), "utf8"))
    }
    expect(existsSync(at("g/runs"))).toBe(false)
  })

  it.each([
    ["figure3 --from none", 1, /a folder of runs but none does not exist/],
    ["figure3 --from f --batch 3", 2, /beside from but received batch/],
    ["figure3 --sides nope", 2, /for sides but received nope/],
    ["figure4 --budget soon", 2, /for budget but received soon/],
    ["table6 --spaces nope", 2, /for space but received nope/],
    ["table6 --batches 0", 2, /for batches but received 0/],
    ["table6 --sides nope", 2, /for sides but received nope/],
    ["table6 --sides nasp,nasp", 2, /each name once for sides but received nasp,nasp/],
    ["table6 --spaces darts7,darts7 --budget 1", 2, /each name once for spaces but received darts7,darts7/],
    ["table6 --batches 1 --lr 0.1", 2, /without budget but received lr/],
    ["table6 --batches 1 --set value=kept", 2, /without budget but received set/],
    ["table6 --device toaster", 2, /for device but received toaster/],
    ["figure4 --out", 2, /argument missing/],
    ["figure9", 2, /unknown command|too many arguments/],
  ])("nasp reproduce %s -> %i", (call, code, message) => {
    const { status, stderr } = nasp(...call.split(" "))
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/^\s+at /m)
    expect(status).toBe(code)
  })

  it.each(["figure3", "figure4", "section4.5", "completeness", "second-order", "table6"])(
    "%s helps",
    (name) => {
      const { status, stdout } = nasp(name, "--help")
      expect(status).toBe(0)
      expect(stdout).toContain("Examples:")
    },
  )
})
