/** What an epoch adds up: losses and hits (kept in checkpoints), seconds by phase (not kept: they differ run by run). */
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

/** Mean loss and accuracy, each over images. */
export function means({ loss, correct, count }: Progress["totals"]): { loss: number; accuracy: number } {
  return { loss: loss / count, accuracy: correct / count }
}

export interface PhaseClock {
  addStep(outcome: StepOutcome): void
  add(phase: "data" | "ranking" | "validation" | "checkpoint" | "measures", seconds: number): void
  /** The phases so far and the whole time since the clock was made or last read; starts anew. */
  read(): PhaseSeconds
}

export function phaseClock(): PhaseClock {
  const zero = (): PhaseSeconds => ({
    alpha_forward: 0,
    alpha_backward: 0,
    weight_forward: 0,
    weight_backward: 0,
    data: 0,
    ranking: 0,
    validation: 0,
    checkpoint: 0,
    measures: 0,
    total: 0,
  })
  let sums = zero()
  let began = now()
  return {
    addStep({ alpha, weights }) {
      sums.alpha_forward += alpha?.forwardSeconds ?? 0
      sums.alpha_backward += alpha?.backwardSeconds ?? 0
      sums.weight_forward += weights.forwardSeconds
      sums.weight_backward += weights.backwardSeconds
      sums.data += (alpha?.waitSeconds ?? 0) + weights.waitSeconds
    },
    add(phase, seconds) {
      sums[phase] += seconds
    },
    read() {
      const seconds = { ...sums, total: now() - began }
      sums = zero()
      began = now()
      return seconds
    },
  }
}

/** Seconds of a clock that only goes forward. */
export function now(): number {
  return performance.now() / 1000
}
