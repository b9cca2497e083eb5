/**
 * Search methods: what to do with alpha and the weights. The loop in src/train brings batches and the schedule; a
 * method answers with four verbs. A new one is one file and one line here; the command line follows the registry.
 */
import { oneOf, invalid, type Fields, type FieldValues } from "../expect.js"
import type { TrainTicket, ValidationTicket } from "../data/halves.js"
import type { CellMatrices } from "../derive.js"
import type { Genotype } from "../genotype.js"
import type { NativeAddon, NativeSession, StepResult } from "../native.js"
import type { Space } from "../spaces/index.js"
import { nasp } from "./nasp.js"

/** What every method gets of the run's configuration. */
export interface MethodSettings {
  channels: number
  seed: number
  momentum: number
  weightDecay: number
  clip: number
  archLr: number
  archBeta1: number
  archBeta2: number
  archWeightDecay: number
}

export interface MethodContext {
  addon: NativeAddon
  session: NativeSession
  space: Space
  settings: MethodSettings
}

/** Tickets of prepared batches; a step uses up both. */
export interface StepBatches {
  train: TrainTicket
  validation: ValidationTicket
}

export interface StepSchedule {
  /** Steps done before this one. */
  step: number
  epoch: number
  /** Of the weights. */
  lr: number
}

export interface StepOutcome {
  alpha: StepResult
  weights: StepResult
}

export interface Derived {
  /** The net that was searched; the session is left at it. */
  searched: Genotype
  /** The released code's ranking by softmax. */
  softmax: Genotype
  selected: CellMatrices
  alpha: CellMatrices
}

/** A method at work on one session. */
export interface RunningMethod {
  /** One training batch and one validation batch. */
  step(batches: StepBatches, schedule: StepSchedule): Promise<StepOutcome>
  /** After an epoch's last step. */
  onEpoch(epoch: number): void
  derive(): Derived
  /** The method's own state beside the session's tensors, as JSON; `restore` takes it back. */
  save(): unknown
  restore(state: unknown): void
}

export interface SearchMethod<F extends Fields = Fields> {
  name: string
  about: string
  /** The method's options: names, defaults, checks and help. */
  fields: F
  /** Sets alpha's start; the weights are the engine's. */
  prepare(context: MethodContext, options: FieldValues<F>): RunningMethod
}

export const methods = [nasp] as const

/** @throws NaspError ERR_NASP_ARGUMENT */
export function findMethod(name: string): (typeof methods)[number] {
  const method = methods.find((m) => m.name === name)
  if (!method) throw invalid("method", oneOf(methods.map((m) => m.name)), name)
  return method
}
