// What a run tells beside its losses, so that figures can be drawn from its folder: alpha, its moves, the selection,
// the derived net. None of it changes the run. On a fake engine.
import { readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, vi } from "vitest"

import {
  halvesOf,
  type TrainFigure,
  type TrainRecords,
  type ValidationFigure,
  type ValidationRecords,
} from "../../src/data/halves.js"
import { readHistory } from "../../src/reproduce/history.js"
import { noSeconds, upkeep } from "../../src/train/epoch-totals.js"
import type { EpochEvent, SearchEvent, StartEvent, StepEvent } from "../../src/train/events.js"
import type { SearchOptions } from "../../src/train/plan.js"
import { readRunEvents } from "../../src/train/run-folder.js"
import { search } from "../../src/train/search.js"
import { fake, fakeAddon } from "./fake-native.js"
import { collect, data, small as smallRun, useFakeRuns } from "./fake-runs.js"

vi.mock("../../src/native.js", async (original) => ({
  ...(await original<object>()),
  loadNative: () => fakeAddon,
}))

const at = useFakeRuns("measures")
// Alpha moves fast enough to change the selection.
const small: SearchOptions = { ...smallRun, archLr: 0.01 }

const epochsOf = (events: SearchEvent[]) => events.filter((e): e is EpochEvent => e.type === "epoch")
const stepsOf = (events: SearchEvent[]) => events.filter((e): e is StepEvent => e.type === "step")

function safetensors(run: string): Record<string, string> {
  const names = readdirSync(run, { recursive: true, encoding: "utf8" }).filter((n) => /safetensors$/.test(n))
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(run, name)).toString("base64")]))
}

const tell = (options: SearchOptions) => collect(search(options))

describe("seconds of an epoch", () => {
  it("are told apart: data prepared beside the steps, the log, and whoever listens", async () => {
    let listened = 0
    const epochs: EpochEvent[] = []
    for await (const event of search({ ...small, epochs: 2, out: at("run") })) {
      const began = performance.now()
      while (event.type === "step" && performance.now() < began + 1);
      if (event.type === "step" && event.epoch === 0) listened += (performance.now() - began) / 1000
      if (event.type === "epoch") epochs.push(event)
    }
    const [first, second] = epochs.map((e) => e.seconds)
    // 13 steps, a batch for the weights and one for alpha in each, half a second each says the fake engine.
    expect(first!.preparation).toBe(13)
    expect(first!.listener).toBeGreaterThanOrEqual(listened)
    expect(first!.logging).toBeGreaterThan(0)
    expect(second!.checkpoint).toBeGreaterThan(0)
    for (const { total, preparation, ...parts } of [first!, second!]) {
      expect(preparation).toBe(13)
      expect(Object.values(parts).reduce((sum, s) => sum + s)).toBeLessThanOrEqual(total)
    }
  })

  it("that are not passes, as a share of what the epoch took", () => {
    const seconds = { ...noSeconds(), data: 1, preparation: 2, logging: 3, checkpoint: 4, listener: 90 }
    expect(upkeep({ ...seconds, validation: 500, total: 590 })).toBeCloseTo(10 / 500, 12)
  })
})

describe("alpha in the events", () => {
  it("says where alpha starts, where it is after an epoch, how far it moved and what it selects", async () => {
    const told = await tell({ ...small, steps: 1 })
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
    const whole = await tell({ ...small, out: at("whole") })
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
    const told = await tell({ ...small, evaluateDerived: true, out: at("measured") })
    expect(epochsOf(told).map((e) => e.derived?.accuracy)).toEqual([
      expect.any(Number),
      expect.any(Number),
      expect.any(Number),
    ])
    expect(safetensors(at("measured"))).toEqual(safetensors(at("plain")))
    expect(epochsOf(await tell(small))[0]).not.toHaveProperty("derived")
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

  it("are told apart in what was measured on them, from the event to the figure", async () => {
    const [epoch] = epochsOf(await tell({ ...small, epochs: 1, out: at("run") }))
    const [moment] = readHistory(at("run")).moments
    const trained: TrainFigure = epoch!.train_acc
    const validated: ValidationFigure = epoch!.val_acc
    // @ts-expect-error a figure of one half is none of the other
    const mixed: ValidationFigure = epoch!.train_acc
    // @ts-expect-error nor is it in what is drawn
    const drawn: ValidationFigure = moment!.train
    expect([moment!.train, moment!.validation, mixed, drawn]).toEqual([trained, validated, trained, trained])
  })
})
