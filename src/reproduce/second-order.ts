/**
 * Section 3.2's argument as numbers: does alpha's gradient need the second order? The cosine between the gradients of
 * both orders, at the discrete point for NASP and at the softmax for DARTS; how often selections change; and
 * ||A_{t+1} - A_t||, which Theorem 2 assumes to vanish.
 */
import { NaspError } from "../errors.js"
import { drawFigure } from "./chart/figure.js"
import type { Panel } from "./chart/panel.js"
import type { Comparison } from "./comparison.js"
import {
  bandWithin,
  bySide,
  caption,
  legendOf,
  meanCurve,
  momentHeader,
  momentRows,
  runList,
  seriesOf,
  seriesOverEpochs,
  type SideRuns,
} from "./curves.js"
import type { History } from "./history.js"
import type { Report } from "./report.js"
import { changesOf, flippedSelections } from "./selection-changes.js"
import { meanAtCommonPoints, summarise } from "./statistics.js"
import { rounded, textTable, withSpread, type Cell } from "./text-table.js"

const differs = [
  "the paper argues and gives no numbers",
  "in NASP's unrolled step unselected weights decay and follow their momentum, as in the released code under PyTorch 0.3",
]

export const secondOrder: Comparison = {
  name: "second-order",
  about:
    "cosine between alpha's gradients of both orders, selections flipped, how far alpha moves (3.2, Theorem 2)",
  sides: ["nasp", "darts"],
  space: "darts7",
  measures: { compareOrders: 50 },
  leastSteps: 0,
  draw,
}

function draw(histories: readonly History[]): Report {
  const without = histories.find(({ moments, orders }) => moments.length > 0 && orders.length === 0)
  if (without) {
    throw new NaspError(
      "ERR_NASP_RUN_FOLDER",
      `Expected a run with --compare-orders, and as many steps, but ${without.folder} holds no comparison`,
    )
  }
  const sides = bySide(histories)
  const lines = caption(histories, differs)
  return {
    json: {
      artefact: "second-order",
      caption: lines,
      runs: runList(histories),
      orders: histories.map(({ side, seed, orders }) => ({ side: side.name, seed, orders })),
      curves: sides.map((s) => ({
        side: s.side.name,
        cosine: cosineCurve(s),
        selections_flipped: selectionCurve(s),
        flips: meanCurve(s, "epochs", (m) => m.sinceLast.flips),
        alpha_change: meanCurve(s, "epochs", (m) => m.sinceLast.alphaChange),
      })),
      summary: sides.map((s) => ({ side: s.side.name, ...summaryOf(s) })),
    },
    csv: {
      header: [...momentHeader, "comparisons", "cosine", "smallest_cosine", "relative_difference"],
      rows: histories.flatMap((history) => {
        const rows = momentRows([history])
        return rows.map((row, i) => [...row, ...comparedUntil(history, i)])
      }),
    },
    pictures: {
      "second-order": drawFigure({
        title: "Second order: does alpha's gradient need it?",
        columns: 2,
        panels: panels(sides),
        legend: legendOf(sides),
        caption: lines,
      }),
    },
    text: [table(sides), ...lines].join("\n"),
  }
}

// Of the comparisons since the moment before: how many, mean and smallest cosine, mean relative difference.
function comparedUntil({ moments, orders }: History, index: number): Cell[] {
  const [from, to] = [moments[index - 1]?.step ?? 0, moments[index]?.step ?? 0]
  const since = orders.filter(({ step }) => step > from && step <= to)
  const cosines = since.flatMap(({ cosine }) => cosine ?? [])
  return [
    since.length,
    summarise(cosines)?.mean ?? null,
    smallest(cosines),
    summarise(since.flatMap(({ ratio }) => ratio ?? []))?.mean ?? null,
  ]
}

function smallest(values: readonly number[]): number | null {
  return values.length > 0 ? Math.min(...values) : null
}

function panels(sides: readonly SideRuns[]): Panel[] {
  const cosines = sides.map((s) => bandWithin(seriesOf(s.side, cosineCurve(s)), -1, 1))
  const lows = cosines.flatMap(({ points, band }) => band?.map(({ low }) => low) ?? points.map(({ y }) => y))
  return [
    {
      title: "gradients of both orders",
      x: "epochs",
      y: "cosine",
      yDomain: [Math.floor(10 * Math.min(0.9, ...lows)) / 10, 1],
      series: cosines,
    },
    {
      title: "selections flipped",
      x: "epochs",
      y: "edges that changed in an epoch, of 28",
      series: sides.map((s) => seriesOf(s.side, selectionCurve(s))),
    },
    {
      title: "rows whose largest operation changed",
      x: "epochs",
      y: "changes an epoch, over 28 rows",
      series: seriesOverEpochs(sides, (m) => m.sinceLast.flips),
    },
    {
      title: "how far alpha moves in a step",
      x: "epochs",
      y: "‖A(t+1) - A(t)‖, mean of an epoch",
      series: seriesOverEpochs(sides, (m) => m.sinceLast.alphaChange),
    },
  ]
}

function selectionCurve({ runs }: SideRuns) {
  return meanAtCommonPoints(runs.map(({ moments }) => flippedSelections(moments)))
}

function cosineCurve({ runs }: SideRuns) {
  return meanAtCommonPoints(
    runs.map(({ orders }) =>
      orders.flatMap(({ epochs, cosine }) => (cosine === null ? [] : [{ x: epochs, y: cosine }])),
    ),
  )
}

function summaryOf(side: SideRuns) {
  const ofRuns = (name: "cosine" | "ratio") =>
    side.runs.map(({ orders }) => orders.flatMap((places) => places[name] ?? []))
  const cosines = ofRuns("cosine")
  const overSeeds = (runs: number[][]) => summarise(runs.flatMap((values) => summarise(values)?.mean ?? []))
  return {
    /** Mean of each run's places, then over the seeds. */
    cosine: overSeeds(cosines),
    /** Of all places and seeds. */
    smallest_cosine: smallest(cosines.flat()),
    /** ||second - first|| / ||first||, as the cosine. */
    relative_difference: overSeeds(ofRuns("ratio")),
    ...changesOf(side),
    alpha_change_last_epoch: summarise(
      side.runs.flatMap(({ moments }) => moments.at(-1)?.sinceLast.alphaChange ?? []),
    ),
  }
}

function table(sides: readonly SideRuns[]): string {
  const short = (v: number) => rounded(v) ?? ""
  return textTable(
    [
      ...["side", "cosine", "smallest", "|second - first| / |first|"],
      ...["edges that change an epoch", "rows that change a step", "|A(t+1) - A(t)|, last epoch"],
    ],
    sides.map((s) => {
      const sums = summaryOf(s)
      return [
        s.side.label,
        withSpread(sums.cosine, short),
        rounded(sums.smallest_cosine),
        withSpread(sums.relative_difference, short),
        withSpread(sums.selections_an_epoch, short),
        withSpread(sums.rows_a_step, short),
        withSpread(sums.alpha_change_last_epoch, short),
      ]
    }),
  )
}
