/**
 * Figure 4 of the paper: alpha over the epochs, a panel an edge, a line an operation, a dot where an operation is
 * selected; and as numbers how often the selection changes, which is what the figure argues with.
 */
import { extent } from "d3-array"

import { cellTypes, nodes, rowsOfNode, type CellType } from "../spaces/index.js"
import { drawFigure } from "./chart/figure.js"
import type { Panel, Point } from "./chart/panel.js"
import type { Comparison } from "./comparison.js"
import { bySide, caption, runList, type SideRuns } from "./curves.js"
import type { History } from "./history.js"
import type { Report } from "./report.js"
import { changesOf } from "./selection-changes.js"
import { rounded, textTable, withSpread, type Cell } from "./text-table.js"

const differs = [
  "the paper does not say which cell type and which order of DARTS it shows",
  "alpha is drawn as it is updated (DARTS: before the softmax)",
]

export const figure4: Comparison = {
  name: "figure4",
  about: "alpha over the epochs for each edge, with the selected operation, and how often it changes",
  sides: ["nasp", "darts-2"],
  space: "darts7-split",
  measures: {},
  leastSteps: 0,
  draw,
}

function draw(histories: readonly History[]): Report {
  const sides = bySide(histories)
  const lines = caption(histories, differs)
  const changes = sides.map((s) => ({ side: s.side.name, ...changesOf(s) }))
  return {
    json: {
      artefact: "figure4",
      caption: lines,
      runs: runList(histories),
      changes,
      alpha: histories.map(({ side, seed, start, moments }) => ({
        side: side.name,
        seed,
        operations: start.operations,
        epochs: [0, ...moments.map((m) => m.epochs)],
        alpha: [start.alpha, ...moments.map((m) => m.alpha)],
        selection: moments.map((m) => m.selection),
      })),
    },
    csv: {
      header: ["side", "seed", "epochs", "cell", "edge", "operation", "alpha", "selected"],
      rows: histories.flatMap(alphaRows),
    },
    pictures: Object.fromEntries(
      histories.flatMap((history) =>
        cellTypes.map((cell) => [
          `figure4-${history.side.name}-seed${history.seed}-${cell}`,
          drawCell(history, cell),
        ]),
      ),
    ),
    text: [changesTable(sides), ...lines].join("\n"),
  }
}

function drawCell(history: History, cell: CellType): string {
  const { side, seed, start, moments } = history
  const operations = start.operations[cell]
  const [low = 0, high = 1] = extent(
    [start.alpha, ...moments.map((m) => m.alpha)].flatMap((a) => a[cell].flat()),
  )
  const panels = start.alpha[cell].map((initial, edge): Panel => ({
    title: edgeName(edge),
    x: "epochs",
    y: "alpha",
    ...(high > low && { yDomain: [low, high] as const }),
    series: operations.map((_, k) => {
      const at = (row: number[] | undefined, x: number): Point => ({ x, y: row?.[k] ?? NaN })
      return {
        look: k,
        points: [at(initial, 0), ...moments.map((m) => at(m.alpha[cell][edge], m.epochs))],
        marks: moments.flatMap((m) =>
          m.selection[cell][edge] === k ? [at(m.alpha[cell][edge], m.epochs)] : [],
        ),
      }
    }),
  }))
  const type = cell === "normal" ? "normal cell" : "reduction cell"
  return drawFigure({
    title: `Figure 4: ${side.label}, alpha of the ${type} over epochs, seed ${seed}`,
    small: true,
    columns: 5,
    panels,
    legend: operations.map((label, look) => ({ look, label })),
    caption: ["Dots: the operation selected on the edge after that epoch.", ...caption([history], differs)],
  })
}

function edgeName(edge: number): string {
  const node = Array.from({ length: nodes }, (_, n) => n)
    .filter((n) => edge >= rowsOfNode(n).first)
    .at(-1)!
  const from = edge - rowsOfNode(node).first
  return `${from < 2 ? `c(k-${2 - from})` : `node ${from - 2}`} to node ${node}`
}

function alphaRows({ side, seed, start, moments }: History): Cell[][] {
  return moments.flatMap(({ epochs, alpha, selection }) =>
    cellTypes.flatMap((cell) =>
      alpha[cell].flatMap((row, edge) =>
        row.map((value, k): Cell[] => [
          side.name,
          seed,
          epochs,
          cell,
          edge,
          start.operations[cell][k] ?? "",
          value,
          selection[cell][edge] === k ? 1 : 0,
        ]),
      ),
    ),
  )
}

function changesTable(sides: readonly SideRuns[]): string {
  const short = (v: number) => rounded(v) ?? ""
  return textTable(
    ["side", "seeds", "edges (of 28) that change an epoch", "rows (of 28) that change a step"],
    sides.map((s) => {
      const { selections_an_epoch, rows_a_step } = changesOf(s)
      return [
        s.side.label,
        s.runs.length,
        withSpread(selections_an_epoch, short),
        withSpread(rows_a_step, short),
      ]
    }),
  )
}
