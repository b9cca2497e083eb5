// The loop, the run folder and resuming, on a fake engine.
import { execFileSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, it, vi } from "vitest"

import { generateTextures } from "../../src/data/generated.js"
import { pruneCheckpoints } from "../../src/train/checkpoint.js"
import type { EndEvent, EpochEvent, SearchEvent, StepEvent } from "../../src/train/events.js"
import { writeWhole } from "../../src/train/files.js"
import { search } from "../../src/train/search.js"
import { fake, fakeAddon, resetFake } from "./fake-native.js"
import { collect, data, small, useFakeRuns } from "./fake-runs.js"

vi.mock("../../src/native.js", async (original) => ({
  ...(await original<object>()),
  loadNative: () => fakeAddon,
}))

const at = useFakeRuns("train")

/** Every file that equal runs leave with equal bytes. */
function bytesOf(run: string): Record<string, string> {
  const files = [run, join(run, "checkpoints")].flatMap((f) => readdirSync(f).map((name) => join(f, name)))
  const kept = files.filter((file) => /\.safetensors$|genotype/.test(file))
  return Object.fromEntries(
    kept.map((file) => [file.slice(run.length), readFileSync(file).toString("base64")]),
  )
}

function events(run: string): SearchEvent[] {
  const lines = readFileSync(join(run, "events.jsonl"), "utf8").split("\n").filter(Boolean)
  return lines.map((line) => JSON.parse(line) as SearchEvent)
}

describe("a run", () => {
  it("tells its steps and epochs, keeps the last batch, and ends with its files", async () => {
    const told = await collect(search({ ...small, out: at("a") }))
    expect(told[0]).toMatchObject({ type: "start", steps_per_epoch: 13, last_step: 39 })
    expect(told.filter((e) => e.type === "step")).toHaveLength(39)
    const epochs = told.filter((e): e is EpochEvent => e.type === "epoch")
    expect(epochs.map((e) => [e.epoch, e.step])).toEqual([
      [0, 13],
      [1, 26],
      [2, 39],
    ])
    // A cosine from lr to lrMin over the epochs, told and handed to the engine.
    const cosine = [0, 1, 2].map((e) => 0.001 + 0.012 * (1 + Math.cos((Math.PI * e) / 3)))
    epochs.forEach((e, i) => expect(e.lr).toBeCloseTo(cosine[i]!, 12))
    const steps = told.filter((e): e is StepEvent => e.type === "step")
    expect(fake.rates).toEqual(steps.map((s) => s.lr))
    // Means over images: the last batch of an epoch has 4 of them, the others 8.
    for (const e of epochs) {
      const of = steps.filter((s) => s.epoch === e.epoch)
      const sum = (what: (s: StepEvent) => number) => of.reduce((total, s) => total + what(s), 0)
      expect(sum((s) => s.count)).toBe(100)
      expect(e.train_loss).toBeCloseTo(sum((s) => s.loss * s.count) / 100, 12)
      expect(e.train_acc).toBe(sum((s) => s.correct) / 100)
    }
    expect(told.at(-1)?.type).toBe("finished")
    expect(readdirSync(at("a")).sort()).toEqual([
      "alpha.safetensors",
      "checkpoints",
      "config.json",
      "events.jsonl",
      "genotype-softmax.json",
      "genotype.json",
      "genotype.txt",
      "weights.safetensors",
    ])
    expect(readdirSync(at("a/checkpoints"))).toEqual([
      "step-0000000035.safetensors",
      "step-0000000039.safetensors",
    ])
    expect(events(at("a"))).toEqual(JSON.parse(JSON.stringify(told)))
  })

  it("names losses and accuracies so that only an epoch's training and validation figures match", async () => {
    const told = await collect(search(small))
    const numbers = (e: object, path = ""): string[] =>
      Object.entries(e).flatMap(([k, v]) =>
        typeof v === "number"
          ? [`${path}.${k}`]
          : v && typeof v === "object"
            ? numbers(v as object, `${path}.${k}`)
            : [],
      )
    const all = told.flatMap((e) => numbers(e))
    expect(new Set(all.filter((n) => /val/i.test(n) && /acc|top1/i.test(n)))).toEqual(new Set([".val_acc"]))
    expect(new Set(all.filter((n) => /train/i.test(n) && /loss/i.test(n)))).toEqual(new Set([".train_loss"]))
  })

  it("is cut short by steps without changing the schedule, and goes on to the same bytes with more", async () => {
    await search({ ...small, out: at("whole") }).result()
    const told = await collect(search({ ...small, steps: 16, out: at("cut") }))
    expect(told.filter((e) => e.type === "epoch").map((e) => e.step)).toEqual([13, 16])
    const result = await search({ resume: at("cut"), steps: 39, data }).result()
    expect(result).toMatchObject({ status: "finished", step: 39 })
    expect(bytesOf(at("cut"))).toEqual(bytesOf(at("whole")))
  })

  it("does not depend on the number of threads, nor on the cadence for its result", async () => {
    await search({ ...small, threads: 1, out: at("a") }).result()
    await search({ ...small, threads: 3, out: at("b") }).result()
    expect(bytesOf(at("b"))).toEqual(bytesOf(at("a")))
  })

  it("walks through both halves in orders of their own, alpha's in whole batches", async () => {
    await search({ ...small, epochs: 2 }).result()
    const half = 100
    const isTrain = ({ indices }: { indices: number[] }) => indices.every((i) => i < half)
    const train = fake.queued.filter(isTrain)
    const alpha = fake.queued.filter((b) => !isTrain(b) && b.augment.counter < 2 ** 49)
    const sizes = (batches: { indices: number[] }[]) => batches.map(({ indices }) => indices.length)
    expect(sizes(train)).toEqual([...new Array<number>(12).fill(8), 4, ...new Array<number>(12).fill(8), 4])
    expect(sizes(alpha)).toEqual(new Array<number>(26).fill(8))
    const pass = (batches: { indices: number[] }[], first: number, count: number) =>
      batches.slice(first, first + count).flatMap(({ indices }) => indices.map((i) => i % half))
    const passes = [pass(train, 0, 13), pass(train, 13, 13), pass(alpha, 0, 12), pass(alpha, 12, 12)]
    expect(passes.map((p) => new Set(p).size)).toEqual([100, 100, 96, 96])
    const orders = passes.map((p) => p.slice(0, 96).join())
    expect(new Set(orders).size).toBe(4)
  })

  it("asks the method in each step's own epoch whether alpha learns", async () => {
    // Its temperature is 1.02 in the first epoch, which is one of grace, and 0.969 in the second.
    const told = await collect(search({ ...small, method: "asap", epochs: 2, options: { tau: 1.02 } }))
    const learns = told.flatMap((e) => (e.type === "step" ? [e.alpha_loss !== null] : []))
    expect(learns).toEqual(Array.from({ length: 26 }, (_, step) => step >= 13))
  })

  it("takes no epoch that was cut for the best", async () => {
    let better = 0
    for (let steps = 14; steps < 26; steps++) {
      const run = search({ ...small, steps })
      const epochs = (await collect(run)).filter((e) => e.type === "epoch")
      expect(epochs.map((e) => e.whole)).toEqual([true, false])
      const { best } = await run.result()
      expect(best).toEqual({ epoch: 0, val_acc: epochs[0]!.val_acc })
      if (epochs[1]!.val_acc > epochs[0]!.val_acc) better++
    }
    expect(better).toBeGreaterThan(0)
  })

  it("keeps no copy of the images beside the engine's", async () => {
    setFlagsFromString("--expose-gc")
    const collectGarbage = runInNewContext("gc") as () => void
    const begin = () => {
      const own = generateTextures(200, 3)
      return { running: search({ ...small, data: own }), images: new WeakRef(own.images) }
    }
    const { running, images } = begin()
    for await (const event of running) {
      if (event.type !== "step") continue
      await new Promise((resolve) => setTimeout(resolve))
      collectGarbage()
      expect(images.deref()).toBeUndefined()
      break
    }
  })

  it("gives its result without a reader and frees the session", async () => {
    const result = await search(small).result()
    expect(result).toMatchObject({ status: "finished", step: 39, out: null })
    expect(result.genotype.normal).toHaveLength(8)
    expect(fake).toMatchObject({ sessions: 1, disposed: 1 })
  })
})

describe("resuming", () => {
  it("ends in the same bytes, wherever it was stopped", async () => {
    await search({ ...small, out: at("whole") }).result()
    for (const stopAfter of [1, 5, 13, 24]) {
      const run = at(`stopped-${stopAfter}`)
      const first = search({ ...small, out: run })
      fake.onStep = (n) => n === stopAfter - 1 && first.stop()
      expect(await first.result()).toMatchObject({ status: "stopped", step: stopAfter })
      fake.onStep = () => {}
      const told = await collect(search({ resume: run, data }))
      expect(told[0]).toMatchObject({ type: "resume", step: stopAfter })
      expect(bytesOf(run)).toEqual(bytesOf(at("whole")))
    }
  })

  it("drops the events that lie behind the checkpoint, and a torn line", async () => {
    const run = at("a")
    const first = search({ ...small, out: run })
    fake.onStep = (n) => {
      if (n === 8) throw new Error("killed")
    }
    await expect(first.result()).rejects.toThrow("killed")
    writeFileSync(join(run, "events.jsonl"), '{"type":"step","st', { flag: "a" })
    fake.onStep = () => {}
    await search({ resume: run, data }).result()
    const steps = events(run).filter((e) => e.type === "step")
    expect(steps.map((e) => e.step)).toEqual(Array.from({ length: 39 }, (_, i) => i + 1))
  })

  it("goes on before the first checkpoint and says when a run is finished", async () => {
    const run = at("a")
    const first = search({ ...small, out: run })
    fake.onStep = () => {
      throw new Error("killed")
    }
    await expect(first.result()).rejects.toThrow("killed")
    fake.onStep = () => {}
    await search({ resume: run, data }).result()
    const before = bytesOf(run)
    const told = events(run)
    const { genotype } = told.at(-1) as EndEvent
    expect(await collect(search({ resume: run, data }))).toEqual([
      { type: "finished", step: 39, epoch: 2, genotype },
    ])
    expect([bytesOf(run), events(run)]).toEqual([before, told])
  })

  it("falls back on the checkpoint before a damaged one, with a warning", async () => {
    await search({ ...small, out: at("a") }).result()
    const expected = bytesOf(at("a"))
    truncateSync(at("a/checkpoints/step-0000000039.safetensors"), 300)
    writeFileSync(at("a/checkpoints/.unfinished-99999999-step-0000000040.safetensors"), "half")
    const told = await collect(search({ resume: at("a"), data }))
    expect(told[0]).toMatchObject({
      type: "warning",
      step: 35,
      message: expect.stringMatching(/39.*damaged/),
    })
    expect(bytesOf(at("a"))).toEqual(expected)
  })

  it("refuses checkpoints and data of another run, and warns of another instruction set", async () => {
    await search({ ...small, steps: 5, out: at("a") }).result()
    await search({ ...small, steps: 5, seed: 8, out: at("b") }).result()
    rmSync(at("a/checkpoints/step-0000000005.safetensors"))
    writeFileSync(
      at("a/checkpoints/step-0000000005.safetensors"),
      readFileSync(at("b/checkpoints/step-0000000005.safetensors")),
    )
    await expect(search({ resume: at("a"), data }).result()).rejects.toMatchObject({
      code: "ERR_NASP_CHECKPOINT",
    })
    const other = generateTextures(200, 4)
    await expect(search({ resume: at("b"), data: other }).result()).rejects.toMatchObject({
      code: "ERR_NASP_DATA",
    })
    fake.isa = "another"
    const told = await collect(search({ resume: at("b"), steps: 10, data }))
    expect(told[0]).toMatchObject({
      type: "warning",
      message: expect.stringContaining("fake and goes on with another"),
    })
  })

  it("goes on where the data lie now, and remembers it", async () => {
    const [before, after] = [at("before"), at("after")]
    const records = new Uint8Array(40 * 3073).map((_, i) =>
      i % 3073 === 0 ? (i / 3073) % 10 : (7 * i) % 256,
    )
    mkdirSync(before)
    writeFileSync(join(before, "data_batch_1.bin"), records)
    const out = at("moved")
    const cifar = { ...small, data: "cifar10", dataDir: before, out } as const
    for await (const event of search(cifar)) if (event.type === "step") break
    renameSync(before, after)
    await expect(search({ resume: out }).result()).rejects.toThrow(/before does not exist/)
    const run = search({ resume: out, dataDir: after })
    for await (const event of run) if (event.type === "step") break
    expect(await search({ resume: out }).result()).toMatchObject({ status: "finished" })
    writeFileSync(
      join(after, "data_batch_1.bin"),
      records.map((v, i) => (i % 3073 === 0 ? v : v ^ 1)),
    )
    await expect(search({ resume: out, dataDir: after }).result()).rejects.toMatchObject({
      code: "ERR_NASP_DATA",
    })
  })

  it("refuses a folder where the data have none", () => {
    expect(() => search({ ...small, data, dataDir: "there" })).toThrow(/no folder beside data/)
    expect(() => search({ dataDir: "there" })).toThrow(/beside data generated.*received .*there/)
  })

  it("refuses one beside resume of such a run", async () => {
    const run = search({ ...small, out: at("own") })
    for await (const event of run) if (event.type === "step") break
    expect(() => search({ resume: at("own"), data, dataDir: "there" })).toThrow(/no folder beside data/)
  })

  it("refuses what is no run folder, and options that belong to the run", async () => {
    expect(() => search({ resume: at("none") })).toThrow(/does not exist/)
    mkdirSync(at("empty"))
    expect(() => search({ resume: at("empty") })).toThrow(/no config.json/)
    writeFileSync(at("empty/config.json"), "{")
    expect(() => search({ resume: at("empty") })).toThrow(/cannot be read/)
    writeFileSync(at("empty/config.json"), '{"format": 99}')
    expect(() => search({ resume: at("empty") })).toThrow(/format 99/)
    writeFileSync(at("empty/config.json"), '{"format": {"toString": 1, "valueOf": 1}}')
    expect(() => search({ resume: at("empty") })).toThrow(/format {"toString":1,"valueOf":1}, this version/)
    expect(() => search({ resume: at("empty"), batch: 3 })).toThrow(/batch/)
    for (const [config, message] of [
      ["null", /an object for options but received null/],
      ['{ "options": -1 }', /an object for options but received -1/],
    ] as const) {
      writeFileSync(at("empty/config.json"), `{"format": 1, "config": ${config}}`)
      expect(() => search({ resume: at("empty") })).toThrow(message)
    }
  })
})

describe("what goes wrong", () => {
  it("stops where the loss is not a number and keeps the last good checkpoint", async () => {
    fake.divergeAt = 12
    await expect(search({ ...small, out: at("a") }).result()).rejects.toMatchObject({
      code: "ERR_NASP_DIVERGED",
      message: expect.stringMatching(/at step 12: the training loss is NaN.*step-0000000010/),
    })
    expect(readdirSync(at("a/checkpoints"))).toEqual([
      "step-0000000005.safetensors",
      "step-0000000010.safetensors",
    ])
    expect(existsSync(at("a/lock"))).toBe(false)
  })

  it("stops at the step after which alpha is not a number, though the losses are", async () => {
    fake.alphaDivergesAt = 3
    await expect(search({ ...small, out: at("a") }).result()).rejects.toMatchObject({
      code: "ERR_NASP_DIVERGED",
      message: "The search diverged at step 3: alpha holds a value that is not finite.",
    })
  })

  it("lets one search at a time into a run folder, and takes over a dead one's lock", async () => {
    const first = search({ ...small, out: at("a") })
    await first[Symbol.asyncIterator]().next()
    await expect(search({ resume: at("a"), data }).result()).rejects.toMatchObject({
      code: "ERR_NASP_LOCKED",
    })
    await first.dispose()
    const dead = Number(execFileSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" }))
    writeFileSync(
      at("a/lock"),
      JSON.stringify({ pid: dead, start: "", host: (await import("node:os")).hostname() }),
    )
    expect(await search({ resume: at("a"), data }).result()).toMatchObject({ status: "finished" })
    rmSync(at("a"), { recursive: true })
    await search({ ...small, steps: 3, out: at("a") }).result()
    // The process that has this number now began at another time than the lock's holder.
    const again = {
      pid: process.pid,
      start: "an earlier boot 17",
      host: (await import("node:os")).hostname(),
    }
    writeFileSync(at("a/lock"), JSON.stringify(again))
    expect(await search({ resume: at("a"), steps: 5, data }).result()).toMatchObject({ step: 5 })
    writeFileSync(at("a/lock"), JSON.stringify({ pid: 1, start: "", host: "elsewhere" }))
    await expect(search({ resume: at("a"), data }).result()).rejects.toMatchObject({
      code: "ERR_NASP_LOCKED",
    })
  })

  it("refuses a place that is taken", async () => {
    await search({ ...small, steps: 1, out: at("a") }).result()
    expect(() => search({ ...small, out: at("a") })).toThrow(/--resume/)
    expect(() => search({ ...small, out: at("a/checkpoints") })).toThrow(/new or empty folder/)
    mkdirSync(at("empty"))
    expect(await search({ ...small, steps: 1, out: at("empty") }).result()).toMatchObject({ step: 1 })
    await expect(search({ ...small, out: "/proc/none/r" }).result()).rejects.toMatchObject({
      code: "ERR_NASP_IO",
    })
  })

  it("says why a place cannot be, and leaves nothing there", async () => {
    await search({ ...small, steps: 1, out: at("a") }).result()
    for (const [out, why] of [
      ["a/config.json/x", /^Could not write .*: a part of the path is no folder \(ENOTDIR\)$/],
      ["x".repeat(300), /^Could not write .*: the name is too long \(ENAMETOOLONG\)$/],
    ] as const) {
      await expect(search({ ...small, out: at(out) }).result()).rejects.toMatchObject({
        code: "ERR_NASP_IO",
        message: expect.stringMatching(why),
      })
    }
    expect(() => writeWhole(at("a/config.json/x"), "")).toThrow(
      expect.objectContaining({ code: "ERR_NASP_IO" }),
    )
    expect(readdirSync(at(""))).toEqual(["a"])
  })

  it("refuses a data set of a single image", async () => {
    writeFileSync(at("data_batch_1.bin"), new Uint8Array(3073))
    const { data: _, ...options } = small
    const running = search({ ...options, data: "cifar10", dataDir: at(""), out: at("a") })
    await expect(running.result()).rejects.toMatchObject({ code: "ERR_NASP_DATA" })
    expect(existsSync(at("a"))).toBe(false)
  })

  it("loses nothing when a file cannot be written", async () => {
    await search({ ...small, steps: 10, out: at("a") }).result()
    const before = bytesOf(at("a"))
    // A folder in the place of the next checkpoint: the rename fails as it would on a broken disk.
    mkdirSync(at("a/checkpoints/step-0000000015.safetensors/x"), { recursive: true })
    await expect(search({ resume: at("a"), steps: 39, data }).result()).rejects.toMatchObject({
      code: "ERR_NASP_IO",
    })
    rmSync(at("a/checkpoints/step-0000000015.safetensors"), { recursive: true })
    expect(bytesOf(at("a"))).toEqual(before)
    mkdirSync(at("a/checkpoints/step-0000000001.safetensors"))
    expect(() => pruneCheckpoints(at("a"), 10, 5, 2)).toThrow(/^Could not remove .*step-0000000001/)
    rmSync(at("a/checkpoints/step-0000000001.safetensors"), { recursive: true })
    expect(await search({ resume: at("a"), data }).result()).toMatchObject({ status: "finished", step: 39 })
  })
})

describe("ending early", () => {
  it("aborts the running step and rejects with the signal's reason", async () => {
    fake.hang = true
    const abort = new AbortController()
    const running = search({ ...small, signal: abort.signal, out: at("a") })
    setTimeout(() => abort.abort(new Error("enough")), 20)
    await expect(running.result()).rejects.toThrow("enough")
    expect(fake.disposed).toBe(1)
    expect(existsSync(at("a/lock"))).toBe(false)
    const late = search({ ...small, signal: AbortSignal.abort(new Error("too late")) })
    await expect(late.result()).rejects.toThrow("too late")
  })

  it.each(["abort", "dispose"] as const)(
    "%ss between two batches of a ranking or an evaluation",
    async (how) => {
      for (const after of [1, 45]) {
        resetFake()
        const abort = new AbortController()
        const options = { samples: 20, rankBatches: 2, finalists: 1 }
        const running = search({ ...small, epochs: 1, method: "random", options, signal: abort.signal })
        fake.onEvaluation = () => {
          if (fake.evaluations === after) void (how === "abort" ? abort.abort() : running.dispose())
        }
        const code = how === "abort" ? { name: "AbortError" } : { code: "ERR_NASP_DISPOSED" }
        await expect(running.result()).rejects.toMatchObject(code)
        expect(fake).toMatchObject({ evaluations: after, disposed: 1 })
      }
    },
  )

  it("disposes at any time, twice too", async () => {
    fake.hang = true
    const running = search(small)
    const result = running.result()
    result.catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 20))
    await running.dispose()
    await running.dispose()
    await expect(result).rejects.toMatchObject({ code: "ERR_NASP_DISPOSED" })
    expect(fake).toMatchObject({ sessions: 1, disposed: 1 })
    const unused = search(small)
    await unused.dispose()
    await expect(unused.result()).rejects.toMatchObject({ code: "ERR_NASP_DISPOSED" })
  })

  it("ends when the reader breaks out of the loop", async () => {
    for await (const event of search({ ...small, out: at("a") })) if (event.type === "step") break
    expect(fake.disposed).toBe(1)
    expect(existsSync(at("a/lock"))).toBe(false)
  })
})
