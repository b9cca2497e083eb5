// What is on the disk before what, should the power fail: a file before its name, the log before a checkpoint.
import type * as fileSystem from "node:fs"
import { dirname, join } from "node:path"
import { beforeEach, describe, expect, it, vi } from "vitest"

import { temporaryOf, writeWhole } from "../../src/train/files.js"
import { search } from "../../src/train/search.js"
import { fakeAddon } from "./fake-native.js"
import { small, useFakeRuns } from "./fake-runs.js"

vi.mock("../../src/native.js", () => ({ loadNative: () => fakeAddon }))

/** What was done to the disk, by path: "write", "sync", "rename" (to). */
const disk = vi.hoisted(() => ({ done: [] as [what: string, path: string][] }))
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof fileSystem>()
  const paths = new Map<number, string>()
  const note = (what: string, handle: number) => void disk.done.push([what, paths.get(handle)!])
  return {
    ...fs,
    openSync(path: string, flags: string) {
      const handle = fs.openSync(path, flags)
      paths.set(handle, path)
      return handle
    },
    writeSync(handle: number, bytes: Uint8Array, offset: number) {
      note("write", handle)
      return fs.writeSync(handle, bytes, offset)
    },
    fsyncSync(handle: number) {
      note("sync", handle)
      fs.fsyncSync(handle)
    },
    renameSync(from: string, to: string) {
      disk.done.push(["rename", to])
      fs.renameSync(from, to)
    },
  }
})
beforeEach(() => void (disk.done.length = 0))

const at = useFakeRuns("durability")

describe("what is flushed", () => {
  it("is a file before it takes its name, and then the folder that holds the name", () => {
    const file = at("file")
    writeWhole(file, "text")
    expect(disk.done).toEqual([
      ["write", temporaryOf(file)],
      ["sync", temporaryOf(file)],
      ["rename", file],
      ["sync", dirname(file)],
    ])
  })

  it("is the log before each checkpoint: what a run goes on from has been told", async () => {
    await search({ ...small, steps: 15, out: at("run") }).result()
    const log = join(at("run"), "events.jsonl")
    let unsynced = 0
    const told: number[] = []
    for (const [what, path] of disk.done) {
      if (path === log) unsynced = what === "sync" ? 0 : unsynced + 1
      if (what === "rename" && /step-\d+\.safetensors$/.test(path)) told.push(unsynced)
    }
    expect(told).toEqual([0, 0, 0]) // steps 5, 10 and 15
    expect(disk.done).toContainEqual(["write", log])
  })
})
