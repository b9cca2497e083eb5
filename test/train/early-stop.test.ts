/** Early stopping: its rules, the dominant eigenvalue of a known Hessian, and searches that end early. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { afterAll, describe, expect, test } from "vitest"

import { generateTextures } from "../../src/data/generated.js"
import type { RunningMethod } from "../../src/methods/index.js"
import type { Matrices } from "../../src/methods/matrices.js"
import type { NativeSession } from "../../src/native.js"
import { largestEigenvalue, largestOfTridiagonal, reasonToStop } from "../../src/train/early-stop.js"
import type { SearchEvent } from "../../src/train/events.js"
import { search } from "../../src/train/search.js"
import { addon } from "../net/sessions.js"

const folder = mkdtempSync(join(tmpdir(), "nasp-early-"))
afterAll(() => rmSync(folder, { recursive: true }))

describe("rules", () => {
  test("skips", () => {
    expect(reasonToStop({ stopSkips: null, stopEigenvalue: null }, 8, [])).toBeNull()
    expect(reasonToStop({ stopSkips: 3, stopEigenvalue: null }, 2, [])).toBeNull()
    expect(reasonToStop({ stopSkips: 3, stopEigenvalue: null }, 3, [])).toMatch(/3 skip/)
  })

  test("the eigenvalue's average of 5 against that of 4 epochs before", () => {
    const at = (values: number[]) => reasonToStop({ stopSkips: null, stopEigenvalue: 1.3 }, 0, values)
    const ones = (n: number) => new Array<number>(n).fill(1)
    expect(at([...ones(7), 9])).toBeNull() // no five of 4 epochs before
    expect(at([...ones(8), 2.4])).toBeNull() // (1 + 1 + 1 + 1 + 2.4) / 5 = 1.28
    expect(at([...ones(8), 2.6])).toMatch(/from 1.00, about epoch 2 of events.jsonl, to 1.32/)
    expect(at([...ones(10), 2.6])).toMatch(/about epoch 4 of/)
    expect(at(new Array<number>(9).fill(3))).toBeNull()
  })

  test("not where the eigenvalue was not above 0", () => {
    const at = (values: number[]) => reasonToStop({ stopSkips: null, stopEigenvalue: 1.3 }, 0, values)
    expect(at(new Array<number>(9).fill(-1))).toBeNull()
    expect(at([-1, -1, -1, -1, -1, 5, 5, 5, 5])).toBeNull()
    expect(at([0, 0, 0, 0, 0, 0, 0, 0, 1])).toBeNull()
  })

  test.each([NaN, Infinity])("not where an eigenvalue is %s, and the same from a checkpoint", (odd) => {
    const at = (values: (number | null)[]) =>
      reasonToStop({ stopSkips: null, stopEigenvalue: 1.3 }, 0, values)
    for (const place of [0, 4, 8]) {
      const values = [1, 1, 1, 1, 1, 9, 9, 9, 9].map((v, i) => (i === place ? odd : v))
      const saved = JSON.parse(JSON.stringify(values)) as (number | null)[]
      expect([at(values), at(saved)]).toEqual([null, null])
    }
  })
})

test("the largest eigenvalue of a tridiagonal matrix", () => {
  expect(largestOfTridiagonal([-2, -5], [0, 0])).toBeCloseTo(-2, 12)
  expect(largestOfTridiagonal([2, 2, 2], [1, 1, 9])).toBeCloseTo(2 + Math.SQRT2, 12)
  expect(largestOfTridiagonal([0], [7])).toBeCloseTo(0, 12)
})

test.each([
  { name: "above 0", along: -1.2, largest: 3 },
  { name: "of another than the largest magnitude", along: -7, largest: 3 },
  { name: "below 0", along: -1.2, flipped: true, largest: 0.7 },
])("the largest eigenvalue of a known Hessian, by the method's own gradient: $name", async (hessian) => {
  // gradient = H (alpha - 1), H = 0.5 identity + 2.5 u u' + along w w', u and w of length 1 and at right angles: 3, 0.5 and
  // 0.5 + along
  const size = 14 * 5
  const u = Float64Array.from({ length: 2 * size }, (_, i) => (i % 2 === 0 ? 1 : 0) / Math.sqrt(size))
  const w = Float64Array.from({ length: 2 * size }, (_, i) => (i % 2 === 1 ? 1 : 0) / Math.sqrt(size))
  const alpha = new Float64Array(size).fill(0.25)
  const kept: boolean[] = []
  const drops: number[][] = []
  const session = {
    read: () => alpha,
    skipDropout: (...given: number[]) => drops.push(given),
    architectureGradient(_: number, how: { keepBatch: boolean; keepStatistics: boolean }) {
      kept.push(how.keepBatch)
      expect([how.keepStatistics, drops]).toEqual([true, [[0, 0]]])
      return Promise.resolve({})
    },
  } as unknown as NativeSession
  const relaxed = ({ normal, reduce }: Matrices) => {
    const a = [...normal, ...reduce].map((v) => v - 1)
    const along = (x: Float64Array) => a.reduce((sum, v, i) => sum + v * x[i]!, 0)
    const [p, q] = [along(u), along(w)]
    const g = a.map((v, i) => 0.5 * v + 2.5 * p * u[i]! + hessian.along * q * w[i]!)
    if (hessian.flipped) g.forEach((v, i) => (g[i] = -v))
    return () => ({ normal: Float64Array.from(g.slice(0, size)), reduce: Float64Array.from(g.slice(size)) })
  }
  const found = await largestEigenvalue(addon, session, { relaxed } as unknown as RunningMethod, 7, () => {})
  expect(found).toBeCloseTo(hessian.largest, 4)
  expect(kept).toHaveLength(20)
  const passes = kept.length
  let left = 3
  drops.length = 0
  const goOn = () => {
    if (left-- === 0) throw new Error("enough")
  }
  await expect(
    largestEigenvalue(addon, session, { relaxed } as unknown as RunningMethod, 7, goOn),
  ).rejects.toThrow("enough")
  expect(kept.splice(passes)).toHaveLength(3)
  // The batch is used up by the last pass, and by no other.
  expect(kept.lastIndexOf(true)).toBe(kept.length - 2)
  expect(kept.slice(0, -1).every(Boolean)).toBe(true)
})

describe("searches", () => {
  const data = generateTextures(64, 2)
  const given = {
    ...{ data, space: "darts7-split", channels: 4, layers: 3, batch: 16, epochs: 7, seed: 1 },
    ...{ checkpointEvery: 3 },
  }

  async function eventsOf(options: Parameters<typeof search>[0]): Promise<SearchEvent[]> {
    const events: SearchEvent[] = []
    for await (const event of search(options)) events.push(event)
    return events
  }

  test("end by skips, with everything written, and stay ended", async () => {
    const out = join(folder, "skips")
    // alpha starts at ties, and ties go to skip_connect: the first epoch ends it.
    const events = await eventsOf({ ...given, stopSkips: 2, archLr: 0, out })
    expect(events.map((e) => e.type).filter((t) => t !== "step")).toEqual([
      ...["start", "epoch", "early_stop", "checkpoint", "finished"],
    ])
    expect(events.at(-1)!.step).toBe(2)
    expect(existsSync(join(out, "genotype.json"))).toBe(true)
    const before = readFileSync(join(out, "events.jsonl"), "utf8")
    const again = await search({ resume: out, data }).result()
    expect(again).toMatchObject({ status: "finished", step: 2 })
    expect(readFileSync(join(out, "events.jsonl"), "utf8")).toBe(before)
  })

  test("tell what the method found last, also where the process ended before it was told", async () => {
    const out = join(folder, "found")
    const options = { samples: 30, rankBatches: 1, epochSamples: 2 }
    const run = search({ ...given, method: "random", options, stopSkips: 1, seed: 2, out })
    const told: SearchEvent[] = []
    for await (const event of run) told.push(event)
    const names = ["start", "epoch", "early_stop", "checkpoint", "epoch", "finished"]
    expect(told.map((e) => e.type).filter((t) => t !== "step")).toEqual(names)
    const [before, last] = told.filter((e) => e.type === "epoch")
    const { genotype } = await run.result()
    expect(last).toMatchObject({ whole: false, step: before!.step, genotype })
    expect(before!.genotype).not.toEqual(genotype)

    const lines = readFileSync(join(out, "events.jsonl"), "utf8").trim().split("\n")
    writeFileSync(join(out, "events.jsonl"), `${lines.slice(0, -2).join("\n")}\n`)
    rmSync(join(out, "genotype.json"))
    const again = await eventsOf({ resume: out, data })
    const figures = (e: SearchEvent) => ({ ...e, seconds: 0, peak_bytes: 0 })
    expect(again.filter((e) => e.type === "epoch").map(figures)).toEqual([figures(last!)])
    expect(JSON.parse(readFileSync(join(out, "genotype.json"), "utf8"))).toEqual(genotype)
  })

  test.each(["nasp", "pc-darts", "gdas"])(
    "follow the eigenvalue, the same when resumed: %s",
    { timeout: 60_000 },
    async (method) => {
      const options = { ...given, channels: 8, epochs: 3, method, stopEigenvalue: 1.3 }
      const [whole, parts] = [join(folder, `${method}-whole`), join(folder, `${method}-parts`)]
      const seen = (await eventsOf({ ...options, out: whole })).flatMap((e) =>
        e.type === "epoch" ? [e.eigenvalue] : [],
      )
      expect(seen.every((v) => typeof v === "number" && Number.isFinite(v) && v !== 0)).toBe(true)
      const run = search({ ...options, out: parts })
      for await (const event of run) if (event.type === "step" && event.step === 3) run.stop()
      await search({ resume: parts, data }).result()
      const bytes = (path: string) => readFileSync(join(path, "weights.safetensors")).toString("base64")
      expect(bytes(parts)).toBe(bytes(whole))
      const checkpoint = (path: string) =>
        /"eigenvalues":\[[^\]]*\]/.exec(
          readFileSync(join(path, "checkpoints/step-0000000006.safetensors"), "latin1").replaceAll("\\", ""),
        )?.[0]
      expect(checkpoint(parts)).toBe(checkpoint(whole))
      expect(checkpoint(whole)?.split(",")).toHaveLength(3)
    },
  )
})
