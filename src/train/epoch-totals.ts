/** What an epoch adds up: losses and hits (kept in checkpoints), seconds by phase (not kept: they differ run by run). */
import type { TrainFigure, ValidationFigure } from "../data/halves.js"
import type { StepOutcome } from "../methods/index.js"
import type { StepResult } from "../native.js"
import type { Progress } from "./checkpoint.js"
import type { PhaseSeconds } from "./events.js"

export function noTotals(): Progress["totals"] {
  return { loss: 0, correct: 0, count: 0 }
}

export function addBatch(totals: Progress["totals"], { loss, correct, count }: StepResult): void {
  totals.loss += loss * count
  totals.correct += correct
  totals.count += count
}

/** Mean loss and accuracy, each over images; `Figure` says of which half. */
export function means<Figure extends TrainFigure | ValidationFigure>({
  loss,
  correct,
  count,
}: Progress["totals"]): { loss: number; accuracy: Figure } {
  return { loss: loss / count, accuracy: (correct / count) as Figure }
}

export interface PhaseClock {
  addStep(outcome: StepOutcome): void
  add(phase: Exclude<keyof PhaseSeconds, "total">, seconds: number): void
  /** The phases so far and the whole time since the clock was made or last read; starts anew. */
  read(): PhaseSeconds
}

export function noSeconds(): PhaseSeconds {
  return {
    alpha_forward: 0,
    alpha_backward: 0,
    weight_forward: 0,
    weight_backward: 0,
    data: 0,
    preparation: 0,
    ranking: 0,
    validation: 0,
    checkpoint: 0,
    logging: 0,
    measures: 0,
    listener: 0,
    total: 0,
  }
}

export function phaseClock(): PhaseClock {
  let sums = noSeconds()
  let began = now()
  return {
    addStep({ alpha, weights }) {
      sums.alpha_forward += alpha?.forwardSeconds ?? 0
      sums.alpha_backward += alpha?.backwardSeconds ?? 0
      sums.weight_forward += weights.forwardSeconds
      sums.weight_backward += weights.backwardSeconds
      sums.data += (alpha?.waitSeconds ?? 0) + weights.waitSeconds
      sums.preparation += (alpha?.prepareSeconds ?? 0) + weights.prepareSeconds
    },
    add(phase, seconds) {
      sums[phase] += seconds
    },
    read() {
      const seconds = { ...sums, total: now() - began }
      sums = noSeconds()
      began = now()
      return seconds
    },
  }
}

/** Share of an epoch's own time in what is not its passes: data and their preparation, logging, checkpoints. */
export function upkeep(s: PhaseSeconds): number {
  return (s.data + s.preparation + s.logging + s.checkpoint) / (s.total - s.listener)
}

/** Seconds of a clock that only goes forward. */
export function now(): number {
  return performance.now() / 1000
}
