// What a run tells beside its losses, so that figures can be drawn from its folder: alpha, its moves, the selection,
// the derived net. None of it changes the run. On a fake engine.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"

import { halvesOf, type TrainRecords, type ValidationRecords } from "../../src/data/halves.js"
import { generateTextures } from "../../src/data/generated.js"
import type { EpochEvent, SearchEvent, StartEvent, StepEvent } from "../../src/train/events.js"
import type { SearchOptions } from "../../src/train/plan.js"
import { readRunEvents } from "../../src/train/run-folder.js"
import { search } from "../../src/train/search.js"
import { fake, fakeAddon, resetFake } from "./fake-native.js"

vi.mock("../../src/native.js", async (original) => ({
  ...(await original<object>()),
  loadNative: () => fakeAddon,
}))

const data = generateTextures(200, 3)
// 100 images train: 13 steps an epoch. Alpha moves fast enough to change the selection.
const small: SearchOptions = {
  data,
  epochs: 3,
  batch: 8,
  channels: 4,
  layers: 3,
  seed: 7,
  checkpointEvery: 5,
  archLr: 0.01,
}

let folder = ""
beforeEach(() => {
  resetFake()
  folder = mkdtempSync(join(tmpdir(), "nasp-measures-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))
const at = (name: string) => join(folder, name)

const epochsOf = (events: SearchEvent[]) => events.filter((e): e is EpochEvent => e.type === "epoch")
const stepsOf = (events: SearchEvent[]) => events.filter((e): e is StepEvent => e.type === "step")

function safetensors(run: string): Record<string, string> {
  const names = readdirSync(run, { recursive: true, encoding: "utf8" }).filter((n) => /safetensors$/.test(n))
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(run, name)).toString("base64")]))
}

async function collect(options: SearchOptions): Promise<SearchEvent[]> {
  const told: SearchEvent[] = []
  for await (const event of search(options)) told.push(event)
  return told
}

describe("alpha in the events", () => {
  it("says where alpha starts, where it is after an epoch, how far it moved and what it selects", async () => {
    const told = await collect({ ...small, steps: 1 })
    const start = told[0] as StartEvent
    const [epoch] = epochsOf(told)
    const [step] = stepsOf(told)
    expect(start.operations.normal).toHaveLength(8)
    expect(start.alpha.normal).toEqual(Array.from({ length: 14 }, () => new Array(8).fill(0.5)))
    expect(start.parameters).toBe(4)
    const moves = (["normal", "reduce"] as const).flatMap((type) =>
      epoch!.alpha[type].flatMap((row, e) => row.map((v, k) => v - start.alpha[type][e]![k]!)),
    )
    expect(step!.alpha_change).toBeGreaterThan(0)
    expect(step!.alpha_change).toBeCloseTo(Math.hypot(...moves), 9)
    const largest = epoch!.alpha.normal.map((row) => row.indexOf(Math.max(...row)))
    const kept = epoch!.selection.normal.flatMap((column, e) => (column < 0 ? [] : [[e, column]]))
    expect(kept).toHaveLength(8)
    expect(kept).toEqual(kept.map(([e]) => [e, largest[e!]]))
    const moved = [...largest, ...epoch!.alpha.reduce.map((row) => row.indexOf(Math.max(...row)))]
    expect(step!.rows_flipped).toBe(moved.filter((column) => column !== 0).length)
  })

  it("is told the same by a run that was stopped and resumed", async () => {
    const whole = await collect({ ...small, out: at("whole") })
    const first = search({ ...small, out: at("cut") })
    fake.onStep = (n) => n === 17 && first.stop()
    await first.result()
    fake.onStep = () => {}
    await search({ resume: at("cut"), data }).result()
    const timeless = (events: SearchEvent[]) =>
      [...stepsOf(events), ...epochsOf(events)].map((e) => ({ ...e, seconds: 0, peak_bytes: 0 }))
    expect(timeless(readRunEvents(at("cut")))).toEqual(timeless(JSON.parse(JSON.stringify(whole))))
  })
})

describe("the derived net", () => {
  it("is evaluated on request, at the genotype's matrices, and changes nothing", async () => {
    await search({ ...small, out: at("plain") }).result()
    const told = await collect({ ...small, evaluateDerived: true, out: at("measured") })
    expect(epochsOf(told).map((e) => e.derived?.accuracy)).toEqual([
      expect.any(Number),
      expect.any(Number),
      expect.any(Number),
    ])
    expect(safetensors(at("measured"))).toEqual(safetensors(at("plain")))
    expect(epochsOf(await collect(small))[0]).not.toHaveProperty("derived")
  })

  it("can be asked of a run that began before there was such an option", async () => {
    await search({ ...small, steps: 20, out: at("old") }).result()
    const file = at("old/config.json")
    const record = JSON.parse(readFileSync(file, "utf8")) as { config: Record<string, unknown> }
    delete record.config.evaluateDerived
    writeFileSync(file, JSON.stringify(record))
    expect(await search({ resume: at("old"), steps: 39, data }).result()).toMatchObject({ step: 39 })
  })
})

describe("an end that is evaluated", () => {
  it("tells an epoch event for the steps since the last one, and the run can go on to the same bytes", async () => {
    await search({ ...small, out: at("whole") }).result()
    const running = search({ ...small, out: at("cut") })
    const told: SearchEvent[] = []
    for await (const event of running) {
      told.push(event)
      if (event.type === "step" && event.step === 16) running.stop({ evaluated: true })
    }
    expect(epochsOf(told).map((e) => [e.epoch, e.step])).toEqual([
      [0, 13],
      [1, 16],
    ])
    expect(told.at(-1)).toMatchObject({ type: "stopped", step: 16 })
    await search({ resume: at("cut"), data }).result()
    expect(safetensors(at("cut"))).toEqual(safetensors(at("whole")))
  })

  it("tells no second one where an epoch has just ended", async () => {
    const running = search(small)
    const told: SearchEvent[] = []
    for await (const event of running) {
      told.push(event)
      if (event.type === "step" && event.step === 13) running.stop({ evaluated: true })
    }
    expect(epochsOf(told).map((e) => e.step)).toEqual([13])
  })
})

describe("the halves of the records", () => {
  it("do not overlap, cover everything, and are of different types", () => {
    const { train, validation } = halvesOf(7)
    const a: TrainRecords = train.records([0, 1, 2])
    const b: ValidationRecords = validation.records([0, 1, 2, 3])
    expect([train.count, validation.count]).toEqual([3, 4])
    expect([...a, ...b]).toEqual([0, 1, 2, 3, 4, 5, 6])
    // @ts-expect-error a record of one half is none of the other
    const mixed: TrainRecords = b
    expect(mixed).toBe(b)
  })
})
