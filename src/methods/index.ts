/**
 * Search methods: what to do with alpha and the weights. The loop in src/train brings batches and the schedule; a
 * method answers with a few verbs. A new one is one file and one line here; the command line, the docs' table, the bench
 * and the tests' matrix follow the registry.
 */
import { oneOf, invalid, type Fields, type FieldValues } from "../expect.js"
import type { TrainTicket, ValidationTicket } from "../data/halves.js"
import type { CellMatrices } from "../derive.js"
import type { Genotype } from "../genotype.js"
import type { NativeAddon, NativeSession, NativeSessionOptions, StepResult } from "../native.js"
import type { Space } from "../spaces/index.js"
import { asap } from "./asap.js"
import { darts } from "./darts.js"
import { enas } from "./enas.js"
import type { StepEvaluations } from "./evaluations.js"
import { gdas } from "./gdas.js"
import type { Matrices } from "./matrices.js"
import { lazyPa, nasp, pa } from "./nasp.js"
import { pcDarts } from "./pc-darts.js"
import { pdarts } from "./pdarts.js"
import { random } from "./random.js"
import { snas } from "./snas.js"

/** What every method gets of the run's configuration. */
export interface MethodSettings {
  channels: number
  layers: number
  epochs: number
  seed: number
  lr: number
  lrMin: number
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
  /** A ticket for batch `index` of an endless series through the validation half, for ranking architectures. */
  rankingBatch(index: number): ValidationTicket
  /** Whole batches of one pass through that half. */
  rankingBatches: number
}

/** Tickets of prepared batches; a step uses them up. */
export interface StepBatches {
  train: TrainTicket
  /** null in epochs without an architecture step (`hasArchitectureStep`). */
  validation: ValidationTicket | null
}

export interface StepSchedule {
  /** Steps done before this one. */
  step: number
  epoch: number
  stepsPerEpoch: number
  /** Of the weights. */
  lr: number
}

export interface StepOutcome {
  /** null where the step had no architecture step of its own. */
  alpha: StepResult | null
  weights: StepResult
}

/** Where the loop stands after an epoch's last step, or where the run is cut short. */
export interface EpochEnd {
  epoch: number
  /** Steps done. */
  step: number
  /** false: the run ends within the epoch. */
  whole: boolean
  /** The run's last step is done. */
  last: boolean
}

export interface Derived {
  /** The searched net as a cell. */
  searched: Genotype
  /** The released code's ranking by softmax. */
  softmax: Genotype
  /** Its discrete matrices. */
  selected: CellMatrices
  alpha: CellMatrices
}

/** What a method asks of the net, beyond the session's options. */
export type NetFeatures = Pick<NativeSessionOptions, "partialChannels">

/** A method at work on one session. */
export interface RunningMethod {
  /** Whether the steps of this epoch hold an architecture step, on a validation batch of its own. Default: all do. */
  hasArchitectureStep?(epoch: number): boolean
  /** The weights' learning rate, where it is not the cosine over the epochs that the loop brings. */
  learningRate?(schedule: Omit<StepSchedule, "lr">): number
  /**
   * Sets the mixture that these alpha would give and returns what reads dL/dalpha after a pass: for methods whose mixture
   * is smooth in alpha. Without it, what looks at the loss around the architecture looks at the mixture's entries.
   */
  relaxed?(alpha: Matrices): () => Matrices
  /** One training batch and, where there is an architecture step, one validation batch. */
  step(batches: StepBatches, schedule: StepSchedule): Promise<StepOutcome>
  onEpoch?(end: EpochEnd): Promise<void> | void
  /** Leaves the session at the net that was searched: what an evaluation is to see. */
  derive(): Derived
  /**
   * The method's own state beside the session's tensors, as JSON; `restore` takes it back, before the tensors are
   * written back.
   */
  save?(): unknown
  restore?(state: unknown): void
}

export interface SearchMethod<F extends Fields = Fields> {
  name: string
  about: string
  /** Paper, and the code that the defaults are from. */
  source: string
  /** The method's options: names, defaults, checks and help. */
  fields: F
  /** Where the source's defaults of the search's own options (epochs, batch, learning rates) differ from the table's. */
  defaults: Readonly<Record<string, unknown>>
  /** Its nets are D, what alpha selects by the proximal step, so that a step's time depends on alpha. */
  selects?: boolean
  /** Default: the plain supernet. */
  net?(options: FieldValues<F>): NetFeatures
  /** Operations evaluated a step, by the method's definition. */
  evaluations(options: FieldValues<F>): StepEvaluations
  /** Sets alpha's start; the weights are the engine's. */
  prepare(context: MethodContext, options: FieldValues<F>): RunningMethod
}

const registry = [nasp, lazyPa, pa, darts, snas, asap, gdas, enas, random, pcDarts, pdarts] as const

// Options are checked by a method's own fields (resolveFields) before they reach it.
export const methods: readonly SearchMethod[] = registry

type OptionsOf<M> = M extends SearchMethod<infer F> ? Partial<FieldValues<F>> : never
/** The options of one of the methods, any of them left out. */
export type MethodOptions = OptionsOf<(typeof registry)[number]>

/** @throws NaspError ERR_NASP_ARGUMENT */
export function findMethod(name: string): SearchMethod {
  const method = methods.find((m) => m.name === name)
  if (!method) throw invalid("method", oneOf(methods.map((m) => m.name)), name)
  return method
}

/** Whether a method has an architecture step of its own, by its definition. */
export function descends({ method: name, options }: { method: string; options: object }): boolean {
  const method = findMethod(name)
  const given = options as Parameters<typeof method.evaluations>[0]
  return Object.keys(method.evaluations(given).architecture).length > 0
}
