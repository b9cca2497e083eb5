// Runs that were cut, damaged or finished, and are gone on with, on a fake engine.
import { readFileSync, readdirSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, vi } from "vitest"

import type { EpochEvent, SearchEvent, StepEvent } from "../../src/train/events.js"
import { findSide } from "../../src/reproduce/sides.js"
import { runInTurn } from "../../src/reproduce/turns.js"
import { search } from "../../src/train/search.js"
import { fake, fakeAddon } from "./fake-native.js"
import { collect, data, small, useFakeRuns } from "./fake-runs.js"

vi.mock("../../src/native.js", async (original) => ({
  ...(await original<object>()),
  loadNative: () => fakeAddon,
}))

const at = useFakeRuns("going-on")
const checkpoint = (run: string, step: number) =>
  join(at(run), "checkpoints", `step-${String(step).padStart(10, "0")}.safetensors`)
const checkpoints = (run: string) =>
  readdirSync(join(at(run), "checkpoints")).map((name) => Number(/\d+/.exec(name)))

function told(run: string): SearchEvent[] {
  const lines = readFileSync(join(at(run), "events.jsonl"), "utf8")
    .split("\n")
    .filter(Boolean)
  return lines.map((line) => JSON.parse(line) as SearchEvent)
}

function bytesOf(run: string): Record<string, string> {
  const names = readdirSync(at(run), { recursive: true, encoding: "utf8" })
  const kept = names.filter((name) => /safetensors$|genotype/.test(name)).sort()
  return Object.fromEntries(kept.map((name) => [name, readFileSync(join(at(run), name), "base64")]))
}

/** Stops a search by `stop()` after a step. */
async function stoppedAt(step: number, how: Parameters<typeof search>[0], evaluated = false) {
  const running = search(how)
  const events: SearchEvent[] = []
  for await (const event of running) {
    events.push(event)
    if (event.type === "step" && event.step === step) running.stop({ evaluated })
  }
  return { events, result: await running.result() }
}

describe("an events.jsonl that has lost lines", () => {
  it.each([
    ["some", 4],
    ["all", 0],
  ])("is said to have: %s", async (_which, left) => {
    const run = `lost-${left}`
    await stoppedAt(20, { ...small, out: at(run) })
    const lines = told(run).slice(0, left)
    writeFileSync(join(at(run), "events.jsonl"), lines.map((event) => `${JSON.stringify(event)}\n`).join(""))
    const { events } = await stoppedAt(21, { resume: at(run), data })
    const { step = 0 } = lines.at(-1) ?? {}
    expect(events.filter((e) => e.type === "warning").map((e) => e.message)).toEqual([
      expect.stringContaining(`events.jsonl ends at step ${step}, before the checkpoint of step 20`),
    ])
  })

  it("is not, where it has not", async () => {
    await stoppedAt(20, { ...small, out: at("whole") })
    const { events } = await stoppedAt(21, { resume: at("whole"), data })
    expect(events.some((e) => e.type === "warning")).toBe(false)
  })
})

describe("checkpoints behind a damaged one", () => {
  it("are kept when they are written, with one kept and with two", async () => {
    for (const keepCheckpoints of [1, 2]) {
      const run = `keep-${keepCheckpoints}`
      await stoppedAt(20, { ...small, keepCheckpoints, out: at(run) })
      truncateSync(checkpoint(run, 20), 100)
      await stoppedAt(17, { resume: at(run), data })
      expect(checkpoints(run)).toContain(17)
      const { events } = await stoppedAt(18, { resume: at(run), data })
      expect(events.find((e) => e.type === "resume")).toMatchObject({ step: 17 })
    }
  })
})

describe("a run cut at an epoch's end and gone on with", () => {
  it.each(["nasp", "random", "enas"])("by %s is the uninterrupted one", async (method) => {
    const options = { ...small, method, options: method === "enas" ? { controllerSteps: 1 } : {} }
    await search({ ...options, out: at("whole") }).result()
    const cut = await search({ ...options, steps: 13, out: at("cut") }).result()
    // What it found by itself: random search ranks more samples at its end than between epochs.
    const again = await search({ resume: at("cut"), data }).result()
    expect([again.genotype, again.status]).toEqual([cut.genotype, "finished"])
    await search({ resume: at("cut"), steps: 39, data }).result()
    expect(bytesOf("cut")).toEqual(bytesOf("whole"))
    const epochs = (run: string) =>
      told(run).flatMap((e) => {
        if (e.type !== "epoch") return []
        const { step, epoch, whole, val_acc, flipped, genotype } = e
        return [{ step, epoch, whole, val_acc, flipped, genotype }]
      })
    expect(epochs("cut")).toEqual(epochs("whole"))
    expect(epochs("whole").map((e) => e.whole)).toEqual([true, true, true])
  })

  it("evaluates what a method finds at a run's end", async () => {
    const events = await collect(search({ ...small, method: "random", steps: 13 }))
    const epochs = events.filter((e): e is EpochEvent => e.type === "epoch")
    expect(epochs.map((e) => [e.step, e.whole])).toEqual([
      [13, true],
      [13, false],
    ])
    expect(events.at(-1)).toMatchObject({ type: "finished", genotype: epochs[1]!.genotype })
  })

  it("inside an epoch, or stopped there, too", async () => {
    for (const method of ["nasp", "random"]) {
      const options = { ...small, method }
      await search({ ...options, out: at(`${method}-whole`) }).result()
      await search({ ...options, steps: 17, out: at(`${method}-cut`) }).result()
      await stoppedAt(24, { resume: at(`${method}-cut`), steps: 39, data }, true)
      await search({ resume: at(`${method}-cut`), steps: 39, data }).result()
      expect(bytesOf(`${method}-cut`)).toEqual(bytesOf(`${method}-whole`))
      const steps = (run: string) => told(run).flatMap((e) => (e.type === "epoch" ? [e.step] : []))
      expect(steps(`${method}-cut`)).toEqual([13, 26, 39])
    }
  })

  it("ends early where the uninterrupted one does", async () => {
    const options = { ...small, stopSkips: 1, archLr: 0 } // alpha stays: all rows tie, the first operation is the skip
    await search({ ...options, out: at("whole") }).result()
    await search({ ...options, steps: 13, out: at("cut") }).result()
    await search({ resume: at("cut"), steps: 39, data }).result()
    expect(told("whole").some((e) => e.type === "early_stop" && e.step === 13)).toBe(true)
    expect(bytesOf("cut")).toEqual(bytesOf("whole"))
  })
})

describe("an evaluated stop", () => {
  it("tells the architecture and the learning rate of its last step", async () => {
    const nothing = search({ ...small, method: "random" })
    nothing.stop({ evaluated: true })
    expect((await collect(nothing)).map((e) => e.type)).toEqual(["start", "stopped"])
    for (const method of ["gdas", "random"]) {
      const { events, result } = await stoppedAt(16, { ...small, method }, true)
      const step = events.filter((e): e is StepEvent => e.type === "step").at(-1)!
      const epoch = events.filter((e): e is EpochEvent => e.type === "epoch").at(-1)!
      expect(epoch).toMatchObject({ step: 16, lr: step.lr })
      expect(events.at(-1)).toMatchObject({ type: "stopped", genotype: epoch.genotype })
      expect(result.genotype).toEqual(epoch.genotype)
    }
  })
})

describe("a stopped run's budget", () => {
  it("counts what a method found at its end no more than going on keeps it", async () => {
    const planned = {
      side: findSide("random"),
      seed: 7,
      folder: at("a"),
      options: { epochs: 3, batch: 16, channels: 4, layers: 3, seed: 7, method: "random" },
    }
    const first = search({ ...planned.options, out: at("a") })
    for await (const event of first)
      if (event.type === "step" && event.step === 5) first.stop({ evaluated: true })
    const file = join(at("a"), "events.jsonl")
    const ranked = readFileSync(file, "utf8").replace(/"ranking":[^,]*/, '"ranking":1000')
    expect(ranked).toContain('"whole":false')
    writeFileSync(file, ranked)
    let last = 0
    const abort = new AbortController()
    const onEvent = (_run: unknown, event: SearchEvent) => {
      last = event.step
      if (event.type === "step" && event.step > 6) abort.abort()
    }
    await runInTurn([planned], { seconds: 900, onEvent, signal: abort.signal })
    expect(last).toBeGreaterThan(6)
  })
})

describe("going on", () => {
  it("with a finished run tells warnings, and writes none", async () => {
    await search({ ...small, device: "auto", out: at("a") }).result()
    const before = [bytesOf("a"), told("a")]
    for (let i = 0; i < 2; i++) {
      const events = await collect(search({ resume: at("a"), data }))
      expect(events.map((e) => e.type)).toEqual(["warning", "finished"])
      expect([bytesOf("a"), told("a")]).toEqual(before)
    }
  })

  it("refuses fewer steps than are done", async () => {
    await search({ ...small, steps: 15, out: at("a") }).result()
    const before = bytesOf("a")
    await expect(search({ resume: at("a"), steps: 10, data }).result()).rejects.toMatchObject({
      code: "ERR_NASP_ARGUMENT",
      message: "Expected at least the 15 steps that are done for steps but received 10",
    })
    expect(bytesOf("a")).toEqual(before)
  })

  it("begins anew, with a start, where a run was killed before it told anything", async () => {
    const killed = search({ ...small, out: at("a") })
    fake.onStep = () => {
      throw new Error("killed")
    }
    await expect(killed.result()).rejects.toThrow("killed")
    fake.onStep = () => {}
    writeFileSync(join(at("a"), "events.jsonl"), '{"type":"sta')
    const events = await collect(search({ resume: at("a"), data }))
    expect(events[0]).toMatchObject({ type: "start", step: 0, epoch: 0 })
    expect(told("a").filter((e) => e.type === "start")).toHaveLength(1)
  })

  it("counts an epoch's end to the epoch that ended", async () => {
    await stoppedAt(13, { ...small, out: at("a") })
    const events = await collect(search({ resume: at("a"), steps: 14, data }))
    expect(events[0]).toMatchObject({ type: "resume", step: 13, epoch: 0 })
  })
})

describe("what steps see", () => {
  it("is each image of the training half once an epoch, alpha's of the other half, each draw its own", async () => {
    await search({ ...small, epochs: 2, cutout: 6 }).result()
    const isTraining = ({ indices }: (typeof fake.queued)[number]) => indices.every((i) => i < 100)
    const training = fake.queued.filter(isTraining)
    expect(training).toHaveLength(26)
    const order = [0, 1].map((e) => training.slice(13 * e, 13 * e + 13).flatMap((b) => b.indices))
    const sorted = (list: number[]) => [...list].sort((a, b) => a - b)
    for (const epoch of order) expect(sorted(epoch)).toEqual(Array.from({ length: 100 }, (_, i) => i))
    expect(order[0]).not.toEqual(order[1])
    for (const batch of fake.queued.filter((b) => !isTraining(b)))
      expect(batch.indices.every((i) => i >= 100 && i < 200)).toBe(true)
    for (const { augment } of fake.queued)
      expect(augment).toMatchObject({ cutout: 6, seed: 7, ...data.augment })
    const counters = fake.queued.flatMap(({ augment, indices }) => indices.map((_, i) => augment.counter + i))
    expect(new Set(counters).size).toBe(counters.length)
  })
})
