/**
 * Section 4.5 of the paper (its Figure 3 c, d): NASP beside lazy (equation 10) and standard (equation 9) proximal
 * steps, with the number of entries of alpha at a bound of the box: with few steps from 0.5 none gets there, and then
 * NASP and the lazy update are the same.
 */
import { accuracyCurves, accuracySummary, accuracyTable, drawAccuracy } from "./accuracy-panels.js"
import { NaspError } from "../errors.js"
import { oneOf } from "../expect.js"
import { boundLine, boundSummary, boundTable, isProximal, proximalMethods } from "./bounds.js"
import { drawFigure } from "./chart/figure.js"
import type { Comparison } from "./comparison.js"
import {
  atBound,
  bySide,
  caption,
  legendOf,
  momentHeader,
  momentRows,
  runList,
  seriesOverEpochs,
} from "./curves.js"
import type { History } from "./history.js"
import type { Report } from "./report.js"

const differs = [
  "seconds are this machine's",
  "step size and optimizer of alpha are those of the runs' options (the paper names none for equations 9 and 10)",
]

export const section45: Comparison = {
  name: "section4.5",
  about: "NASP beside lazy and standard proximal steps (Figure 3 c, d), and alpha at the bounds of its box",
  sides: proximalMethods,
  space: "darts7",
  measures: {},
  leastSteps: 4000,
  draws: isProximal,
  draw,
}

function draw(histories: readonly History[]): Report {
  // A softmax's alpha has no box to be at the bounds of.
  const proximal = histories.filter(isProximal)
  if (proximal.length === 0) {
    const found = [...new Set(histories.map((h) => h.config.method))].join(", ")
    throw new NaspError(
      "ERR_NASP_RUN_FOLDER",
      `Expected runs of ${oneOf(proximalMethods)} but found ${found}`,
    )
  }
  return drawProximal(proximal)
}

function drawProximal(histories: readonly History[]): Report {
  const sides = bySide(histories)
  const lines = caption(histories, differs)
  const bounds = sides.map((s) => ({ side: s.side.name, ...boundSummary(s) }))
  const entries = Math.max(...bounds.map((b) => b.entries))
  return {
    json: {
      artefact: "section4.5",
      caption: lines,
      runs: runList(histories),
      curves: accuracyCurves(sides),
      summary: sides.map((s, i) => ({ ...accuracySummary(s), ...bounds[i] })),
    },
    csv: { header: momentHeader, rows: momentRows(histories) },
    pictures: {
      "section4.5-cd": drawAccuracy({
        title: "Section 4.5, Figure 3 (c, d)",
        letters: ["c", "d"],
        sides,
        caption: [boundLine(sides), ...lines],
      }),
      "section4.5-bounds": drawFigure({
        title: "Section 4.5: entries of alpha at a bound of the box [0, 1]",
        columns: 1,
        panels: [
          {
            title: `at 0 or 1, or beyond, of ${entries}`,
            x: "epochs",
            y: "entries of alpha",
            yDomain: [0, entries],
            series: seriesOverEpochs(sides, (m) => atBound(m).count),
          },
        ],
        legend: legendOf(sides),
        caption: [boundLine(sides), ...lines],
      }),
    },
    text: [accuracyTable(sides), "", boundTable(sides), ...lines].join("\n"),
  }
}
