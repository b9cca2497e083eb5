/**
 * One search a run folder. The lock is a file that says who holds it: process, its start time (a process number is
 * used again), machine, and an id that no other lock has. It appears whole, by linking. A lock whose holder is gone is
 * taken over.
 */
import { randomUUID } from "node:crypto"
import { linkSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"

import { NaspError } from "../errors.js"
import { readRegularFile } from "../read-file.js"
import { ioError, isAlive, removeQuietly, temporaryOf } from "./files.js"

interface Holder {
  pid: number
  /** Start time of the process in the kernel's ticks, and the boot; "" where the system does not say. */
  start: string
  host: string
}

/**
 * Takes the lock and returns the function that gives it back.
 * @throws NaspError ERR_NASP_LOCKED if a living process, this one included, holds it; ERR_NASP_IO
 */
export function lockFolder(folder: string): () => void {
  const lock = join(folder, "lock")
  const mine = JSON.stringify({ ...holderOf(process.pid), id: randomUUID() })
  const temporary = `${temporaryOf(lock)}-${randomUUID()}`
  try {
    writeFileSync(temporary, mine)
    for (let attempt = 0; ; attempt++) {
      link(temporary, lock)
      const text = readIfThere(lock) // null: given back in between, or a link that leads nowhere
      if (text === mine) break
      if (attempt >= 10 || (text !== null && isHeld(text))) throw held(folder, lock, text ?? "")
      if (text !== null) takeAway(lock, text)
    }
  } catch (error) {
    throw ioError("write", lock, error)
  } finally {
    removeQuietly(temporary)
  }
  return () => {
    if (says(lock, mine)) removeQuietly(lock)
  }
}

// Where there is none yet.
function link(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  }
}

// Renames first: of two processes that both saw a dead holder, the later one gives the earlier one's lock back.
function takeAway(lock: string, dead: string): void {
  const aside = `${temporaryOf(lock)}-${randomUUID()}`
  try {
    renameSync(lock, aside)
  } catch {
    return
  }
  if (!says(aside, dead)) link(aside, lock)
  removeQuietly(aside)
}

function isHeld(text: string): boolean {
  const holder = parse(text)
  if (!holder) return false
  if (holder.host !== hostname()) return true // cannot be asked from here
  if (!isAlive(holder.pid)) return false
  return holder.start === "" || holder.start === holderOf(holder.pid).start
}

function holderOf(pid: number): Holder {
  let start = ""
  try {
    // proc(5): field 22 is the start time; the command in field 2 may hold spaces, so count behind its bracket.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]
    start = `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${ticks}`
  } catch {
    // no /proc: the process number has to do
  }
  return { pid, start, host: hostname() }
}

function held(folder: string, lock: string, text: string): NaspError {
  const holder = parse(text)
  const who = holder ? `process ${holder.pid} on ${holder.host}` : "another process"
  return new NaspError(
    "ERR_NASP_LOCKED",
    `The run folder ${folder} is in use by ${who}. If that process is gone for certain, remove ${lock}.`,
  )
}

function parse(text: string): Holder | null {
  try {
    const value = JSON.parse(text) as Holder
    return Number.isInteger(value.pid) && typeof value.start === "string" && typeof value.host === "string"
      ? value
      : null
  } catch {
    return null
  }
}

/** @throws NaspError ERR_NASP_IO for one that is there and cannot be read */
function readIfThere(file: string): string | null {
  try {
    return readRegularFile(file).toString()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null
    throw ioError("read", file, error)
  }
}

function says(file: string, text: string): boolean {
  try {
    return readIfThere(file) === text
  } catch {
    return false
  }
}
