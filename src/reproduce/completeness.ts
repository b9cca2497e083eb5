/**
 * Table 1's "complete" as a number: validation accuracy of the searched net minus that of the net derived from it,
 * with the searched weights, over a search. 0 where the searched net is the final net, as NASP's is by construction.
 */
import { drawFigure } from "./chart/figure.js"
import type { ValidationFigure } from "../data/halves.js"
import { NaspError } from "../errors.js"
import type { Comparison } from "./comparison.js"
import { bySide, caption, meanCurve, momentHeader, momentRows, runList, seriesOf } from "./curves.js"
import type { SideRuns } from "./curves.js"
import type { History, Moment } from "./history.js"
import type { Report } from "./report.js"
import { lookOf } from "./sides.js"
import { summarise } from "./statistics.js"
import { percent, textTable, withSpread } from "./text-table.js"

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

// Both on the search-validation half.
function gap({ validation, derived }: Moment): number | null {
  const difference = (searched: ValidationFigure, final: ValidationFigure) => searched - final
  return derived === null ? null : difference(validation, derived)
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
      curves: sides.map((s) => ({ side: s.side.name, axis: "epochs", points: meanCurve(s, "epochs", gap) })),
      summary: sides.map((s) => ({ side: s.side.name, ...summaryOf(s) })),
    },
    csv: { header: momentHeader, rows: momentRows(histories) },
    pictures: {
      completeness: drawFigure({
        title: "Completeness: searched net minus derived net, same weights",
        columns: 1,
        panels: [
          {
            title: "validation accuracy lost by deriving",
            x: "epochs",
            y: "difference (percentage points)",
            yTick: (v) => String(Number((100 * v).toFixed(1))),
            series: sides.map((s) => seriesOf(s.side, meanCurve(s, "epochs", gap))),
          },
        ],
        legend: sides.map(({ side }) => ({ look: lookOf(side), label: side.label })),
        caption: lines,
      }),
    },
    text: [table(sides), ...lines].join("\n"),
  }
}

function summaryOf({ runs }: SideRuns) {
  const ends = runs.flatMap(({ moments }) => moments.at(-1) ?? [])
  return {
    searched: summarise(ends.map((m) => m.validation)),
    derived: summarise(ends.flatMap((m) => m.derived ?? [])),
    difference: summarise(ends.flatMap((m) => gap(m) ?? [])),
  }
}

function table(sides: readonly SideRuns[]): string {
  return textTable(
    ["side", "seeds", "searched net (%)", "derived net (%)", "difference (points)"],
    sides.map((s) => {
      const { searched, derived, difference } = summaryOf(s)
      return [
        s.side.label,
        s.runs.length,
        withSpread(searched, percent),
        withSpread(derived, percent),
        withSpread(difference, percent),
      ]
    }),
  )
}
