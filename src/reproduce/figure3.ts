/**
 * Figure 3 (paper, 4.4 and 4.5): validation accuracy of the searched net against search time and epochs; a, b: NASP
 * beside DARTS of both orders (and whatever other side was run), c, d: NASP beside its variants with plain proximal
 * steps. One set of runs serves all four panels.
 */
import { accuracyCurves, accuracySummary, accuracyTable, drawAccuracy } from "./accuracy-panels.js"
import { boundLine, boundSummary, boundTable, isProximal } from "./bounds.js"
import type { Comparison } from "./comparison.js"
import { bySide, caption, momentHeader, momentRows, runList, type SideRuns } from "./curves.js"
import type { History } from "./history.js"
import type { Report } from "./report.js"

const differs = ["seconds are this machine's"]

export const figure3: Comparison = {
  name: "figure3",
  about: "accuracy against time and epochs: NASP beside DARTS (a, b) and plain proximal steps (c, d)",
  sides: ["nasp", "darts", "darts-2", "lazy-pa", "pa"],
  space: "darts7",
  measures: {},
  leastSteps: 4000,
  draw,
}

function draw(histories: readonly History[]): Report {
  const sides = bySide(histories)
  const isPlain = (s: SideRuns) => isProximal(s) && s.side.method !== "nasp"
  const ab = sides.filter((s) => !isPlain(s))
  const cd = sides.filter(isProximal)
  const lines = caption(histories, differs)
  const pictures: Record<string, string> = {}
  // NASP alone is in c and d already.
  if (ab.some((s) => !cd.includes(s)) || !cd.some(isPlain)) {
    const figure = { title: "Figure 3 (a, b)", letters: ["a", "b"] } as const
    pictures["figure3-ab"] = drawAccuracy({ ...figure, sides: ab, caption: lines })
  }
  if (cd.some(isPlain)) {
    const figure = { title: "Figure 3 (c, d)", letters: ["c", "d"] } as const
    pictures["figure3-cd"] = drawAccuracy({ ...figure, sides: cd, caption: [boundLine(cd), ...lines] })
  }
  return {
    json: {
      artefact: "figure3",
      caption: lines,
      runs: runList(histories),
      curves: accuracyCurves(sides),
      summary: sides.map((s) => ({
        side: s.side.name,
        ...accuracySummary(s),
        ...(cd.includes(s) && boundSummary(s)),
      })),
    },
    csv: { header: momentHeader, rows: momentRows(histories) },
    pictures,
    text: [accuracyTable(sides), ...(cd.some(isPlain) ? ["", boundTable(cd)] : []), ...lines].join("\n"),
  }
}
