/**
 * Checkpoints: checkpoints/step-<step>.safetensors, every tensor of the session that a step changes, and in the
 * metadata what else a run goes on from, and the SHA-256 of the file without that entry (older ones lack it). Written
 * whole or not at all. Free of time and of the number of threads: equal runs leave equal bytes, however often they were
 * interrupted.
 */
import { createHash } from "node:crypto"
import { readdirSync } from "node:fs"
import { join } from "node:path"

import type { ValidationFigure } from "../data/halves.js"
import { NaspError } from "../errors.js"
import { isRecord } from "../expect.js"
import type { NativeSession } from "../native.js"
import { encodeSafetensors, readSafetensors, tensor, type Tensor, type TensorFile } from "../safetensors.js"
import { edges } from "../spaces/index.js"
import { version } from "../version.js"
import { ioError, removeFile, writeWhole } from "./files.js"
import { format } from "./run-folder.js"

/** Where a run is, beside the tensors. Generators are counter-based: the step is their state. */
export interface Progress {
  step: number
  /** Over the epoch's steps so far. */
  totals: { loss: number; correct: number; count: number }
  /** Selected column a row, -1 = not kept: when the epoch began, and now. */
  epochSelection: number[]
  selection: number[]
  /** The epoch with the highest validation accuracy. */
  best: { epoch: number; val_acc: ValidationFigure } | null
  /** Largest eigenvalues after the whole epochs so far, where they are wanted. */
  eigenvalues: number[]
  /** Why the search ended early; null: it did not. */
  ended: string | null
  /** The method's own state. */
  method: unknown
}

export interface Checkpoint {
  file: string
  isa: string
  progress: Progress
  content: TensorFile
}

const saved = new Set(["parameter", "buffer", "alpha", "momentum", "adam"])

const fileName = (step: number) => `step-${String(step).padStart(10, "0")}.safetensors`

/**
 * @returns the file
 * @throws NaspError ERR_NASP_IO; ERR_NASP_DIVERGED if a tensor is not finite: such a state is not worth keeping
 */
export function saveCheckpoint(
  run: string,
  session: NativeSession,
  hash: string,
  progress: Progress,
): string {
  const tensors = session
    .tensors()
    .filter((t) => saved.has(t.group))
    .map((t) => tensor(t.name, t.shape, session.read(t.name)))
  for (const { name, data } of tensors) {
    if (!isFinite(data as Float32Array)) {
      throw new NaspError("ERR_NASP_DIVERGED", `${name} holds a value that is not finite`)
    }
  }
  const state = { format, version, config: hash, isa: session.options.isa, progress }
  const metadata = { nasp: JSON.stringify(state) }
  const file = join(run, "checkpoints", fileName(progress.step))
  writeWhole(file, encodeSafetensors(tensors, { ...metadata, sha256: digest(tensors, metadata) }))
  return file
}

function digest(tensors: Iterable<Tensor>, metadata: TensorFile["metadata"]): string {
  return createHash("sha256").update(encodeSafetensors(tensors, metadata)).digest("hex")
}

/**
 * Of those up to `step`, where the run is, keeps `keep`: the newest, and before it the newest that lie on the cadence; so
 * what is left does not depend on where a run was interrupted. Later ones, which a resumed run found damaged, stay until
 * it writes them anew.
 */
export function pruneCheckpoints(run: string, step: number, every: number, keep: number): void {
  const [newest, ...older] = listCheckpoints(run)
    .filter((c) => c.step <= step)
    .reverse()
  if (!newest) return
  const kept = new Set(older.filter(({ step }) => step % every === 0).slice(0, keep - 1))
  for (const old of older) if (!kept.has(old)) removeFile(old.file)
}

/** The step of the newest checkpoint that is whole; 0 if there is none. */
export function savedStep(run: string): number {
  const isWhole = ({ file }: { file: string }) => {
    try {
      readCheckpoint(file)
      return true
    } catch {
      return false
    }
  }
  return listCheckpoints(run).reverse().find(isWhole)?.step ?? 0
}

interface State {
  format: number
  config: string
  isa: string
  progress: Progress
}

/** @throws Error where it is damaged, or none */
function readCheckpoint(file: string): { content: TensorFile; state: State } {
  const content = readSafetensors(file)
  const { sha256, ...metadata } = content.metadata
  if (sha256 !== undefined && sha256 !== digest(content.tensors.values(), metadata))
    throw new Error("its checksum is another one")
  const state = JSON.parse(metadata.nasp ?? "null") as State | null
  if (state?.format !== format || !isProgress(state.progress)) throw new Error("it is no checkpoint")
  return { content, state }
}

// What those without a checksum are known by; a method's own state is for the method to read.
function isProgress(progress: unknown): boolean {
  if (!isRecord(progress)) return false
  const { step, totals, epochSelection, selection, best, eigenvalues = [], ended = null } = progress
  const isCount = (v: unknown) => Number.isInteger(v) && (v as number) >= 0
  const isRows = (v: unknown) =>
    Array.isArray(v) && v.length === 2 * edges && v.every((column) => column === -1 || isCount(column))
  return (
    isCount(step) &&
    isRecord(totals) &&
    typeof totals.loss === "number" &&
    isCount(totals.correct) &&
    isCount(totals.count) &&
    isRows(epochSelection) &&
    isRows(selection) &&
    (best === null || (isRecord(best) && isCount(best.epoch) && typeof best.val_acc === "number")) &&
    Array.isArray(eigenvalues) &&
    eigenvalues.every((v) => v === null || typeof v === "number") && // null: JSON's NaN
    (ended === null || typeof ended === "string")
  )
}

/** Oldest first. */
export function listCheckpoints(run: string): { step: number; file: string }[] {
  const folder = join(run, "checkpoints")
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []
    throw ioError("read", folder, error)
  }
  return names
    .flatMap((name) => {
      const step = /^step-(\d{10,})\.safetensors$/.exec(name)?.[1]
      return step === undefined ? [] : [{ step: Number(step), file: join(folder, name) }]
    })
    .sort((a, b) => a.step - b.step)
}

/**
 * The newest checkpoint that is whole; null if there is none.
 * @param warn is told of each newer one that is damaged
 * @throws NaspError ERR_NASP_CHECKPOINT if it is one of another configuration
 */
export function loadCheckpoint(
  run: string,
  hash: string,
  warn: (message: string) => void,
): Checkpoint | null {
  for (const { file } of listCheckpoints(run).reverse()) {
    let content: TensorFile
    let state: State
    try {
      ;({ content, state } = readCheckpoint(file))
    } catch (error) {
      warn(`the checkpoint ${file} is damaged and left out: ${(error as Error).message}`)
      continue
    }
    if (state.config !== hash) {
      throw new NaspError(
        "ERR_NASP_CHECKPOINT",
        `The checkpoint ${file} belongs to another configuration than config.json`,
      )
    }
    // What checkpoints of the first run folders do not hold.
    const { eigenvalues = [], ended = null }: Partial<Progress> = state.progress
    const progress = { ...state.progress, eigenvalues, ended }
    return { file, isa: state.isa, progress, content }
  }
  return null
}

/** @throws NaspError ERR_NASP_CHECKPOINT if its tensors are not the session's */
export function restoreTensors(session: NativeSession, { file, content }: Checkpoint): void {
  const wanted = session.tensors().filter((t) => saved.has(t.group))
  for (const { name, shape } of wanted) {
    const found = content.tensors.get(name)
    if (
      !found ||
      found.shape.join() !== shape.join() ||
      found.dtype !== session.options.precision.toUpperCase()
    ) {
      const what = found ? `${found.dtype} [${found.shape.join(", ")}]` : "nothing"
      throw new NaspError(
        "ERR_NASP_CHECKPOINT",
        `Expected [${shape.join(", ")}] for ${name} in ${file} but found ${what}`,
      )
    }
  }
  for (const { name } of wanted) session.write(name, content.tensors.get(name)?.data as Float32Array)
}

function isFinite(values: Float32Array | Float64Array): boolean {
  // A sum is not finite if an entry is not; one that overflows by itself is looked at entry by entry.
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] as number
  return Number.isFinite(sum) || values.every((v) => Number.isFinite(v))
}
