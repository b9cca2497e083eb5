/**
 * The epoch loop. It owns nothing: session, method, batches and run folder come from search.ts, which also closes
 * them. What it does a step:
 *   queue the next step's batches, let the method work on this step's, look at the losses
 *   after an epoch's last step: evaluate the searched net
 *   on the cadence, and at the end: a checkpoint
 *   where a run is cut short or ends early, behind its checkpoint: evaluate the searched net, if it is another
 * Everything that goes into a checkpoint is a function of configuration and step.
 */
import { relative } from "node:path"

import { cosine } from "../cosine.js"
import type { TrainFigure } from "../data/halves.js"
import { sameCell, selectionOf, skips } from "../derive.js"
import { NaspError } from "../errors.js"
import type { Derived, EpochEnd, RunningMethod } from "../methods/index.js"
import type { NativeAddon, NativeSession } from "../native.js"
import { edges, type Space } from "../spaces/index.js"
import { alphaRows, readAlpha, watchAlpha } from "./alpha-watch.js"
import type { Batches } from "./batches.js"
import { pruneCheckpoints, saveCheckpoint, type Progress } from "./checkpoint.js"
import type { SearchConfig } from "./config.js"
import { largestEigenvalue, reasonToStop } from "./early-stop.js"
import { addBatch, means, noTotals, now, type PhaseClock } from "./epoch-totals.js"
import { evaluate, evaluateDerived } from "./evaluate.js"
import type {
  CellRows,
  CheckpointEvent,
  DerivedFigures,
  EpochEvent,
  OrdersEvent,
  SearchEvent,
} from "./events.js"
import { compareOrders } from "./compare-orders.js"
import { writeOutputs } from "./outputs.js"
import type { RunFolder } from "./run-folder.js"

export interface LoopParts {
  addon: NativeAddon
  config: SearchConfig
  space: Space
  session: NativeSession
  method: RunningMethod
  batches: Batches
  /** null: nothing is kept on the disk. */
  run: RunFolder | null
  /** Of configuration and data, for the checkpoints. */
  hash: string
  /** Where to go on from; moved along. */
  progress: Progress
  control: LoopControl
  /** Of the events since the last epoch's. */
  clock: PhaseClock
}

export interface LoopControl {
  /** Throws where the search is to end at once: aborted or disposed. */
  goOn(): void
  /** Set to end after the running step; "evaluated": with an epoch event for where that is. */
  stopping: false | true | "evaluated"
}

export interface LoopEnd {
  status: "finished" | "stopped"
  derived: Derived
}

/** Steps that a run has in all. */
export function lastStep(config: SearchConfig, stepsPerEpoch: number): number {
  return Math.min(config.epochs * stepsPerEpoch, config.steps ?? Infinity)
}

/** The epoch, from 0, that the last of `step` steps belongs to. */
export function epochOf(step: number, stepsPerEpoch: number): number {
  return Math.max(0, Math.ceil(step / stepsPerEpoch) - 1)
}

export async function* runLoop(parts: LoopParts): AsyncGenerator<SearchEvent, LoopEnd> {
  const { config, session, method, batches, run, progress, control, clock } = parts
  const { stepsPerEpoch } = batches
  const total = config.epochs * stepsPerEpoch
  let last = progress.ended === null ? lastStep(config, stepsPerEpoch) : progress.step
  const lrAt = (step: number, epoch: number) =>
    method.learningRate?.({ step, epoch, stepsPerEpoch }) ??
    cosine(config.lr, config.lrMin, epoch, config.epochs)
  const watch = watchAlpha(session, parts.space)
  session.memory(true)
  clock.read() // what came before is no epoch's

  const queueStep = (step: number) => {
    const began = now()
    const hasArchitectureStep = method.hasArchitectureStep?.(Math.floor(step / stepsPerEpoch)) ?? true
    const queued = step < last ? batches.queueStep(step, hasArchitectureStep) : null
    clock.add("data", now() - began)
    return queued
  }
  let queued = queueStep(progress.step)
  while (queued && progress.step < last && !control.stopping) {
    control.goOn()
    const step = progress.step
    const epoch = Math.floor(step / stepsPerEpoch)
    if (step % stepsPerEpoch === 0) startEpoch(progress)
    const lr = lrAt(step, epoch)
    const current = queued
    queued = queueStep(step + 1)

    const began = now()
    const outcome = await method.step(current, { step, epoch, stepsPerEpoch, lr })
    const { alpha, weights } = outcome
    if (alpha) checkFinite(alpha.loss, "validation loss of the architecture step")
    checkFinite(weights.loss, "training loss")
    checkFinite(weights.gradientNorm, "norm of the weights' gradient")
    clock.addStep(outcome)
    addBatch(progress.totals, weights)
    progress.step = step + 1
    yield {
      type: "step",
      step: progress.step,
      epoch,
      lr,
      loss: weights.loss,
      correct: weights.correct,
      count: weights.count,
      alpha_loss: alpha?.loss ?? null,
      gradient_norm: weights.gradientNorm,
      ...watch.look(),
      seconds: now() - began,
    }

    if (config.compareOrders > 0 && progress.step % config.compareOrders === 0) {
      yield await measureOrders(parts, epoch, lr)
    }
    if (progress.step % stepsPerEpoch === 0) {
      await endSteps(parts, { whole: true, last: progress.step === total })
      const event = await endEpoch(parts, epoch, lr, true)
      yield event
      if (progress.step < total) {
        progress.ended = reasonToStop(config, event.skips.normal, progress.eigenvalues)
      }
      if (progress.ended !== null) {
        last = progress.step
        await endSteps(parts, { whole: false, last: true })
        yield { type: "early_stop", step: last, epoch, reason: progress.ended }
      }
      watch.look() // what was done between epochs is no step's
    }
    if (run && (progress.step % config.checkpointEvery === 0 || progress.step === last)) {
      yield checkpoint(parts, run, epoch)
    }
  }

  const { step } = progress
  const epoch = epochOf(step, stepsPerEpoch)
  const isOver = step >= last
  if (run && !isOver && step % config.checkpointEvery !== 0) yield checkpoint(parts, run, epoch)
  // What is saved of a run that could go on is an uninterrupted one's; what follows is of its end alone.
  const couldGoOn = progress.ended === null && step > 0 && step < total
  const isNew = step % stepsPerEpoch !== 0 || method.onEpoch !== undefined
  const isCutShort = couldGoOn && isNew && (isOver || control.stopping === "evaluated")
  if (isCutShort) await endSteps(parts, { whole: false, last: true })
  // After an early stop the method's last look may have found another net, which the checkpoint holds.
  const isEndedByFinding = progress.ended !== null && method.onEpoch !== undefined
  if (isCutShort || isEndedByFinding) yield await endEpoch(parts, epoch, lrAt(step - 1, epoch), false)
  const derived = method.derive()
  if (!isOver) {
    yield { type: "stopped", step, epoch, genotype: derived.searched }
    return { status: "stopped", derived }
  }
  if (run) {
    pruneCheckpoints(run.path, step, config.checkpointEvery, config.keepCheckpoints)
    writeOutputs(run.path, session, derived)
  }
  yield { type: "finished", step, epoch, genotype: derived.searched }
  return { status: "finished", derived }
}

// What the method does between epochs.
async function endSteps(
  { method, batches, progress, clock }: LoopParts,
  how: Pick<EpochEnd, "whole" | "last">,
): Promise<void> {
  const began = now()
  const { step } = progress
  await method.onEpoch?.({ epoch: epochOf(step, batches.stepsPerEpoch), step, ...how })
  clock.add("ranking", now() - began)
}

function startEpoch(progress: Progress): void {
  progress.totals = noTotals()
  progress.epochSelection = progress.selection
}

// Evaluates the searched net on the validation half. An epoch that a cut run left unfinished is no candidate for the
// best one: its checkpoint would differ from that of a run that goes on.
async function endEpoch(parts: LoopParts, epoch: number, lr: number, whole: boolean): Promise<EpochEvent> {
  const { session, method, space, progress, clock } = parts
  const derived = method.derive()
  const began = now()
  const validation = await evaluate(parts, epoch, parts.config.batchStatistics)
  const eigenvalue = whole && parts.config.stopEigenvalue !== null ? await eigenvalueOf(parts) : null
  clock.add("validation", now() - began)
  const inherited = await measureDerived(parts, epoch)
  const train = means<TrainFigure>(progress.totals)
  progress.selection = selectionOf(space, derived.selected)
  if (whole && (progress.best === null || validation.accuracy > progress.best.val_acc)) {
    progress.best = { epoch, val_acc: validation.accuracy }
  }
  const memory = session.memory(true)
  return {
    type: "epoch",
    step: progress.step,
    epoch,
    whole,
    lr,
    train_loss: train.loss,
    train_acc: train.accuracy,
    val_loss: validation.loss,
    val_acc: validation.accuracy,
    seconds: clock.read(),
    peak_bytes: {
      activations: memory.peakActivations,
      allocated: memory.allocated,
      resident: process.resourceUsage().maxRSS * 1024,
    },
    agrees: sameCell(derived.searched, derived.softmax),
    flipped: progress.selection.filter((column, row) => column !== progress.epochSelection[row]).length,
    eigenvalue,
    skips: { normal: skips(derived.searched.normal), reduce: skips(derived.searched.reduce) },
    genotype: derived.searched,
    alpha: alphaRows(space, readAlpha(session)),
    selection: inCells(progress.selection),
    ...(inherited && { derived: inherited }),
  }
}

async function eigenvalueOf({
  addon,
  session,
  method,
  batches,
  progress,
  control,
}: LoopParts): Promise<number> {
  const ticket = batches.queueRanking(progress.step)
  const eigenvalue = await largestEigenvalue(addon, session, method, ticket, control.goOn)
  progress.eigenvalues.push(eigenvalue)
  return eigenvalue
}

async function measureDerived(parts: LoopParts, epoch: number): Promise<DerivedFigures | null> {
  if (!parts.config.evaluateDerived) return null
  const began = now()
  const figures = await evaluateDerived(parts, epoch)
  parts.clock.add("measures", now() - began)
  return figures
}

async function measureOrders(
  { session, method, batches, config, progress, clock }: LoopParts,
  epoch: number,
  lr: number,
): Promise<OrdersEvent> {
  const began = now()
  const figures = await compareOrders({ session, batches, settings: config }, method, progress.step, lr)
  clock.add("measures", now() - began)
  return { type: "orders", step: progress.step, epoch, ...figures }
}

// 14 rows of the normal cell, then those of the reduction cell.
function inCells(rows: number[]): CellRows<number> {
  return { normal: rows.slice(0, edges), reduce: rows.slice(edges) }
}

function checkpoint(parts: LoopParts, run: RunFolder, epoch: number): CheckpointEvent {
  const { config, space, session, method, progress, hash, clock } = parts
  const began = now()
  progress.selection = selectionOf(space, method.derive().selected)
  progress.method = method.save?.() ?? null
  run.sync() // events up to here last at least as long as the checkpoint
  const file = saveCheckpoint(run.path, session, hash, progress)
  pruneCheckpoints(run.path, progress.step, config.checkpointEvery, config.keepCheckpoints)
  clock.add("checkpoint", now() - began)
  return { type: "checkpoint", step: progress.step, epoch, file: relative(run.path, file) }
}

function checkFinite(value: number, what: string): void {
  if (!Number.isFinite(value)) throw new NaspError("ERR_NASP_DIVERGED", `the ${what} is ${value}`)
}
