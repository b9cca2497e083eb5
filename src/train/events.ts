/**
 * What a search tells while it runs: the items of its async iterable, the lines of events.jsonl and of --json.
 * Names are those of the JSON. Accuracies are fractions, losses means over images, times seconds, sizes bytes.
 */
import type { TrainFigure, ValidationFigure } from "../data/halves.js"
import type { Genotype } from "../genotype.js"

/** Of both cell types, 14 rows (edges) each. */
export interface CellRows<Row> {
  normal: Row[]
  reduce: Row[]
}

interface At {
  /** Steps done. */
  step: number
  /** The epoch, from 0, that the last of them belongs to. */
  epoch: number
}

export interface StartEvent extends At {
  type: "start" | "resume"
  version: string
  space: string
  method: string
  data: string
  isa: string
  lanes: number
  threads: number
  epochs: number
  steps_per_epoch: number
  /** Where the run ends: epochs * steps_per_epoch, or --steps. */
  last_step: number
  /** The run folder. */
  out: string | null
  cpu: string
  /** Parameters of the supernet. */
  parameters: number
  /** Columns of alpha, and its values before the next step. */
  operations: CellRows<string>
  alpha: CellRows<number[]>
}

export interface StepEvent extends At {
  type: "step"
  lr: number
  /** Of the training batch. */
  loss: number
  correct: number
  count: number
  /** Of the validation batch in the architecture step; null where the method has none. */
  alpha_loss: number | null
  gradient_norm: number
  /** Frobenius norm of alpha's change in this step, over both matrices. */
  alpha_change: number
  /** Of 28 rows of alpha, in how many another operation than before is the largest (none is left out). */
  rows_flipped: number
  /** The step's own time: no evaluation, no checkpoint. */
  seconds: number
}

/** Parts of `total`, but for `preparation`; what is left of it is the weights' update, the loop's and the methods' own. */
export interface PhaseSeconds {
  alpha_forward: number
  alpha_backward: number
  weight_forward: number
  weight_backward: number
  /** Batches of the steps: asking for them, waiting, taking them in. */
  data: number
  /** Augmenting those batches on a thread of its own, beside the steps: no part of `total`. */
  preparation: number
  /** What the method does between epochs: ranking samples, training a controller. */
  ranking: number
  validation: number
  checkpoint: number
  /** Events into the run folder. */
  logging: number
  /** What only measures: evaluateDerived, compareOrders. */
  measures: number
  /** Whoever is told the events: printing, or another run's turn. */
  listener: number
  total: number
}

export interface EpochEvent extends At {
  type: "epoch"
  /**
   * false: told at the end of a run that could go on (--steps, an evaluated stop): inside an epoch, or behind its own event, of
   * what the method finds at a run's end. Going on drops it.
   */
  whole: boolean
  lr: number
  train_loss: number
  train_acc: TrainFigure
  /** The whole validation half through the searched net: running statistics (or batchStatistics), training transform. */
  val_loss: number
  val_acc: ValidationFigure
  /** Since the epoch event before, or since the run was resumed: what follows an event counts to the next. */
  seconds: PhaseSeconds
  /** activations and allocated: the engine's, this epoch; resident: the whole process, so far. */
  peak_bytes: { activations: number; allocated: number; resident: number }
  /** Whether the searched net and the ranking by softmax are the same cell. */
  agrees: boolean
  /** Of 28 edges, how many changed their operation, came or went since the epoch began. */
  flipped: number
  /** Of the validation loss's Hessian in alpha; null where it is not asked for (stopEigenvalue). */
  eigenvalue: number | null
  /** Of 8 kept edges a cell. */
  skips: { normal: number; reduce: number }
  genotype: Genotype
  alpha: CellRows<number[]>
  /** Column of each row's selected operation, -1 where the row is not kept. */
  selection: CellRows<number>
  /** With evaluateDerived: the net of `genotype` with the searched weights, on the whole validation half. */
  derived?: DerivedFigures
}

export interface DerivedFigures {
  /** With running statistics, as val_loss and val_acc. */
  loss: number
  accuracy: ValidationFigure
  /** With each batch's own statistics: running ones were gathered by the searched net. Of both nets. */
  batch_accuracy: ValidationFigure
  searched_batch_accuracy: ValidationFigure
}

/** With compareOrders: alpha's gradient at the searched net, at the weights (first) and at an unrolled step (second). */
export interface OrdersEvent extends At {
  type: "orders"
  /** Of the angle between the two, over both matrices; null where one is 0. */
  cosine: number | null
  first_norm: number
  second_norm: number
  difference_norm: number
}

export interface CheckpointEvent extends At {
  type: "checkpoint"
  file: string
}

export interface WarningEvent extends At {
  type: "warning"
  message: string
}

/** The search ends here, before its last step (stopSkips, stopEigenvalue); `finished` follows. */
export interface EarlyStopEvent extends At {
  type: "early_stop"
  reason: string
}

export interface EndEvent extends At {
  /** stopped: on request, before the last step; resumable. */
  type: "finished" | "stopped"
  genotype: Genotype
}

export type SearchEvent =
  | StartEvent
  | StepEvent
  | EpochEvent
  | OrdersEvent
  | CheckpointEvent
  | EarlyStopEvent
  | WarningEvent
  | EndEvent
