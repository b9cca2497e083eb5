/**
 * Table 1's "complete" as a number: validation accuracy of the searched net minus that of the net derived from it,
 * with the searched weights, over a search. 0 where the searched net is the final net, as NASP's is by construction.
 */
import { drawFigure } from "./chart/figure.js"
import { percentTick } from "./chart/panel.js"
import type { ValidationFigure } from "../data/halves.js"
import { NaspError } from "../errors.js"
import type { Comparison } from "./comparison.js"
import {
  bySide,
  caption,
  legendOf,
  meanCurve,
  momentHeader,
  momentRows,
  runList,
  seriesOverEpochs,
  type SideRuns,
} from "./curves.js"
import type { History, Moment } from "./history.js"
import type { Report } from "./report.js"
import { summarise } from "./statistics.js"
import { percent } from "../percent.js"
import { textTable, withSpread } from "./text-table.js"

const differs = ["the paper gives no number for it: its Table 1 says yes or no"]

export const completeness: Comparison = {
  name: "completeness",
  about: "accuracy of the searched net minus that of its derived net with the same weights (Table 1)",
  sides: ["nasp", "darts", "snas"],
  space: "darts7",
  measures: { evaluateDerived: true },
  leastSteps: 0,
  draw,
}

const kinds = ["running", "batch"] as const
type Kind = (typeof kinds)[number]

const statistics: Record<Kind, string> = {
  running: "running statistics (of the searched net)",
  batch: "each batch's own statistics",
}

// Both on the search-validation half.
function gap({ validation, derived }: Moment, kind: Kind): number | null {
  const difference = (searched: ValidationFigure, final: ValidationFigure) => searched - final
  if (derived === null) return null
  return kind === "running"
    ? difference(validation, derived.running)
    : difference(derived.searchedBatch, derived.batch)
}

function draw(histories: readonly History[]): Report {
  const without = histories.find(
    ({ moments }) => moments.length > 0 && moments.every((m) => m.derived === null),
  )
  if (without) {
    throw new NaspError(
      "ERR_NASP_RUN_FOLDER",
      `Expected a run with --evaluate-derived but ${without.folder} is one without`,
    )
  }
  const sides = bySide(histories)
  const lines = caption(histories, differs)
  return {
    json: {
      artefact: "completeness",
      caption: lines,
      runs: runList(histories),
      curves: sides.flatMap((s) =>
        kinds.map((kind) => ({
          ...{ side: s.side.name, axis: "epochs", statistics: kind },
          points: meanCurve(s, "epochs", (m) => gap(m, kind)),
        })),
      ),
      summary: sides.map((s) => ({ side: s.side.name, ...summaryOf(s) })),
    },
    csv: { header: momentHeader, rows: momentRows(histories) },
    pictures: {
      completeness: drawFigure({
        title: "Completeness: searched net minus derived net, same weights",
        columns: 2,
        panels: kinds.map((kind) => ({
          title: statistics[kind],
          x: "epochs",
          y: "validation accuracy lost (percentage points)",
          yTick: percentTick,
          series: seriesOverEpochs(sides, (m) => gap(m, kind)),
        })),
        legend: legendOf(sides),
        caption: lines,
      }),
    },
    text: [table(sides), ...lines].join("\n"),
  }
}

function summaryOf({ runs }: SideRuns) {
  const ends = runs.flatMap(({ moments }) => moments.at(-1) ?? [])
  const over = (value: (m: Moment) => number | null | undefined) =>
    summarise(ends.flatMap((m) => value(m) ?? []))
  return {
    searched: over((m) => m.validation),
    derived: over((m) => m.derived?.running),
    difference: over((m) => gap(m, "running")),
    batch_searched: over((m) => m.derived?.searchedBatch),
    batch_derived: over((m) => m.derived?.batch),
    batch_difference: over((m) => gap(m, "batch")),
  }
}

function table(sides: readonly SideRuns[]): string {
  return textTable(
    ["side", "seeds", "statistics", "searched net (%)", "derived net (%)", "difference (points)"],
    sides.flatMap((s) => {
      const sums = summaryOf(s)
      const row = (kind: Kind, prefix: "" | "batch_") => [
        ...[s.side.label, s.runs.length, kind],
        withSpread(sums[`${prefix}searched`], percent),
        withSpread(sums[`${prefix}derived`], percent),
        withSpread(sums[`${prefix}difference`], percent),
      ]
      return [row("running", ""), row("batch", "batch_")]
    }),
  )
}
