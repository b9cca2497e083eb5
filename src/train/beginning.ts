/** Where a run begins: at its first step, or where the folder of one that goes on leaves off. */
import { selectionOf } from "../derive.js"
import { invalid } from "../expect.js"
import { loadCheckpoint, restoreTensors, type Progress } from "./checkpoint.js"
import type { SearchConfig } from "./config.js"
import { noTotals } from "./epoch-totals.js"
import { lastStep, type LoopParts } from "./loop.js"
import { restoreAlpha } from "./outputs.js"
import { rewriteConfig, type RunFolder } from "./run-folder.js"

export interface Beginning {
  progress: Progress
  /** Its `start` has been told. */
  isStarted: boolean
  /** Nothing is left to be done, or written. */
  isFinished: boolean
  warnings: string[]
}

type Parts = Pick<LoopParts, "config" | "space" | "session" | "method" | "batches" | "hash">

export function beginRun({ space, method }: Parts): Beginning {
  const selection = selectionOf(space, method.derive().selected)
  const progress: Progress = {
    step: 0,
    totals: noTotals(),
    epochSelection: selection,
    selection,
    best: null,
    eigenvalues: [],
    ended: null,
    method: null,
  }
  return { progress, isStarted: false, isFinished: false, warnings: [] }
}

/**
 * Brings session and method to the newest checkpoint that is whole, and the folder's configuration and events with them;
 * those of a run that is over stay.
 * @param changed of its configuration
 * @throws NaspError ERR_NASP_ARGUMENT for fewer steps than are done, ERR_NASP_CHECKPOINT, ERR_NASP_IO
 */
export function restoreRun(folder: RunFolder, changed: Partial<SearchConfig>, parts: Parts): Beginning {
  const { config, session, method, batches, hash } = parts
  const found = beginRun(parts)
  const checkpoint = loadCheckpoint(folder.path, hash, (message) => found.warnings.push(message))
  if (checkpoint) {
    found.progress = checkpoint.progress
    method.restore?.(checkpoint.progress.method)
    restoreTensors(session, checkpoint)
    if (checkpoint.isa !== session.options.isa) {
      found.warnings.push(
        `the run was computed with ${checkpoint.isa} and goes on with ${session.options.isa}: its bits will differ from a run never stopped`,
      )
    }
  }
  const { step, ended } = found.progress
  if (typeof changed.steps === "number" && changed.steps < step) {
    throw invalid("steps", `at least the ${step} steps that are done`, changed.steps)
  }
  const isOver = ended !== null || step >= lastStep(config, batches.stepsPerEpoch)
  found.isFinished = isOver && folder.lastEvent()?.type === "finished"
  if (found.isFinished) {
    restoreAlpha(session, folder.path) // a method's last ranking comes behind the checkpoint
  } else {
    rewriteConfig(folder.path, changed)
    const told = folder.cutEvents(step)
    found.isStarted = told.some(({ type }) => type === "start")
    const until = told.at(-1)?.step ?? 0
    if (until < step)
      found.warnings.push(
        `events.jsonl ends at step ${until}, before the checkpoint of step ${step}: figures from it will lack what was told between`,
      )
  }
  return found
}
