// Comparisons from runs to reports, on a fake engine: turns, budgets, going on, drawing again, what is refused.
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { describe, expect, it, vi } from "vitest"

import type * as generatedModule from "../../src/data/generated.js"
import { flagField, type Fields } from "../../src/expect.js"
import { findMethod } from "../../src/methods/index.js"
import { comparisons } from "../../src/reproduce/index.js"
import {
  planRuns,
  runComparison,
  type Comparison,
  type ComparisonOptions,
} from "../../src/reproduce/comparison.js"
import { atBound, bandWithin } from "../../src/reproduce/curves.js"
import { readHistories } from "../../src/reproduce/history.js"
import { savedStep } from "../../src/train/checkpoint.js"
import { entriesOfRuns, leftOut } from "../../src/reproduce/table6.js"
import type { SearchEvent } from "../../src/train/events.js"
import type { Report } from "../../src/reproduce/report.js"
import type { PlannedRun } from "../../src/reproduce/turns.js"
import { csv } from "../../src/reproduce/text-table.js"
import { fake, fakeAddon } from "../train/fake-native.js"
import { useFakeRuns } from "../train/fake-runs.js"

vi.mock("../../src/native.js", async (original) => ({
  ...(await original<object>()),
  loadNative: () => fakeAddon,
}))
vi.mock("../../src/data/generated.js", async (original) => {
  const actual = await original<typeof generatedModule>()
  const data = actual.generateTextures(200, 1)
  return { ...actual, generated: { ...actual.generated, load: () => data } }
})

// 100 images train: 7 steps an epoch.
const small = { batch: 16, channels: 4, layers: 3, epochs: 3, seeds: 2, archLr: 0.02, checkpointEvery: 5 }

const at = useFakeRuns("reproduce")

/** A picture's text, its lines joined. */
const textOf = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, line]) => line).join(" ")

const find = (name: string) => comparisons.find((c) => c.name === name) as Comparison

async function run(name: string, options: Partial<ComparisonOptions> = {}) {
  const histories = await runComparison(find(name), {
    given: small,
    out: at(name),
    onEvent: () => {},
    signal: new AbortController().signal,
    ...options,
  })
  return histories!
}

/** Options of the first run that section 4.5 would have. */
function planned(options: Partial<ComparisonOptions>) {
  const { signal } = new AbortController()
  const { runs } = planRuns(find("section4.5"), {
    given: small,
    out: at("x"),
    onEvent: () => {},
    signal,
    ...options,
  })
  return runs[0]!.options
}

describe("runs of a comparison", () => {
  it("take turns, an epoch each, seed after seed, with equal steps", async () => {
    const turns: string[] = []
    const onEvent = ({ side, seed }: PlannedRun, event: SearchEvent) => {
      if (event.type === "epoch") turns.push(`${side.name} ${seed} ${event.step}`)
    }
    const histories = await run("section4.5", { budget: "16", onEvent })
    const ofSeed = (seed: number) =>
      [7, 14, 16].flatMap((step) => ["nasp", "lazy-pa", "pa"].map((side) => `${side} ${seed} ${step}`))
    expect(turns).toEqual([...ofSeed(0), ...ofSeed(1)])
    expect(histories.map((h) => [h.side.name, h.seed, h.moments.at(-1)?.step])).toEqual([
      ["nasp", 0, 16],
      ["nasp", 1, 16],
      ["lazy-pa", 0, 16],
      ["lazy-pa", 1, 16],
      ["pa", 0, 16],
      ["pa", 1, 16],
    ])
  })

  it("end with an evaluated moment where their seconds are used up", async () => {
    const histories = await run("figure3", {
      sides: ["nasp", "lazy-pa"],
      budget: "0.05s",
      given: { ...small, epochs: 5000 },
    })
    for (const { moments } of histories) {
      const last = moments.at(-1)!
      expect(last.seconds).toBeGreaterThanOrEqual(0.05)
      expect(last.seconds - moments.at(-1)!.sinceLast.stepSeconds).toBeLessThan(0.05)
      expect(last.step).toBe(moments.reduce((sum, m) => sum + m.sinceLast.steps, 0))
      expect(last.epochs).toBe(last.step / 7)
    }
  })

  it("keep an epoch's steps where what a method finds at the end stands for it", async () => {
    const [history] = await run("figure3", { sides: ["random"], budget: "14", given: { ...small, seeds: 1 } })
    expect(history!.moments.map((m) => m.sinceLast.steps)).toEqual([7, 7])
    const told = readFileSync(at("figure3/runs/random-seed0/events.jsonl"), "utf8").trim().split("\n")
    const epochs = told.map((line) => JSON.parse(line) as SearchEvent).filter((e) => e.type === "epoch")
    expect(epochs.map((e) => [e.step, e.whole])).toEqual([
      [7, true],
      [14, true],
      [14, false],
    ])
    expect(history!.moments.at(-1)!.genotype).toEqual(epochs.at(-1)!.genotype)
  })

  it("last all epochs, and as many more as make the least steps, unless a budget says otherwise", async () => {
    const all = await run("figure4", { sides: ["nasp"] })
    expect(all.map((h) => h.moments.at(-1)?.step)).toEqual([21, 21])
    expect(planned({})).toMatchObject({ steps: 4000, epochs: 572 })
    expect(planned({ budget: "2epochs" })).toMatchObject({ steps: 14, epochs: 3 })
  })

  it("go on after an interruption to the same bytes", async () => {
    const whole = await run("figure3", { sides: ["nasp", "pa"], budget: "21", out: at("whole") })
    const abort = new AbortController()
    let steps = 0
    const stopped = await runComparison(find("figure3"), {
      given: small,
      sides: ["nasp", "pa"],
      budget: "21",
      out: at("cut"),
      onEvent: (_run, event) => void (event.type === "step" && ++steps === 17 && abort.abort()),
      signal: abort.signal,
    })
    expect(stopped).toBeNull()
    const gone = await run("figure3", { sides: ["nasp", "pa"], budget: "21", out: at("cut") })
    const numbers = (histories: typeof whole) =>
      histories.map((h) => h.moments.map(({ step, validation, alpha }) => ({ step, validation, alpha })))
    expect(numbers(gone)).toEqual(numbers(whole))
    for (const name of ["nasp-seed0", "pa-seed1"]) {
      const weights = (out: string) => readFileSync(at(`${out}/runs/${name}/weights.safetensors`), "base64")
      expect(weights("cut")).toBe(weights("whole"))
    }
    expect(fake.disposed).toBe(fake.sessions)
  })

  it("go on with runs of so many steps for a time, and for more steps", async () => {
    const options = { sides: ["nasp"], given: { ...small, seeds: 1, epochs: 5000 } }
    const ends = async (budget: string) =>
      (await run("figure3", { ...options, budget })).map((h) => h.moments.at(-1)!)[0]!
    expect((await ends("4")).step).toBe(4)
    const { seconds } = await ends("9")
    const more = await ends(`${(seconds + 0.05).toFixed(3)}s`)
    expect(more.seconds).toBeGreaterThanOrEqual(seconds + 0.049)
    expect(more.step).toBeGreaterThan(9)
    // Less than it has had: it stays as it is.
    expect(await ends("9")).toEqual(more)
  })

  it("do again, and count only once, what was done behind a run's last checkpoint", async () => {
    const options = { sides: ["nasp"], given: { ...small, seeds: 1, epochs: 5000 } }
    const [first] = await run("figure3", { ...options, budget: "4" })
    const saved = first!.moments.at(-1)!.seconds
    const events = at("figure3/runs/nasp-seed0/events.jsonl")
    const step = readFileSync(events, "utf8")
      .split("\n")
      .find((line) => line.includes('"type":"step"'))!
    const lost = { ...(JSON.parse(step) as object), step: 5, seconds: 1000 }
    writeFileSync(events, `${readFileSync(events, "utf8")}${JSON.stringify(lost)}\n`)
    const [history] = await run("figure3", { ...options, budget: `${(saved + 0.05).toFixed(3)}s` })
    expect(history!.moments.at(-1)!.step).toBeGreaterThan(4)
    expect(history!.moments.at(-1)!.seconds).toBeLessThan(1000)
  })

  it("count rankings between epochs and at their end, but none at an end that going on drops", async () => {
    const options = { sides: ["random"], given: { ...small, seeds: 1, epochs: 5000 } }
    await run("figure3", { ...options, budget: "10" })
    const file = at("figure3/runs/random-seed0/events.jsonl")
    const events = () =>
      readFileSync(file, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as SearchEvent)
    const longer = events().map((e) =>
      e.type === "epoch" ? { ...e, seconds: { ...e.seconds, ranking: e.whole ? 500 : 1000 } } : e,
    )
    expect(longer.filter((e) => e.type === "epoch").map((e) => e.whole)).toEqual([true, false])
    writeFileSync(file, longer.map((e) => `${JSON.stringify(e)}\n`).join(""))

    const abort = new AbortController()
    const onEvent = vi.fn(() => abort.abort())
    await run("figure3", { ...options, budget: "400s", onEvent, signal: abort.signal })
    expect(onEvent).not.toHaveBeenCalled() // it has had them

    let told = 0
    const tell = (_run: PlannedRun, _event: SearchEvent, seconds: number) => void (told = seconds)
    const [history] = await run("figure3", { ...options, budget: "500.5s", onEvent: tell })
    const seconds = events().map((e) =>
      e.type === "step" ? e.seconds : e.type === "epoch" ? e.seconds.ranking : 0,
    )
    const last = history!.moments.at(-1)!
    expect(last.step).toBeGreaterThan(10)
    expect(events().at(-2)).toMatchObject({ type: "epoch", whole: false })
    expect(told).toBeCloseTo(
      seconds.reduce((sum, s) => sum + s, 0),
      9,
    )
    expect(last.seconds).toBeCloseTo(told, 9)
  })

  it("are evaluated at last where they were killed in the evaluation that ends their time", async () => {
    const options = { sides: ["nasp"], budget: "0.05s", given: { ...small, seeds: 1, epochs: 5000 } }
    fake.onStep = (step) => {
      const began = performance.now()
      while (step === 4 && performance.now() < began + 60); // ends the time within the first epoch
    }
    const whole = (await run("figure3", options))[0]!.moments.at(-1)!
    expect(whole.sinceLast.whole).toBe(false)
    const events = at("figure3/runs/nasp-seed0/events.jsonl")
    const lines = readFileSync(events, "utf8").split("\n")
    const end = lines.findIndex((line) => line.includes('"whole":false'))
    writeFileSync(events, lines.slice(0, end).join("\n") + "\n")
    const again = (await run("figure3", options))[0]!.moments.at(-1)!
    expect([again.step, again.validation]).toEqual([whole.step, whole.validation])
    expect(again.seconds).toBeCloseTo(whole.seconds, 3)
    const told = readFileSync(events, "utf8")
    await run("figure3", options) // evaluated: it stays as it is
    expect(readFileSync(events, "utf8")).toBe(told)
  })

  it("name every option that is not the paper's, once where it is all sides'", async () => {
    const given = { ...small, seeds: 1, lr: 0.2, cutout: 4 }
    const options = { sides: ["nasp", "lazy-pa", "darts-2"], budget: "3", given, set: ["edges=all"] }
    const { text, json } = find("figure3").draw(await run("figure3", options))
    expect(text).toContain(
      `; epochs 3 (default 50); batch 16 (default 64); channels 4 (default 16); layers 3 (default 8); lr 0.2 (default 0.025); archLr 0.02 (default 0.0003); cutout 4 (default 0); ` +
        `NASP: edges "all" (default "two"); PA (lazy update): edges "all" (default "two"); `,
    )
    const { runs } = JSON.parse(JSON.stringify(json)) as { runs: { changed: object }[] }
    const common = { epochs: 3, batch: 16, channels: 4, layers: 3, lr: 0.2, archLr: 0.02, cutout: 4 }
    const own = { ...common, edges: "all" }
    expect(runs.map(({ changed }) => changed)).toEqual([own, common, own])
  })

  it("are evaluated also where the signal comes in the step that ends their time", async () => {
    const abort = new AbortController()
    const budget = 0.05
    const onEvent = (_run: PlannedRun, event: SearchEvent, seconds: number) => {
      if (seconds >= budget) abort.abort() // by a step, or by what the method does between epochs
    }
    const given = { ...small, seeds: 1, epochs: 5000 }
    const cut = await run("figure3", {
      ...{ sides: ["nasp", "pa"], budget: `${budget}s`, given, onEvent, signal: abort.signal },
    })
    expect(cut).toBeNull()
    const ends = readHistories([at("figure3")]).map(({ moments }) => moments.at(-1)?.seconds ?? 0)
    expect(ends.filter((seconds) => seconds >= budget)).toHaveLength(1)
  })

  it("go on without one that diverges, and say so", async () => {
    const warnings: string[] = []
    const onEvent = ({ side }: PlannedRun, event: SearchEvent) => {
      if (event.type === "warning") warnings.push(`${side.name} ${event.step}: ${event.message}`)
      fake.divergeAt = side.name === "pa" && event.type === "step" && event.step === 9 ? 10 : 0
    }
    const options = { sides: ["nasp", "pa"], budget: "21", given: { ...small, seeds: 1 } }
    const histories = await run("figure3", { ...options, onEvent })
    expect(histories.map((h) => [h.side.name, h.ended, h.moments.at(-1)?.step])).toEqual([
      ["nasp", true, 21],
      ["pa", false, 7],
    ])
    expect(warnings).toEqual([expect.stringMatching(/^pa 9: The search diverged at step 10: .*NaN/)])
    expect(find("figure3").draw(histories).text).toContain(
      "Cut (diverged, killed or still running): PA (standard), seed 0, after step 7.",
    )
    expect(fake.disposed).toBe(fake.sessions)
  })

  it("save where another one fails", async () => {
    const onEvent = ({ side }: PlannedRun, event: SearchEvent) => {
      if (side.name !== "pa" || event.step !== 3) return
      fake.onStep = () => {
        fake.onStep = () => {}
        throw new Error("no room")
      }
    }
    const options = { sides: ["nasp", "pa", "darts"], budget: "21", given: { ...small, seeds: 1 } }
    await expect(run("figure3", { ...options, onEvent })).rejects.toThrow("no room")
    expect(savedStep(at("figure3/runs/nasp-seed0"))).toBe(7)
    expect(readdirSync(at("figure3/runs"))).not.toContain("pa-seed1")
    expect(fake.disposed).toBe(fake.sessions)
    expect((await run("figure3", options)).map((h) => h.moments.at(-1)?.step)).toEqual([21, 21, 21])
  })

  it("read their data where these lie now", async () => {
    const records = Buffer.from(Array.from({ length: 40 * 3073 }, (_, i) => (i % 3073 === 0 ? 1 : i % 251)))
    for (const name of ["here", "there"]) {
      mkdirSync(at(name))
      writeFileSync(at(`${name}/data_batch_1.bin`), records)
    }
    const options = (name: string) => ({
      ...{ sides: ["nasp"], given: { ...small, seeds: 1, data: "cifar10", dataDir: at(name) } },
    })
    await run("figure3", { ...options("here"), budget: "1" })
    rmSync(at("here"), { recursive: true })
    const [history] = await run("figure3", { ...options("there"), budget: "2" })
    expect([history!.moments.at(-1)?.step, history!.config.dataDir]).toEqual([2, at("there")])
  })

  it("take the methods' options that fit them", async () => {
    const histories = await run("figure3", {
      sides: ["nasp", "darts"],
      budget: "1",
      set: ["value=kept", "alphaNoise=0.001"],
    })
    expect(histories.map((h) => h.config.options.value)).toEqual(["kept", "kept", undefined, undefined])
    expect(histories[0]?.config.options.alphaNoise).toBe(0.001)
    expect(histories[2]?.config.options.order).toBe("first")
  })

  it("take costs from a JSON file, and a flag as true or false", async () => {
    const cost = { conv_3x3: 1 }
    writeFileSync(at("cost.json"), JSON.stringify(cost))
    expect(planned({ set: [`cost=${at("cost.json")}`] }).options).toEqual({ cost })
    expect(planned({ set: ["cost=flops"] }).options).toEqual({ cost: "flops" })
    expect(() => planned({ set: ["cost=none.json"] })).toThrow(/JSON file .* for cost but received none.json/)
    const fields: Fields = findMethod("nasp").fields
    fields.flag = flagField("of this test")
    try {
      expect(planned({ set: ["flag=true"] }).options).toEqual({ flag: true })
      expect(planned({ set: ["flag=false"] }).options).toEqual({ flag: false })
      expect(() => planned({ set: ["flag=1"] })).toThrow(/true or false for flag but received the text "1"/)
    } finally {
      delete fields.flag
    }
  })
})

describe("what is refused", () => {
  it.each([
    [{ sides: ["nope"] }, /for sides but received nope/],
    [{ sides: ["nasp", "pa", "nasp"] }, /each name once for sides but received nasp,pa,nasp/],
    [{ set: ["nope=1"] }, /an option of nasp, lazy-pa, pa \(.*edges, .*\) for set but received nope/],
    [{ set: ["value"] }, /Expected name=value for set/],
    [{ set: ["value=nope"] }, /for value but received nope/],
    [{ budget: "soon" }, /for budget but received soon/],
    [
      { budget: "4", given: { ...small, compareOrders: 5 } },
      /at most the 4 steps of a run for compareOrders but received 5/,
    ],
    [{ given: { ...small, seeds: 0 } }, /for seeds but received 0/],
    [{ given: { ...small, space: "nope" } }, /for space but received nope/],
  ])("%j", async (options, message) => {
    await expect(run("section4.5", options as Partial<ComparisonOptions>)).rejects.toThrow(message)
  })

  it("a folder whose runs have other options, by the option, before anything runs", async () => {
    await run("figure4", { sides: ["nasp"], budget: "1" })
    rmSync(at("figure4/runs/nasp-seed0"), { recursive: true })
    const started = fake.sessions
    const again = (options: object, given: object = {}) =>
      run("figure4", { sides: ["nasp"], budget: "2", given: { ...small, ...given }, ...options })
    for (const [given, message] of [
      [{ lr: 0.1 }, "Expected 0.025, as the run in .*nasp-seed1 has it, for lr but received 0.1"],
      [{ evaluateDerived: true }, "Expected false, .* for evaluateDerived but received true"],
      [{ compareOrders: 2 }, "Expected 0, .* for compareOrders but received 2"],
      [{ device: "auto" }, "Expected cpu, .* for device but received auto"],
      [{ checkpointEvery: 7 }, "Expected 5, .* for checkpointEvery but received 7"],
      [{ keepCheckpoints: 3 }, "Expected 2, .* for keepCheckpoints but received 3"],
    ] as const)
      await expect(again({}, given)).rejects.toThrow(new RegExp(message))
    await expect(again({ set: ["value=kept"] })).rejects.toThrow(/for value but received kept/)
    expect(fake.sessions).toBe(started)
    expect((await again({}, { threads: 1 })).map((h) => h.moments.at(-1)?.step)).toEqual([2, 2])
  })

  it("another schedule than that of the folder's runs, with the epochs that help", async () => {
    const again = (epochs: number, budget: string) =>
      run("figure4", { sides: ["nasp"], budget, given: { ...small, seeds: 1, epochs } })
    await again(1, "8") // 7 steps an epoch: the schedule has 2
    await expect(again(1, "15")).rejects.toThrow(
      /^15 steps need the schedule of --epochs 3, but .*nasp-seed0 keeps that of --epochs 2: give --epochs 3 from the start/,
    )
    for (const budget of ["2", "30s"])
      await expect(again(1, budget)).rejects.toThrow(
        /keeps the schedule of --epochs 2, but this call has that of --epochs 1: give --epochs 2 to go on/,
      )
    expect((await again(2, "14")).map((h) => h.moments.at(-1)?.step)).toEqual([14])
  })

  it("before anything is told or written", async () => {
    const onStart = vi.fn()
    await expect(run("figure4", { sides: ["nope"], onStart })).rejects.toThrow(/for sides/)
    await run("figure4", { sides: ["nasp"], budget: "1" })
    const other = { sides: ["nasp"], budget: "1", given: { ...small, lr: 0.1 } }
    await expect(run("figure4", { ...other, onStart })).rejects.toThrow(/for lr/)
    expect(onStart).not.toHaveBeenCalled()
    await run("figure4", { sides: ["nasp"], budget: "1", onStart })
    expect(onStart).toHaveBeenCalledOnce()
  })

  it("a folder without runs, and one of an older version", async () => {
    await run("figure4", { sides: ["nasp"], budget: "1" })
    mkdirSync(at("empty"))
    expect(() => readHistories([at("empty")])).toThrow(/found no run in .*empty/)
    expect(() => readHistories([at("none")])).toThrow(/a folder of runs but .*none does not exist/)
    writeFileSync(at("file"), "")
    expect(() => readHistories([at("file")])).toThrow(/found no run in .*file/)
    const events = at("figure4/runs/nasp-seed0/events.jsonl")
    const lines = readFileSync(events, "utf8").replaceAll(/"alpha":\{.*?\]\]\}/g, '"old":0')
    writeFileSync(events, lines)
    expect(() => readHistories([at("figure4")])).toThrow(/made by an older version/)
  })

  describe("events that are none, by line and field", () => {
    const folder = () => at("second-order/runs/nasp-seed0")
    const events = () => `${folder()}/events.jsonl`
    const lines = () => readFileSync(events(), "utf8").trimEnd().split("\n")
    const given = { ...small, seeds: 1, compareOrders: 2, evaluateDerived: true }
    const begin = () => run("second-order", { sides: ["nasp"], budget: "7", given })
    /** The first line of a type, from 0, and its event. */
    const firstOf = (type: string) => {
      const place = lines().findIndex((line) => line.includes(`"type":"${type}"`))
      return [place, JSON.parse(lines()[place]!) as Record<string, unknown>] as const
    }
    const write = (place: number, line: string) =>
      writeFileSync(
        events(),
        `${lines()
          .map((l, i) => (i === place ? line : l))
          .join("\n")}\n`,
      )
    const refused = (place: number, words: string) => {
      const message = `Expected ${words.replace(" in but ", ` in line ${place + 1} of ${events()} but `)}`
      const error = expect.objectContaining({ code: "ERR_NASP_RUN_FOLDER", message }) as Error
      expect(() => readHistories([folder()])).toThrow(error)
      return error
    }

    it.each<[string, Record<string, unknown>, string]>([
      ["step", { seconds: "0.5" }, 'a number from 0 for seconds in but received the text "0.5"'],
      ["step", { seconds: -1 }, "a number from 0 for seconds in but received -1"],
      ["step", { alpha_change: null }, "a number from 0 for alpha_change in but received null"],
      ["step", { count: "8" }, 'an integer from 0 for count in but received the text "8"'],
      ["step", { rows_flipped: 0.5 }, "an integer from 0 for rows_flipped in but received 0.5"],
      ["step", { step: "1" }, 'an integer from 0 for step in but received the text "1"'],
      ["step", { type: null }, "a string for type in but received null"],
      ["epoch", { val_acc: null }, "a number from 0 to 1 for val_acc in but received null"],
      ["epoch", { val_acc: 45 }, "a number from 0 to 1 for val_acc in but received 45"],
      ["epoch", { train_acc: "x" }, "a number from 0 to 1 for train_acc in but received x"],
      ["epoch", { whole: 1 }, "true or false, or nothing, for whole in but received 1"],
      ["epoch", { genotype: {} }, "a genotype for genotype in but received {}"],
      [
        "epoch",
        { seconds: { ranking: null } },
        'seconds by phase, ranking among them for seconds in but received {"ranking":null}',
      ],
      [
        "epoch",
        { seconds: { ranking: 0, data: "1" } },
        'seconds by phase, ranking among them for seconds in but received {"ranking":0,"data":"1"}',
      ],
      [
        "epoch",
        { alpha: null },
        "14 rows of numbers for normal and reduce, or nothing, for alpha in but received null",
      ],
      [
        "epoch",
        { selection: { normal: [0], reduce: [] } },
        '14 columns, -1 for none, for normal and reduce for selection in but received {"normal":[0],"reduce":[]}',
      ],
      [
        "epoch",
        { derived: { accuracy: 0.5 } },
        'three accuracies from 0 to 1, or nothing, for derived in but received {"accuracy":0.5}',
      ],
      ["orders", { cosine: "1" }, 'a number or null for cosine in but received the text "1"'],
      ["start", { steps_per_epoch: 0 }, "an integer from 1 for steps_per_epoch in but received 0"],
      ["start", { cpu: undefined }, "a string for cpu in but received undefined"],
      ["start", { operations: 3 }, "names for normal and reduce for operations in but received 3"],
    ])("%s: %j", async (type, change, words) => {
      await begin()
      const [place, event] = firstOf(type)
      write(place, JSON.stringify({ ...event, ...change }))
      const error = refused(place, words)
      const started = fake.sessions
      await expect(begin()).rejects.toThrow(error)
      expect(fake.sessions).toBe(started)
    })

    it("a line that is none, where it is not the last one, which a killed process left half", async () => {
      const [before] = await begin()
      const [place, event] = firstOf("step")
      writeFileSync(events(), `${lines().join("\n")}\n{"type":"st`)
      expect(readHistories([folder()])).toEqual([before])
      writeFileSync(events(), `${lines().slice(0, -1).join("\n")}\n`)
      write(place, '{"type":"st')
      refused(place, 'an object for the event in but received {"type":"st')
      write(place, JSON.stringify([event]))
      refused(place, `an object for the event in but received ${JSON.stringify([event]).slice(0, 117)}...`)
    })

    it("but not a norm that overflowed, which has no ratio, nor fields that no figure uses", async () => {
      await begin()
      const [place, event] = firstOf("orders")
      write(place, JSON.stringify({ ...event, difference_norm: null }))
      const [step, other] = firstOf("step")
      write(step, JSON.stringify({ ...other, lr: "x" }))
      expect(readHistories([folder()])[0]!.orders[0]!.ratio).toBeNull()
    })
  })

  it("a data set of a single image", () => {
    writeFileSync(at("data_batch_1.bin"), new Uint8Array(3073))
    expect(() => planned({ given: { ...small, data: "cifar10", dataDir: at("") } })).toThrow(
      /^Expected 2 images at least/,
    )
  })

  it("two runs of one side and seed", async () => {
    await run("figure4", { sides: ["nasp"], budget: "1", given: { ...small, seeds: 1 } })
    cpSync(at("figure4"), at("again"), { recursive: true })
    const histories = readHistories([at("figure4"), at("again")])
    for (const name of ["figure3", "figure4"])
      expect(() => find(name).draw(histories)).toThrow(/figure4.* and .*again.*, both nasp, seed 0/)
  })

  it.each([
    ["channels", { channels: 8 }, "received 4 .* and 8 "],
    ["batch", { batch: 8 }, "received 16 .* and 8 "],
    ["layers", { layers: 5 }, "received 3 .* and 5 "],
    ["epochs", { epochs: 9 }, "received 3 .* and 9 "],
    ["space", { space: "nasp12" }, "received darts7 .* and nasp12 "],
    ["batchStatistics", { batchStatistics: true }, "received false .* and true "],
  ])("sides that do not share %s", async (name, other, values) => {
    const given = { ...small, seeds: 1 }
    await run("figure3", { sides: ["nasp"], budget: "1", given, out: at("a") })
    await run("figure3", { sides: ["pa"], budget: "1", given: { ...given, ...other }, out: at("b") })
    const draw = () => find("figure3").draw(readHistories([at("a"), at("b")]))
    expect(draw).toThrow(new RegExp(`one value in all runs of a figure for ${name} but ${values}`))
  })

  it("seeds of a side with other options or data, but not with another length or other measures", async () => {
    const run1 = (seed: number, out: string, options: object) =>
      run("figure3", {
        sides: ["nasp"],
        given: { ...small, seeds: 1, seed },
        budget: "1",
        out: at(out),
        ...options,
      })
    await run1(1, "a", {})
    await run1(2, "b", { set: ["value=kept"] })
    await run1(3, "c", { given: { ...small, seeds: 1, seed: 3, evaluateDerived: true }, budget: "2" })
    const draw = (...names: string[]) => find("figure3").draw(readHistories(names.map(at)))
    expect(() => draw("a", "b")).toThrow(/all runs of nasp for value but received one .*a.* and kept .*b/)
    expect(draw("a", "c").text).toContain("NASP")
    const record = at("c/runs/nasp-seed3/config.json")
    writeFileSync(record, readFileSync(record, "utf8").replace(/"data_hash": "/, '"data_hash": "0'))
    expect(() => draw("a", "c")).toThrow(/for data but received generated \(.*\) .* and generated \(0/)
  })

  it("drawing what the runs did not measure", async () => {
    const histories = await run("figure4", { sides: ["nasp"], budget: "1" })
    expect(() => find("completeness").draw(histories)).toThrow(/--evaluate-derived but .*nasp-seed0/)
    expect(() => find("second-order").draw(histories)).toThrow(/--compare-orders/)
  })
})

describe("reports", () => {
  const sides: Record<string, string[]> = {
    figure3: ["nasp", "darts", "lazy-pa", "pa"],
    figure4: ["nasp", "darts"],
    "section4.5": ["nasp", "lazy-pa", "pa"],
    completeness: ["nasp", "darts"],
    "second-order": ["nasp"],
  }
  const pictures: Record<string, string[]> = {
    figure3: ["figure3-ab", "figure3-cd"],
    figure4: ["nasp", "darts"].flatMap((side) =>
      [0, 1].flatMap((seed) => ["normal", "reduce"].map((cell) => `figure4-${side}-seed${seed}-${cell}`)),
    ),
    "section4.5": ["section4.5-cd", "section4.5-bounds"],
    completeness: ["completeness"],
    "second-order": ["second-order"],
  }

  it.each(Object.keys(sides))("%s: the same from its folder, wherever that lies", async (name) => {
    const comparison = find(name)
    const given = { ...small, ...(name === "second-order" && { compareOrders: 2 }) }
    const live = comparison.draw(await run(name, { sides: sides[name]!, budget: "10", given }))
    cpSync(at(name), at("moved"), { recursive: true })
    rmSync(at(name), { recursive: true })
    expect(comparison.draw(readHistories([at("moved")]))).toEqual(live)
    const single = readdirSync(at("moved/runs")).map((run_) => at(`moved/runs/${run_}`))
    expect(comparison.draw(readHistories(single.reverse()))).toEqual(live)

    expect(Object.keys(live.pictures).sort()).toEqual([...pictures[name]!].sort())
    for (const svg of Object.values(live.pictures)) expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    const json = JSON.parse(JSON.stringify(live.json)) as { artefact: string; runs: { side: string }[] }
    expect(json.artefact).toBe(name)
    expect(json.runs.map((r) => r.side)).toEqual(sides[name]!.flatMap((side) => [side, side]))
    expect(live.text).toMatch(/Differs from the paper's protocol: .*generated with 7 steps an epoch/)
    const lines = csv(live.csv.header, live.csv.rows).trim().split("\n")
    const columns = lines.map((line) => line.split(",").length)
    expect(new Set(columns)).toEqual(new Set([live.csv.header.length]))
  })

  it("the same from a folder that has them by space", async () => {
    const live = find("figure3").draw(await run("figure3", { budget: "1", out: at("table6/darts7") }))
    expect(find("figure3").draw(readHistories([at("table6")]))).toEqual(live)
  })

  it("say on how many threads", async () => {
    const histories = await run("figure3", { sides: ["nasp"], budget: "1", given: { ...small, threads: 1 } })
    expect(find("figure3").draw(histories).text).toMatch(/, 1 thread, fake\./)
  })

  it.each(Object.keys(sides))("%s: what there is, where a run or all of them have no epoch", async (name) => {
    const given = { ...small, ...(name === "second-order" && { compareOrders: 2 }) }
    const histories = await run(name, { sides: sides[name]!, budget: "7", given })
    const bare = histories.map((h) => ({ ...h, moments: [], orders: [], ended: false }))
    for (const drawn of [[bare[0]!, ...histories.slice(1)], bare]) {
      const { pictures, text } = find(name).draw(drawn)
      for (const svg of Object.values(pictures)) expect(svg).not.toMatch(/NaN|undefined|Infinity/)
      expect(text).toMatch(/^Cut \(.*\): NASP, seed 0, after step 0/m)
    }
  })

  it("completeness: NASP's searched net is its derived net", async () => {
    const histories = await run("completeness", { sides: ["nasp"], budget: "10" })
    for (const { moments } of histories)
      for (const m of moments) expect(m.derived).toMatchObject({ running: m.validation })
  })

  it("section 4.5: counts the entries of alpha at a bound, or beyond where nothing keeps them inside", async () => {
    const moment = { alpha: { normal: [[0, 1, 0.5]], reduce: [[1.2, -0.1]] } }
    expect(atBound(moment)).toEqual({ count: 4, entries: 5 })
    const given = { ...small, archLr: 1e-4 }
    const histories = await run("section4.5", { sides: ["nasp"], budget: "3", given })
    const { summary } = find("section4.5").draw(histories).json as { summary: object[] }
    expect(summary[0]).toMatchObject({ side: "nasp", at_bound: { mean: 0 }, entries: 2 * 14 * 7 })
    const { pictures } = find("section4.5").draw(histories)
    expect(pictures["section4.5-cd"]).toContain("at the end: NASP 0.0 ± 0.0 of 196.")
  })

  it("second order: a row of the CSV has the mean of the comparisons since the row before", async () => {
    const given = { ...small, compareOrders: 2 }
    const [history] = await run("second-order", { sides: ["nasp"], budget: "10", given })
    const { header, rows } = find("second-order").draw([history!]).csv
    const cells = (name: string) => rows.map((row) => row[header.indexOf(name)])
    expect(cells("step")).toEqual([7, 10])
    expect(cells("comparisons")).toEqual([3, 2]) // after steps 2, 4, 6, and 8, 10
    const cosines = history!.orders.map((o) => o.cosine!)
    expect(cells("cosine")).toEqual([
      expect.closeTo((cosines[0]! + cosines[1]! + cosines[2]!) / 3, 12),
      expect.closeTo((cosines[3]! + cosines[4]!) / 2, 12),
    ])
    expect(cells("smallest_cosine")[1]).toBe(Math.min(cosines[3]!, cosines[4]!))
  })

  it("second order: mean and standard deviation are those over the seeds' own means", async () => {
    const given = { ...small, compareOrders: 2 }
    const histories = await run("second-order", { sides: ["nasp"], budget: "4", given })
    const place = (cosine: number) => ({ epochs: 1, step: 1, cosine, ratio: 2 * cosine })
    const orders = [[place(0.1), place(0.2), place(0.3)], [place(0.8)]]
    const altered = histories.map((h, i) => ({ ...h, orders: orders[i]! }))
    const { summary } = find("second-order").draw(altered).json as { summary: object[] }
    const over = (a: number, b: number) => ({
      mean: expect.closeTo((a + b) / 2, 12) as number,
      std: expect.closeTo((b - a) / Math.SQRT2, 12) as number,
      n: 2,
    })
    expect(summary[0]).toMatchObject({
      ...{ cosine: over(0.2, 0.8), relative_difference: over(0.4, 1.6), smallest_cosine: 0.1 },
    })
  })

  it("second order: without a cosine, as where a gradient is 0, there is no smallest one", async () => {
    const given = { ...small, seeds: 1, compareOrders: 2 }
    const [history] = await run("second-order", { sides: ["nasp"], budget: "4", given })
    const orders = history!.orders.map((o) => ({ ...o, cosine: null }))
    const { json, text } = find("second-order").draw([{ ...history!, orders }])
    expect((json as { summary: object[] }).summary[0]).toMatchObject({ cosine: null, smallest_cosine: null })
    expect(text).toMatch(/^NASP +- +- +\d/m)
  })

  it("figure 4: an edge's selected operation in the CSV is the selection's, and changes are counted", async () => {
    const [history] = await run("figure4", { sides: ["nasp"], budget: "14" })
    const report = find("figure4").draw([history!])
    const selected = report.csv.rows.filter((cells) => cells.at(-1) === 1)
    // 8 kept edges a cell type, two of them, at two moments
    expect(selected).toHaveLength(2 * 2 * 8)
    const [first, second] = history!.moments
    const differing = (["normal", "reduce"] as const).flatMap((cell) =>
      second!.selection[cell].filter((column, edge) => column !== first!.selection[cell][edge]),
    )
    const { changes } = report.json as { changes: { selections_an_epoch: { mean: number } }[] }
    expect(changes[0]?.selections_an_epoch.mean).toBe(differing.length)
  })

  it("figure 3 leaves no side out: DARTS beside lazy PA alone has a picture of its own", async () => {
    const histories = await run("figure3", { sides: ["darts", "lazy-pa"], budget: "1" })
    expect(Object.keys(find("figure3").draw(histories).pictures)).toEqual(["figure3-ab", "figure3-cd"])
  })

  it("figures' titles tell the sides drawn", async () => {
    const titles = ({ pictures }: Report) =>
      Object.values(pictures).map((svg) => /<title>([^<]*)</.exec(svg)![1])
    const options = { budget: "1", given: { ...small, seeds: 1 } }
    const some = await run("figure3", { ...options, sides: ["snas", "darts-2", "lazy-pa"] })
    expect(titles(find("figure3").draw(some))).toEqual([
      "Figure 3 (a, b): convergence of DARTS (2nd order); SNAS",
      "Figure 3 (c, d): convergence of PA (lazy update)",
    ])
    expect(titles(find("section4.5").draw(some))).toEqual([
      "Section 4.5, Figure 3 (c, d): convergence of PA (lazy update)",
      "Section 4.5: entries of alpha at a bound of the box [0, 1]",
    ])
    const alone = await run("figure3", { ...options, sides: ["nasp"], out: at("alone") })
    expect(titles(find("figure3").draw(alone))).toEqual(["Figure 3 (a, b): convergence of NASP"])
  })

  it("figure 3 shows no accuracy above 100 %, and says where curves against time begin and end", async () => {
    const histories = await run("figure3", { sides: ["nasp"], budget: "21" })
    const high = histories.map((h, seed) => ({
      ...h,
      moments: h.moments.map((m) => ({ ...m, validation: (seed === 0 ? 1 : 0.6) as typeof m.validation })),
    }))
    const ticks = (svg: string) =>
      [...svg.matchAll(/text-anchor="end"[^>]*>([^<]*)</g)].map(([, label]) => Number(label))
    const svg = find("figure3").draw(high).pictures["figure3-ab"]!
    expect(Math.max(...ticks(svg))).toBe(100)
    const captioned = textOf(svg)
    expect(captioned).toContain(
      "Against time, a side's mean is drawn where all its seeds have a value, from the end of the slowest seed's first epoch to the end of the first seed that ends; where no time has them all, point by point.",
    )
    const perfect = find("figure3").draw([high[0]!]).pictures["figure3-ab"]!
    expect(Math.max(...ticks(perfect))).toBe(100)
    expect(perfect).not.toContain("Against time,")
    const band = [
      { x: 1, low: -0.2, high: 0.5 },
      { x: 2, low: 0.4, high: 1.2 },
    ]
    expect(bandWithin({ look: 0, points: [], band }, 0, 1).band).toEqual([
      { x: 1, low: 0, high: 0.5 },
      { x: 2, low: 0.4, high: 1 },
    ])
  })

  it("table 6 from runs says which sides have no whole epoch, and that none has", async () => {
    const addon = { ...fakeAddon, operationTensors: () => [] } as never
    const given = { ...small, seeds: 1 }
    const whole = await run("figure3", { sides: ["nasp"], budget: "7", given })
    const short = await run("figure3", { sides: ["pa"], budget: "6", given })
    expect(() => entriesOfRuns(short, addon)).toThrow(/a whole epoch.* but of 1 runs none holds one/)
    const both = [...whole, ...short]
    const entries = entriesOfRuns(both, addon)
    expect(entries.map(({ side }) => side.name)).toEqual(["nasp"])
    expect(leftOut(both, entries)).toEqual([
      "Left out, as their runs hold no whole epoch: PA (standard) in darts7.",
    ])
    expect(leftOut(whole, entries)).toEqual([])
  })

  it("table 6 from runs: seconds of whole epochs per 25,000 images add up to the total", async () => {
    const histories = await run("figure3", { sides: ["nasp", "darts"], budget: "14" })
    const entries = entriesOfRuns(histories, { ...fakeAddon, operationTensors: () => [] } as never)
    expect(
      entries.map(({ row }) => [row.method, row.order, row.space, row.ops, row.spread.total?.n]),
    ).toEqual([
      ["nasp", "first", "darts7", 7, 4],
      ["darts", "first", "darts7", 7, 4],
    ])
    const { alpha_first, forward, backward, data, overhead, total } = entries[0]!.row.seconds
    expect(alpha_first! + forward! + backward! + data! + overhead!).toBeCloseTo(total, 6)
    expect(entries[0]!.row.search_error?.mean).toBeGreaterThan(0)
    // Per 25,000 of the 100 images that an epoch trains on: its last batch has 4.
    const totals = histories[0]!.moments
      .concat(histories[1]!.moments)
      .map(
        ({ sinceLast: { phases: p } }) =>
          250 * (p.total - p.validation - p.checkpoint - p.measures - p.listener),
      )
    expect(total).toBeCloseTo(totals.reduce((a, b) => a + b) / totals.length, 9)
  })

  it("table 6 from runs leaves out an epoch that a budget cut", async () => {
    const histories = await run("figure3", { sides: ["nasp"], budget: "10" })
    expect(histories.map((h) => h.moments.map((m) => m.sinceLast.whole))).toEqual([
      [true, false],
      [true, false],
    ])
    const [entry] = entriesOfRuns(histories, { ...fakeAddon, operationTensors: () => [] } as never)
    expect(entry!.row.spread.total!.n).toBe(2)
  })

  it("table 6 from runs leaves out what a method ranks at a run's end", async () => {
    const histories = await run("figure3", { sides: ["random"], budget: "21", given: { ...small, seeds: 1 } })
    const row = () =>
      entriesOfRuns(histories, { ...fakeAddon, operationTensors: () => [] } as never)[0]!.row.seconds
    const before = row()
    const { phases } = histories[0]!.moments.at(-1)!.sinceLast
    phases.ranking += 1000
    phases.total += 1000
    const after = row()
    expect(after.alpha_first).toBe(before.alpha_first)
    expect(after.total).toBeCloseTo(before.total, 6)
    histories[0]!.moments[0]!.sinceLast.phases.ranking += 1000 // between epochs: alpha's
    expect(row().alpha_first).toBeGreaterThan(before.alpha_first! + 1000)
  })

  it("table 6 from runs leaves out an epoch that a resume cut in two, whatever its seconds", async () => {
    await run("figure3", { sides: ["nasp"], budget: "21", given: { ...small, seeds: 1 } })
    const file = at("figure3/runs/nasp-seed0/events.jsonl")
    const lines = readFileSync(file, "utf8").split("\n").filter(Boolean)
    const resume = (line: string) =>
      JSON.stringify({ ...(JSON.parse(lines[0]!) as object), type: "resume", at: line })
    const found = () => {
      const addon = { ...fakeAddon, operationTensors: () => [] } as never
      return entriesOfRuns(readHistories([at("figure3")]), addon)[0]!.row.spread.total!.n
    }
    expect(found()).toBe(3)
    const between = lines.findIndex((line) => line.includes('"type":"epoch"'))
    const after = (n: number) => [...lines.slice(0, n), resume(""), ...lines.slice(n)].join("\n")
    writeFileSync(file, after(between + 1)) // between two epochs: both are whole
    expect(found()).toBe(3)
    writeFileSync(file, after(between - 2)) // before the epoch's last steps
    expect(found()).toBe(2)
  })
})
