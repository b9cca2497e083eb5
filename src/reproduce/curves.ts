/** From runs to what the figures share: sides with their seeds, mean curves, rows, the run list, the caption. */
import { machineLine } from "../bench/machine.js"
import type { ValidationFigure } from "../data/halves.js"
import { NaspError } from "../errors.js"
import { changedOptions, type SearchConfig } from "../train/config.js"
import type { Point, Series } from "./chart/panel.js"
import { checkComparable } from "./comparable.js"
import type { History, Moment } from "./history.js"
import { paper } from "./paper-protocol.js"
import { placeOf, type Side } from "./sides.js"
import { drawable, meanAtCommonPoints, meanInterpolated, type CurvePoint } from "./statistics.js"
import type { Cell } from "./text-table.js"

export type Axis = "seconds" | "epochs"

export interface SideRuns {
  side: Side
  runs: History[]
}

/**
 * @throws NaspError ERR_NASP_RUN_FOLDER for two runs of one side and seed, which are no spread over seeds, and for runs
 *   that cannot stand in one figure (comparable.ts)
 */
export function bySide(histories: readonly History[]): SideRuns[] {
  checkComparable(histories)
  const groups = new Map<string, SideRuns>()
  for (const history of histories) {
    const group = groups.get(history.side.name) ?? { side: history.side, runs: [] }
    const twin = group.runs.find(({ seed }) => seed === history.seed)
    if (twin) {
      throw new NaspError(
        "ERR_NASP_RUN_FOLDER",
        `Expected one run a side and seed but received ${twin.folder} and ${history.folder}, both ${history.side.name}, seed ${history.seed}`,
      )
    }
    group.runs.push(history)
    groups.set(history.side.name, group)
  }
  return [...groups.values()]
}

/** Mean curve of a side over its seeds; moments where the value is null are left out. */
export function meanCurve(
  { runs }: SideRuns,
  axis: Axis,
  value: (moment: Moment) => number | null,
): CurvePoint[] {
  const curves = runs.map(({ moments }) =>
    moments.flatMap((moment): Point[] => {
      const y = value(moment)
      return y === null ? [] : [{ x: moment[axis], y }]
    }),
  )
  return axis === "seconds" ? meanInterpolated(curves) : meanAtCommonPoints(curves)
}

/** The same for what must have been measured on the search-validation half: no other accuracy gets in. */
export function validationCurve(
  side: SideRuns,
  axis: Axis,
  value: (moment: Moment) => ValidationFigure | null,
): CurvePoint[] {
  return meanCurve(side, axis, value)
}

/** A line a side over the epochs. */
export function seriesOverEpochs(sides: readonly SideRuns[], value: (moment: Moment) => number | null) {
  return sides.map((s) => seriesOf(s.side, meanCurve(s, "epochs", value)))
}

export function legendOf(sides: readonly SideRuns[]) {
  return sides.map(({ side }) => ({ look: placeOf(side), label: side.label }))
}

export function seriesOf(side: Side, curve: readonly CurvePoint[]) {
  return { look: placeOf(side), ...drawable(curve) }
}

/** With its band cut where no value can be, though mean ± standard deviation may. */
export function bandWithin(series: Series, low: number, high: number): Series {
  const { band } = series
  const cut = (value: number) => Math.min(high, Math.max(low, value))
  return band ? { ...series, band: band.map((b) => ({ ...b, low: cut(b.low), high: cut(b.high) })) } : series
}

/** Entries of alpha at 0 or 1, or beyond where nothing keeps them inside, and how many there are. */
export function atBound({ alpha }: Pick<Moment, "alpha">): { count: number; entries: number } {
  const values = [...alpha.normal, ...alpha.reduce].flat()
  return { count: values.filter((v) => v <= 0 || v >= 1).length, entries: values.length }
}

export const momentHeader = [
  "side",
  "seed",
  "step",
  "epochs",
  "seconds",
  "validation_accuracy",
  "train_accuracy",
  "derived_accuracy",
  "derived_batch_accuracy",
  "searched_batch_accuracy",
  "rows_flipped",
  "alpha_change",
  "alpha_at_bound",
] as const

/** A row an epoch and run: the CSV of every figure that is made of curves. */
export function momentRows(histories: readonly History[]): Cell[][] {
  return histories.flatMap(({ side, seed, moments }) =>
    moments.map((m) => [
      side.name,
      seed,
      m.step,
      m.epochs,
      m.seconds,
      m.validation,
      m.train,
      m.derived?.running ?? null,
      m.derived?.batch ?? null,
      m.derived?.searchedBatch ?? null,
      m.sinceLast.flips,
      m.sinceLast.alphaChange,
      atBound(m).count,
    ]),
  )
}

/** The runs in the JSON of a figure. */
export function runList(histories: readonly History[]) {
  return histories.map(({ side, seed, config, start, moments }) => ({
    side: side.name,
    seed,
    method: config.method,
    options: config.options,
    space: config.space,
    channels: config.channels,
    layers: config.layers,
    batch: config.batch,
    schedule_epochs: config.epochs,
    changed: Object.fromEntries(changesOf(config, side).map(({ name, value }) => [name, value])),
    data: config.data,
    steps_per_epoch: start.steps_per_epoch,
    steps: moments.at(-1)?.step ?? 0,
    seconds: moments.at(-1)?.seconds ?? 0,
    version: start.version,
    cpu: start.cpu,
    isa: start.isa,
    threads: start.threads,
  }))
}

// What the caption says in words of its own, or which every run has one of.
const told = new Set(["data", "space", "method", "seed", "batchStatistics"])

function changesOf(config: SearchConfig, side: Side) {
  return changedOptions(config).filter(({ name }) => !told.has(name) && !Object.hasOwn(side.options, name))
}

// Options that are not the paper's, of all sides or with the side's name.
function changes(histories: readonly History[]): string[] {
  const lists = bySide(histories).map(({ side, runs }) => ({
    label: side.label,
    items: changesOf(runs[0]!.config, side).map(
      ({ name, value, initial }) => `${name} ${JSON.stringify(value)} (default ${JSON.stringify(initial)})`,
    ),
  }))
  const ofAll = (item: string) => lists.every(({ items }) => items.includes(item))
  return [
    ...(lists[0]?.items.filter(ofAll) ?? []),
    ...lists.flatMap(({ label, items }) =>
      items.filter((item) => !ofAll(item)).map((item) => `${label}: ${item}`),
    ),
  ]
}

/** The lines under a picture: what ran on what, and in one line what differs from the paper's protocol. */
export function caption(histories: readonly History[], differs: readonly string[]): string[] {
  const [first] = histories
  if (!first) return []
  const { config, start } = first
  const seeds = [...new Set(histories.map((h) => h.seed))]
  const spread = seeds.length > 1 ? "Mean and standard deviation over seeds" : "Seed"
  const ran = `${spread} ${seeds.join(", ")}. ${config.space}, C ${config.channels}, ${config.layers} cells, batch ${config.batch}, ${config.data}, ${start.steps_per_epoch} steps an epoch, schedule of ${config.epochs} epochs. ${machinesOf(histories)}.`
  const own = [
    ...(config.data !== paper.data || start.steps_per_epoch !== paper.stepsPerEpoch
      ? [
          `${config.data} with ${start.steps_per_epoch} steps an epoch (paper: CIFAR-10, ${paper.stepsPerEpoch})`,
        ]
      : []),
    ...(config.batchStatistics ? ["validated with each batch's own statistics"] : []),
    ...changes(histories),
  ]
  return [
    ran,
    ...unended(histories),
    `Differs from the paper's protocol: ${[...own, ...differs].join("; ")}.`,
  ]
}

function unended(histories: readonly History[]): string[] {
  const places = histories.flatMap(({ ended, side, seed, moments }) =>
    ended ? [] : [`${side.label}, seed ${seed}, after step ${moments.at(-1)?.step ?? 0}`],
  )
  return places.length > 0 ? [`Cut (diverged, killed or still running): ${places.join("; ")}.`] : []
}

/** What the runs were made on. */
export function machinesOf(histories: readonly History[]): string {
  return [...new Set(histories.map(({ start }) => machineLine(start)))].join("; ")
}
