// Several processes, or searches of one, at a run folder: its place, its lock, its temporary files. On a fake engine.
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs"
import type * as fileSystem from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, it, vi } from "vitest"

import { lockFolder } from "../../src/train/lock.js"
import { search } from "../../src/train/search.js"
import { fakeAddon } from "./fake-native.js"
import { data, small, useFakeRuns } from "./fake-runs.js"

vi.mock("../../src/native.js", () => ({ loadNative: () => fakeAddon }))

/** What another process does right after a file was linked, or right before one is renamed. */
const other = { afterLink: (_to: string) => {}, beforeRename: (_to: string) => {} }
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof fileSystem>()
  return {
    ...fs,
    linkSync(from: string, to: string) {
      fs.linkSync(from, to)
      other.afterLink(to)
    },
    renameSync(from: string, to: string) {
      other.beforeRename(to)
      fs.renameSync(from, to)
    },
  }
})
afterEach(() => void Object.assign(other, { afterLink: () => {}, beforeRename: () => {} }))

const at = useFakeRuns("run-folder")
const deadProcess = () => Number(execFileSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" }))
const lockOf = (pid: number) => JSON.stringify({ pid, start: "", host: hostname() })

describe("a numbered folder", () => {
  it("is the first that is free when it is made, not when the search is asked for", async () => {
    const out = { parent: at("runs"), name: "a" }
    mkdirSync(at("runs/a-2"), { recursive: true })
    const both = [search({ ...small, steps: 1, out }), search({ ...small, steps: 1, out })]
    const results = await Promise.all(both.map((run) => run.result()))
    expect(results.map((r) => r.out).sort()).toEqual([at("runs/a-1"), at("runs/a-3")])
    expect(readdirSync(at("runs")).sort()).toEqual(["a-1", "a-2", "a-3"])
  })

  it("is that of the call, whatever becomes of the object before the first event", async () => {
    const out = { parent: at("runs"), name: "a" }
    const running = search({ ...small, steps: 1, out })
    out.name = "../b"
    expect(await running.result()).toMatchObject({ out: at("runs/a-1") })
  })

  it("is the next one where another process makes it at that moment; a named one is taken", async () => {
    const makes = (path: string) => {
      other.beforeRename = (to) => {
        if (to === path) mkdirSync(join(path, "there"), { recursive: true })
      }
    }
    makes(at("a-1"))
    const numbered = await search({ ...small, steps: 1, out: { parent: at(""), name: "a" } }).result()
    expect(numbered.out).toBe(at("a-2"))
    makes(at("b"))
    await expect(search({ ...small, steps: 1, out: at("b") }).result()).rejects.toMatchObject({
      code: "ERR_NASP_ARGUMENT",
      message: expect.stringMatching(/^Expected a new or empty folder for out/),
    })
    expect(readdirSync(at("")).sort()).toEqual(["a-1", "a-2", "b"])
  })
})

describe("the lock", () => {
  it("is tried again where a process that saw a dead holder took it away", () => {
    const lock = at("lock")
    writeFileSync(lock, lockOf(deadProcess()))
    other.afterLink = () => {
      other.afterLink = () => {}
      renameSync(lock, at("aside"))
    }
    const release = lockFolder(at(""))
    expect(existsSync(lock)).toBe(true)
    expect(() => lockFolder(at(""))).toThrow(expect.objectContaining({ code: "ERR_NASP_LOCKED" }))
    release()
    expect(existsSync(lock)).toBe(false)
  })

  it("is given back by its holder alone", () => {
    const first = lockFolder(at(""))
    renameSync(at("lock"), at("aside"))
    lockFolder(at(""))
    const second = readFileSync(at("lock"), "utf8")
    first()
    expect(readFileSync(at("lock"), "utf8")).toBe(second)
  })
})

describe("temporary files", () => {
  it("of processes that are gone are removed, those of living ones stay", async () => {
    await search({ ...small, steps: 5, out: at("a") }).result()
    const [gone, living] = [deadProcess(), process.ppid]
    const names = (pid: number) => [
      `.unfinished-${pid}-lock-1`,
      `lock.unfinished-${pid}`, // as older versions call it
      `checkpoints/.unfinished-${pid}-step-0000000010.safetensors`,
    ]
    for (const name of [...names(gone), ...names(living)]) writeFileSync(at(`a/${name}`), "half")
    await search({ resume: at("a"), data }).result()
    expect(names(gone).filter((name) => existsSync(at(`a/${name}`)))).toEqual([])
    expect(names(living).filter((name) => existsSync(at(`a/${name}`)))).toEqual(names(living))
  })
})
