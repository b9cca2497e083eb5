/**
 * A run folder:
 *   config.json        the resolved options, written before anything else
 *   events.jsonl       what the search told; cut back to the checkpoint on resume
 *   checkpoints/       see checkpoint.ts
 *   genotype.json, genotype.txt, genotype-softmax.json, weights.safetensors, alpha.safetensors   after the last step
 *   lock               while a process works on it
 * A new folder is made beside its place and renamed into it, so that one that exists holds its config.json.
 */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmSync } from "node:fs"
import { dirname, join, resolve } from "node:path"

import { NaspError } from "../errors.js"
import { invalid, isRecord, show } from "../expect.js"
import { readRegularFile } from "../read-file.js"
import { version } from "../version.js"
import { resolveConfig, type SearchConfig, type SearchOptions } from "./config.js"
import type { SearchEvent } from "./events.js"
import {
  ioError,
  isLeftBehind,
  makeFolder,
  removeQuietly,
  syncFolder,
  temporaryOf,
  writeAll,
  writeWhole,
} from "./files.js"
import { lockFolder } from "./lock.js"

/** The format of config.json and of the checkpoints; another one is refused. */
export const format = 1

/** data of a configuration whose images were given by value. */
export const ownData = "own"

export interface RunFolder {
  path: string
  /** Appends to events.jsonl. */
  append(event: SearchEvent): void
  /** Events on the disk. */
  sync(): void
  /** Drops what lies behind `step`, what is of a run's end alone, and lines that a killed process left half. @returns the rest */
  cutEvents(step: number): SearchEvent[]
  lastEvent(): SearchEvent | null
  /** Gives the lock back. */
  close(): void
}

export interface RunRecord {
  format: number
  version: string
  data_hash: string
  config: SearchConfig
}

/** Stands for `<parent>/<name>-<n>` with the first n that is free when the folder is made. */
export interface NumberedFolder {
  parent: string
  name: string
}

/** `<parent>/<name>-<n>` with the first n that is free. */
export function freeFolder(parent: string, name: string): string {
  for (let n = 1; ; n++) {
    const path = join(parent, `${name}-${n}`)
    if (!existsSync(path)) return path
  }
}

/** @throws NaspError ERR_NASP_ARGUMENT if it is no folder, or the place is taken */
export function checkOut(out: unknown): asserts out is string | NumberedFolder {
  if (!isRecord(out)) return checkFree(out)
  checkPath(out.parent, "out.parent")
  checkPath(out.name, "out.name")
  if (/[/\\]|^\.\.?$/.test(out.name))
    throw invalid("out.name", "a name without / and \\, not . or ..", out.name)
}

function checkPath(path: unknown, field = "out"): asserts path is string {
  if (typeof path !== "string" || path === "") throw invalid(field, "a folder", path)
  if (path.includes("\0")) throw invalid(field, "a path without NUL", path)
}

function checkFree(path: unknown): asserts path is string {
  checkPath(path)
  if (!existsSync(path)) return
  const there = listing(path)
  if (there?.includes("config.json"))
    throw invalid("out", "a new folder (or --resume to go on with this one)", path)
  if (there === null || there.length > 0) throw invalid("out", "a new or empty folder", path)
}

/** @throws NaspError ERR_NASP_ARGUMENT if the place is taken, ERR_NASP_IO */
export function createRunFolder(
  out: string | NumberedFolder,
  config: SearchConfig,
  dataHash: string,
): RunFolder {
  for (;;) {
    const path = typeof out === "string" ? out : freeFolder(out.parent, out.name)
    checkFree(path)
    const place = resolve(path)
    const fresh = temporaryOf(place)
    try {
      rmSync(fresh, { recursive: true, force: true })
      makeFolder(join(fresh, "checkpoints"))
      writeRecord(fresh, { format, version, data_hash: dataHash, config })
      renameSync(fresh, place)
      syncFolder(dirname(place))
      return openRunFolder(path)
    } catch (error) {
      removeQuietly(fresh)
      // Another process was there first: the next number, or what is said of a place that is taken.
      if (!["ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? ""))
        throw ioError("write", path, error)
    }
  }
}

function writeRecord(run: string, record: RunRecord): void {
  writeWhole(join(run, "config.json"), `${JSON.stringify(record, null, 2)}\n`)
}

/**
 * What going on with the run has changed, for the next time too; threads are the process's.
 * @throws NaspError as readRunRecord, ERR_NASP_IO
 */
export function rewriteConfig(run: string, { threads: _, ...changed }: Partial<SearchConfig>): void {
  if (Object.keys(changed).length === 0) return
  const record = readRunRecord(run)
  writeRecord(run, { ...record, config: { ...record.config, ...changed } })
}

/** @throws NaspError ERR_NASP_RUN_FOLDER if the folder is none or its config.json cannot be used */
export function readRunRecord(path: string): RunRecord {
  const wrong = (why: string) => new NaspError("ERR_NASP_RUN_FOLDER", `Expected a run folder but ${why}`)
  const file = join(path, "config.json")
  if (!existsSync(path)) throw wrong(`${path} does not exist`)
  if (!existsSync(file)) throw wrong(`${path} has no config.json`)
  let record: RunRecord
  try {
    record = JSON.parse(readRegularFile(file).toString()) as RunRecord
  } catch (error) {
    throw wrong(`${file} cannot be read: ${(error as Error).message}`)
  }
  if (record?.format !== format)
    throw wrong(`${file} has format ${show(record?.format)}, this version reads ${format}`)
  try {
    const config = resolveConfig(record.config as SearchOptions, record.config?.data === ownData)
    return { ...record, config }
  } catch (error) {
    throw wrong(`${file} holds an option that this version refuses: ${(error as Error).message}`)
  }
}

/**
 * Locks it, and removes temporary files of processes that are gone.
 * @throws NaspError ERR_NASP_LOCKED, ERR_NASP_IO
 */
export function openRunFolder(path: string): RunFolder {
  const release = lockFolder(path)
  const file = join(path, "events.jsonl")
  let handle: number | null = null
  const close = () => {
    if (handle !== null) closeSync(handle)
    handle = null
  }
  try {
    for (const folder of [path, join(path, "checkpoints")]) {
      for (const name of listing(folder) ?? []) {
        if (isLeftBehind(name)) rmSync(join(folder, name), { recursive: true, force: true })
      }
    }
    makeFolder(join(path, "checkpoints"))
  } catch (error) {
    release()
    throw ioError("write", path, error)
  }
  return {
    path,
    append(event) {
      try {
        handle ??= openSync(file, "a")
        writeAll(handle, Buffer.from(`${JSON.stringify(event)}\n`))
      } catch (error) {
        throw ioError("write", file, error)
      }
    },
    sync() {
      try {
        if (handle !== null) fsyncSync(handle)
      } catch (error) {
        throw ioError("write", file, error)
      }
    },
    cutEvents(step) {
      close()
      const kept = readEvents(file).filter((e) => e.step <= step && !isEnd(e))
      writeWhole(file, kept.map((event) => `${JSON.stringify(event)}\n`).join(""))
      return kept
    },
    lastEvent: () => readEvents(file).at(-1) ?? null,
    close() {
      close()
      release()
    },
  }
}

/** Of a run's end alone: going on drops it. */
export function isEnd(event: SearchEvent): boolean {
  if (event.type === "epoch") return event.whole === false
  return event.type === "finished" || event.type === "stopped"
}

/** Is given what a line holds (its text where that is no JSON) and where, and throws for what is no event. */
export type EventCheck = (event: unknown, place: string) => void

/**
 * What the run told so far; a line that a killed process left half, the last one, is left out.
 * @param check without it, any line that holds no event is left out
 * @throws NaspError ERR_NASP_IO, and what `check` throws
 */
export function readRunEvents(path: string, check?: EventCheck): SearchEvent[] {
  return readEvents(join(path, "events.jsonl"), check)
}

function readEvents(file: string, check?: EventCheck): SearchEvent[] {
  if (!existsSync(file)) return []
  let text: string
  try {
    text = readRegularFile(file).toString()
  } catch (error) {
    throw ioError("read", file, error)
  }
  const lines = text.split("\n")
  return lines.flatMap((line, i) => {
    const event = parsed(line)
    const isHalf = event === undefined && (line === "" || i === lines.length - 1)
    if (!isHalf) check?.(event === undefined ? line : event, `line ${i + 1} of ${file}`)
    return isRecord(event) && Number.isInteger(event.step) ? [event as unknown as SearchEvent] : []
  })
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line) as unknown
  } catch {
    return undefined
  }
}

/** Names in a folder; null where it cannot be read, or is none. */
export function listing(folder: string): string[] | null {
  try {
    return readdirSync(folder)
  } catch {
    return null
  }
}
