/** Table 6 as text, CSV and JSON: each row beside the paper's, with the ratios. */
import type { Report } from "./report.js"
import { columns, type Table6Entry } from "./table6.js"
import { percent, rounded, textTable, withSpread, type Cell } from "./text-table.js"

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
      rows: entries.map(({ side, ...entry }) => ({ side: side.name, ...entry })),
    },
    csv: csvOf(entries),
    pictures: {},
    text: [tableText(entries), "", ...ratioLines(entries), machine, ...lines].join("\n"),
  }
}

// Three lines a row: here, the paper, the ratio.
function tableText(entries: readonly Table6Entry[]): string {
  const short = (v: number) => rounded(v) ?? ""
  const rows = entries.flatMap((e): Cell[][] => [
    [
      e.space,
      e.ops,
      e.side.label,
      "here",
      ...columns.map((c) => withSpread(e.spread[c], short)),
      e.parameters && withSpread(e.parameters, (v) => (v / 1e6).toFixed(2)),
      e.searchError && withSpread(e.searchError, percent),
    ],
    [
      ...["", "", "", "paper"],
      ...columns.map((c) => (c === "overhead" ? e.paper.unlisted : e.paper[c])),
      e.paper.parameters,
      e.paper.error === null ? null : `(${e.paper.error})`,
    ],
    [...["", "", "", "here / paper"], ...columns.map((c) => rounded(e.ratio[c], 2)), null, null],
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
  return entries.flatMap((e) => {
    const nasp = entries.find((other) => other.space === e.space && other.method === "nasp")
    if (!nasp || e.method !== "darts") return []
    const there =
      e.paper.total && nasp.paper.total ? `, paper ${(e.paper.total / nasp.paper.total).toFixed(1)}` : ""
    return [
      `${e.space}: ${e.side.label} / NASP = ${(e.seconds.total / nasp.seconds.total).toFixed(1)}${there}`,
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
  const rows = entries.map((e): Cell[] => [
    ...[e.space, e.ops, e.method, e.order, e.spread.total?.n ?? 0],
    ...columns.flatMap((c) => {
      const s = e.spread[c]
      return [s?.mean ?? null, s?.std ?? null, s?.min ?? null, s?.max ?? null, e.paper[c], e.ratio[c]]
    }),
    ...[e.supernet, e.parameters?.mean ?? null, e.paper.parameters],
    ...[e.searchError?.mean ?? null, e.paper.error, e.paper.unlisted],
  ])
  return { header, rows }
}
