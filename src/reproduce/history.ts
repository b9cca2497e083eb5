/**
 * What a run folder says of a search: the one source of every figure, whether it was just run or long ago. The
 * accuracies of the two halves have types of their own, so that a figure of one cannot be drawn with the other. The
 * test set is in neither: a search never reads it.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"

import type { TrainFigure, ValidationFigure } from "../data/halves.js"
import { NaspError } from "../errors.js"
import type { Genotype } from "../genotype.js"
import type { SearchConfig } from "../train/config.js"
import type {
  CellRows,
  DerivedFigures,
  EpochEvent,
  OrdersEvent,
  PhaseSeconds,
  SearchEvent,
  StartEvent,
  StepEvent,
} from "../train/events.js"
import { noSeconds } from "../train/epoch-totals.js"
import { isEnd, listing, readRunEvents, readRunRecord } from "../train/run-folder.js"
import { checkEvent } from "./check-event.js"
import { placeOf, sideOf, type Side } from "./sides.js"

export interface Moment {
  step: number
  /** Epochs done, a fraction where a budget ended inside one. */
  epochs: number
  /** Of search: no evaluation, no checkpoints. */
  seconds: number
  validation: ValidationFigure
  train: TrainFigure
  /** Of the derived net with the searched weights, where that was measured. */
  derived: DerivedAccuracies | null
  alpha: CellRows<number[]>
  selection: CellRows<number>
  genotype: Genotype
  /** Over the steps since the moment before, or since the start. */
  sinceLast: {
    steps: number
    /** false: a budget or a stop ended inside the epoch. */
    whole: boolean
    /** That they trained on. */
    images: number
    /** Changes of a row's largest operation, added up. */
    flips: number
    /** Mean of ||A_{t+1} - A_t||. */
    alphaChange: number
    /** Of the steps alone. */
    stepSeconds: number
    /** By phase, evaluation and checkpoints among them; of an epoch that a resume cut in two, of its second part. */
    phases: PhaseSeconds
    resumed: boolean
  }
}

/** With running statistics, and with each batch's own beside the searched net's with them. */
export interface DerivedAccuracies {
  running: ValidationFigure
  batch: ValidationFigure
  searchedBatch: ValidationFigure
}

export interface History {
  folder: string
  side: Side
  seed: number
  config: SearchConfig
  /** Of the images, labels and their transform. */
  dataHash: string
  start: StartEvent
  moments: Moment[]
  /** false: it was killed, diverged, or still runs. */
  ended: boolean
  /** Where alpha's gradients of both orders were compared. */
  orders: { epochs: number; step: number; cosine: number | null; ratio: number | null }[]
}

/**
 * The runs in these folders: run folders themselves, or folders that hold some, as an `--out` of `nasp reproduce` does
 * (in `runs/`, of Table 6 in `<space>/runs/`). Sorted by side and seed.
 * @throws NaspError ERR_NASP_RUN_FOLDER for a folder without a run that can be drawn, and for events that are none
 */
export function readHistories(folders: readonly string[]): History[] {
  const histories = folders.flatMap(runsIn).map(readHistory)
  return histories.sort((a, b) => placeOf(a.side) - placeOf(b.side) || a.seed - b.seed)
}

function runsIn(folder: string): string[] {
  const isRun = (path: string) => existsSync(join(path, "config.json"))
  if (isRun(folder)) return [folder]
  const within = (path: string) => (listing(path) ?? []).map((name) => join(path, name))
  const runs = [folder, join(folder, "runs"), ...within(folder).map((path) => join(path, "runs"))]
    .flatMap(within)
    .filter(isRun)
    .sort()
  if (runs.length === 0) {
    const why = existsSync(folder) ? `found no run in ${folder}` : `${folder} does not exist`
    throw new NaspError("ERR_NASP_RUN_FOLDER", `Expected a run folder or a folder of runs but ${why}`)
  }
  return runs
}

export function readHistory(folder: string): History {
  const { config, data_hash: dataHash } = readRunRecord(folder)
  const events = readRunEvents(folder, checkEvent)
  const last = events.at(-1)
  const start = events.find((e): e is StartEvent => e.type === "start")
  const old = events.find((e) => e.type === "epoch" && e.alpha === undefined)
  if (!start?.alpha || old) {
    throw new NaspError(
      "ERR_NASP_RUN_FOLDER",
      `Expected a run whose events hold alpha, but those of ${folder} do not: it was ${start ? "made by an older version" : "never started"}`,
    )
  }
  return {
    folder,
    side: sideOf(config),
    seed: config.seed,
    config,
    dataHash,
    start,
    moments: momentsOf(start, events),
    ended: last !== undefined && isEnd(last),
    orders: ordersOf(start, events),
  }
}

function accuraciesOf(derived: DerivedFigures): DerivedAccuracies {
  return {
    running: derived.accuracy,
    batch: derived.batch_accuracy,
    searchedBatch: derived.searched_batch_accuracy,
  }
}

function ordersOf(start: StartEvent, events: readonly SearchEvent[]): History["orders"] {
  return events.flatMap((e) =>
    e.type === "orders"
      ? [
          {
            epochs: e.step / start.steps_per_epoch,
            step: e.step,
            cosine: e.cosine,
            ratio: ratioOf(e),
          },
        ]
      : [],
  )
}

// A norm that overflowed is null in JSON.
function ratioOf({ first_norm, difference_norm }: OrdersEvent): number | null {
  return first_norm > 0 && Number.isFinite(difference_norm) ? difference_norm / first_norm : null
}

/** What an event adds to the time of the search: steps, and what the method does between epochs. */
export function searchSeconds(event: SearchEvent): number {
  if (event.type === "step") return event.seconds
  return event.type === "epoch" ? event.seconds.ranking : 0
}

function momentsOf(start: StartEvent, events: readonly SearchEvent[]): Moment[] {
  const moments: Moment[] = []
  let seconds = 0
  let since: SearchEvent[] = []
  for (const event of events) {
    seconds += searchSeconds(event)
    since.push(event)
    if (event.type !== "epoch") continue
    const now = moment(event, start, seconds, since)
    const before = moments.at(-1)
    // What a method finds at a run's end stands for what it found after the epoch's last step.
    if (before?.step === now.step) moments.splice(-1, 1, { ...now, sinceLast: before.sinceLast })
    else moments.push(now)
    since = []
  }
  return moments
}

function moment(e: EpochEvent, start: StartEvent, seconds: number, since: readonly SearchEvent[]): Moment {
  const steps = since.filter((event) => event.type === "step")
  const sum = (of: (s: StepEvent) => number) => steps.reduce((total, s) => total + of(s), 0)
  return {
    step: e.step,
    epochs: e.step / start.steps_per_epoch,
    seconds,
    validation: e.val_acc,
    train: e.train_acc,
    derived: e.derived ? accuraciesOf(e.derived) : null,
    alpha: e.alpha,
    selection: e.selection,
    genotype: e.genotype,
    sinceLast: {
      steps: steps.length,
      whole: e.whole !== false, // older runs lack it
      images: sum((s) => s.count),
      flips: sum((s) => s.rows_flipped),
      alphaChange: steps.length === 0 ? 0 : sum((s) => s.alpha_change) / steps.length,
      stepSeconds: sum((s) => s.seconds),
      phases: { ...noSeconds(), ...e.seconds }, // older runs lack some
      resumed: since
        .slice(since.findIndex((event) => event.type === "step"))
        .some((event) => event.type === "resume"),
    },
  }
}
