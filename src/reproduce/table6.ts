/**
 * Table 6 of the paper: seconds an epoch of 25,000 images by what they go into, for DARTS and NASP in each space, from
 * timed batches or from the epochs of runs, beside the paper's. The error is that of a search, where one was run: the
 * paper's is that of the net trained afterwards, and the row says so.
 */
import { NaspError } from "../errors.js"
import type { NativeAddon } from "../native.js"
import { findSpace, type Space } from "../spaces/index.js"
import { bySide } from "./curves.js"
import { finalParameters } from "./final-net.js"
import type { History } from "./history.js"
import { paper } from "./paper-protocol.js"
import { orderOf, paperRow, type EpochSeconds, type PaperRow } from "./paper-table6.js"
import type { Side } from "./sides.js"
import { summarise, type Summary } from "./statistics.js"
import type { StepSeconds } from "./step-clock.js"
import type { Timed } from "./table6-timing.js"

/** A row, as `--json` prints it and table6.json holds it. */
export interface Table6Row {
  method: string
  order: "first" | "second"
  space: string
  /** Operations in both cell types together: 7 or 12 in the paper's table. */
  ops: number
  /** Mean. */
  seconds: EpochSeconds & { total: number }
  paper: PaperRow
  /** Seconds here over the paper's. */
  ratio: Record<keyof EpochSeconds, number | null>
  /** What each of `seconds` is the mean of. */
  spread: Record<keyof EpochSeconds, (Summary & { min: number; max: number }) | null>
  samples: "timed batches" | "epochs of runs"
  /** Of the supernet. */
  supernet_parameters: number
  /** Of the final net of what was selected or found; null where nothing was. */
  final_parameters: Summary | null
  /** 1 - validation accuracy of the searched net, at the end of the search; null where none was run. */
  search_error: Summary | null
}

export interface Table6Entry {
  side: Side
  row: Table6Row
}

export const columns = [
  "alpha_first",
  "alpha_second",
  "forward",
  "backward",
  "data",
  "overhead",
  "total",
] as const satisfies readonly (keyof EpochSeconds)[]

/** @param histories of searches of the same sides and spaces, for error and parameters; may be empty */
export function entriesOfTimed(
  timed: readonly Timed[],
  histories: readonly History[],
  addon: NativeAddon,
): Table6Entry[] {
  return timed.map(({ side, space, steps, batch, supernet, final }) => {
    const found = histories.filter((h) => h.side.name === side.name && h.config.space === space.name)
    const samples = steps.map((s) => scaled(s, paper.epochImages / batch))
    const net =
      found.length > 0 ? searched(found, addon) : { final_parameters: summarise(final), search_error: null }
    const seconds = { ...secondsOf(side, space, samples), samples: "timed batches" as const }
    return { side, row: { ...seconds, supernet_parameters: supernet, ...net } }
  })
}

/**
 * From runs alone: each whole epoch that no resume cut is a sample. Sides without one are left out.
 * @throws NaspError ERR_NASP_RUN_FOLDER where all are
 */
export function entriesOfRuns(histories: readonly History[], addon: NativeAddon): Table6Entry[] {
  const spaces = [...new Set(histories.map((h) => h.config.space))]
  const entries = spaces.flatMap((name) =>
    bySide(histories.filter((h) => h.config.space === name)).flatMap(({ side, runs }) => {
      const samples = runs.flatMap(epochSamples)
      if (samples.length === 0) return []
      const seconds = { ...secondsOf(side, findSpace(name), samples), samples: "epochs of runs" as const }
      const supernet = runs[0]!.start.parameters
      return [{ side, row: { ...seconds, supernet_parameters: supernet, ...searched(runs, addon) } }]
    }),
  )
  if (entries.length > 0) return entries
  throw new NaspError(
    "ERR_NASP_RUN_FOLDER",
    `Expected a run with a whole epoch, not cut by a resume, but of ${histories.length} runs none holds one`,
  )
}

/** A line on the sides of these runs that have no row; none where all have one. */
export function leftOut(histories: readonly History[], entries: readonly Table6Entry[]): string[] {
  const without = histories.filter(
    (h) => !entries.some(({ side, row }) => side.name === h.side.name && row.space === h.config.space),
  )
  const names = [...new Set(without.map((h) => `${h.side.label} in ${h.config.space}`))]
  return names.length > 0 ? [`Left out, as their runs hold no whole epoch: ${names.join("; ")}.`] : []
}

// What a method ranks at a run's end is no epoch's.
function epochSamples({ config, start, moments }: History): StepSeconds[] {
  return moments.flatMap(({ step, sinceLast: { steps, whole, images, phases, resumed } }) => {
    if (steps === 0 || !whole || resumed) return []
    const isLast = step === config.epochs * start.steps_per_epoch
    const ranking = isLast ? 0 : phases.ranking
    const apart = phases.validation + phases.checkpoint + phases.measures + phases.listener
    const total = phases.total - apart - (phases.ranking - ranking)
    const alpha = phases.alpha_forward + phases.alpha_backward + ranking
    const { weight_forward: forward, weight_backward: backward, data } = phases
    const overhead = total - alpha - forward - backward - data
    return [scaled({ alpha, forward, backward, data, overhead, total }, paper.epochImages / images)]
  })
}

function searched(runs: readonly History[], addon: NativeAddon) {
  const ends = runs.flatMap(({ moments }) => moments.at(-1) ?? [])
  return {
    final_parameters: summarise(ends.map(({ genotype }) => finalParameters(addon, genotype))),
    search_error: summarise(ends.map(({ validation }) => 1 - validation)),
  }
}

function scaled(seconds: StepSeconds, by: number): StepSeconds {
  const { alpha, forward, backward, data, overhead, total } = seconds
  return {
    ...{ alpha: alpha * by, forward: forward * by, backward: backward * by },
    ...{ data: data * by, overhead: overhead * by, total: total * by },
  }
}

function secondsOf(side: Side, space: Space, samples: readonly StepSeconds[]) {
  const order = orderOf(side)
  const of = (column: keyof EpochSeconds) =>
    column === "alpha_first" || column === "alpha_second"
      ? column === `alpha_${order}`
        ? samples.map((s) => s.alpha)
        : []
      : samples.map((s) => s[column])
  const spread = eachColumn((column) => {
    const values = of(column)
    const summary = summarise(values)
    return summary && { ...summary, min: Math.min(...values), max: Math.max(...values) }
  })
  const seconds = eachColumn((column) => spread[column]?.mean ?? null)
  const ops = new Set([...space.normal, ...space.reduce].filter((name) => name !== "none")).size
  const paper = paperRow(side, ops)
  const ratio = eachColumn((column) => {
    const [here, there] = [seconds[column], paper[column]]
    return here === null || there === null ? null : here / there
  })
  return {
    ...{ method: side.method, order, space: space.name, ops },
    seconds: { ...seconds, total: seconds.total ?? NaN },
    ...{ paper, ratio, spread },
  }
}

function eachColumn<T>(make: (column: keyof EpochSeconds) => T): Record<keyof EpochSeconds, T> {
  return Object.fromEntries(columns.map((column) => [column, make(column)])) as Record<keyof EpochSeconds, T>
}
