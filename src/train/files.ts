/**
 * Files that are either whole or absent: written under a temporary name, flushed to the disk, renamed. A write that
 * fails (a full disk) leaves what was there before.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs"
import { basename, dirname, join } from "node:path"

import { NaspError } from "../errors.js"

const temporaryMark = ".unfinished-"

/** Where a file or folder is made before it is renamed into its place; the name says by which process. */
export function temporaryOf(path: string): string {
  return join(dirname(path), `${temporaryMark}${process.pid}-${basename(path)}`)
}

/** Whether the name is a temporary one of a process that is gone. */
export function isLeftBehind(name: string): boolean {
  const [, pid] = name.split(temporaryMark)
  return pid !== undefined && !isAlive(parseInt(pid, 10))
}

/** Whether a process of this number runs on this machine. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM" // another user's
  }
}

/** @throws NaspError ERR_NASP_IO that names the file and the cause */
export function writeWhole(file: string, bytes: Uint8Array | string): void {
  const temporary = temporaryOf(file)
  try {
    const handle = openSync(temporary, "w")
    try {
      writeAll(handle, typeof bytes === "string" ? Buffer.from(bytes) : bytes)
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
    renameSync(temporary, file)
    syncFolder(dirname(file))
  } catch (error) {
    removeQuietly(temporary)
    throw ioError("write", file, error)
  }
}

/** @throws NaspError ERR_NASP_IO */
export function removeFile(file: string): void {
  try {
    rmSync(file, { force: true })
  } catch (error) {
    throw ioError("remove", file, error)
  }
}

/** What a failed write may have left: its error is the one to tell, not that of removing this. */
export function removeQuietly(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch {
    // where it could not be made, it cannot be removed
  }
}

/** The folder and those above it. Not mkdir's recursive mode: Node's never returns where /proc answers ENOENT. */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) return
  const above = dirname(folder)
  if (above !== folder) makeFolder(above)
  try {
    mkdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  }
}

/** A write may take only a part of the bytes. */
export function writeAll(handle: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(handle, bytes, at)
}

/** Makes a rename in the folder last; a no-op where folders cannot be opened (Windows). */
export function syncFolder(folder: string): void {
  let handle: number
  try {
    handle = openSync(folder, "r")
  } catch {
    return
  }
  try {
    fsyncSync(handle)
  } catch (error) {
    if (!["EINVAL", "EPERM", "EISDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error
  } finally {
    closeSync(handle)
  }
}

const causes: Record<string, string> = {
  ENOSPC: "no space is left on the disk",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file-size limit is reached",
  EROFS: "the file system is read-only",
  EACCES: "permission is denied",
  ENOENT: "the folder does not exist",
  ENOTDIR: "a part of the path is no folder",
  ENAMETOOLONG: "the name is too long",
}

export function ioError(verb: "read" | "write" | "remove", file: string, error: unknown): NaspError {
  if (error instanceof NaspError) return error
  const { code, message } = error as NodeJS.ErrnoException
  const cause = code !== undefined && causes[code] ? `${causes[code]} (${code})` : message
  return new NaspError("ERR_NASP_IO", `Could not ${verb} ${file}: ${cause}`)
}
