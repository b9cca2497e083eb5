/** Table 6 as text, CSV and JSON: each row beside the paper's, with the ratios. */
import type { Report } from "./report.js"
import { columns, type Table6Entry } from "./table6.js"
import { percent } from "../percent.js"
import { rounded, textTable, withSpread, type Cell } from "./text-table.js"

export interface Table6Notes {
  machine: string
  /** What was timed, on what, and what differs from the paper's. */
  lines: readonly string[]
}

const names: Record<(typeof columns)[number], string> = {
  alpha_first: "alpha 1st",
  alpha_second: "alpha 2nd",
  forward: "forward",
  backward: "backward",
  data: "data",
  overhead: "overhead",
  total: "total",
}

export function table6Report(entries: readonly Table6Entry[], { machine, lines }: Table6Notes): Report {
  return {
    json: {
      artefact: "table6",
      machine,
      notes: lines,
      rows: entries.map(({ row }) => row),
    },
    csv: csvOf(entries),
    pictures: {},
    text: [tableText(entries), "", ...ratioLines(entries), machine, ...lines].join("\n"),
  }
}

// Three lines a row: here, the paper, the ratio.
function tableText(entries: readonly Table6Entry[]): string {
  const short = (v: number) => rounded(v) ?? ""
  const rows = entries.flatMap(({ side, row }): Cell[][] => [
    [
      row.space,
      row.ops,
      side.label,
      "here",
      ...columns.map((c) => withSpread(row.spread[c], short)),
      withSpread(row.final_parameters, (v) => (v / 1e6).toFixed(2)),
      withSpread(row.search_error, percent),
    ],
    [
      ...["", "", "", "paper"],
      ...columns.map((c) => (c === "overhead" ? row.paper.unlisted : row.paper[c])),
      row.paper.parameters,
      row.paper.error === null ? null : `(${row.paper.error})`,
    ],
    [...["", "", "", "here / paper"], ...columns.map((c) => rounded(row.ratio[c], 2)), null, null],
  ])
  const header = [
    ...["space", "ops", "method", "seconds an epoch"],
    ...columns.map((c) => names[c]),
    ...["final net (M)", "error (%)"],
  ]
  return textTable(header, rows)
}

// What the table is for: how much longer DARTS takes.
function ratioLines(entries: readonly Table6Entry[]): string[] {
  return entries.flatMap(({ side, row }) => {
    const nasp = entries.find((other) => other.row.space === row.space && other.row.method === "nasp")?.row
    if (!nasp || row.method !== "darts") return []
    const there =
      row.paper.total && nasp.paper.total ? `, paper ${(row.paper.total / nasp.paper.total).toFixed(1)}` : ""
    return [
      `${row.space}: ${side.label} / NASP = ${(row.seconds.total / nasp.seconds.total).toFixed(1)}${there}`,
    ]
  })
}

function csvOf(entries: readonly Table6Entry[]): Report["csv"] {
  const header = [
    ...["space", "ops", "method", "order", "samples"],
    ...columns.flatMap((c) => [`${c}_mean`, `${c}_std`, `${c}_min`, `${c}_max`, `${c}_paper`, `${c}_ratio`]),
    ...["supernet_parameters", "final_parameters", "final_parameters_paper_millions"],
    ...["search_error", "test_error_paper_percent", "unlisted_paper"],
  ]
  const rows = entries.map(({ row }): Cell[] => [
    ...[row.space, row.ops, row.method, row.order, row.spread.total?.n ?? 0],
    ...columns.flatMap((c) => {
      const s = row.spread[c]
      return [s?.mean ?? null, s?.std ?? null, s?.min ?? null, s?.max ?? null, row.paper[c], row.ratio[c]]
    }),
    ...[row.supernet_parameters, row.final_parameters?.mean ?? null, row.paper.parameters],
    ...[row.search_error?.mean ?? null, row.paper.error, row.paper.unlisted],
  ])
  return { header, rows }
}
