/** How often the selection changes, epoch by epoch and step by step. */
import { cellTypes } from "../spaces/index.js"
import type { Point } from "./chart/panel.js"
import type { SideRuns } from "./curves.js"
import type { History } from "./history.js"
import { summarise } from "./statistics.js"

/** Over the seeds of a side. */
export function changesOf({ runs }: SideRuns) {
  const over = (value: (run: History) => number | null) => summarise(runs.flatMap((run) => value(run) ?? []))
  return {
    /** Of 28 edges, whose operation or being kept differs from an epoch to the next: mean an epoch. */
    selections_an_epoch: over(({ moments }) => {
      const flipped = flippedSelections(moments)
      return flipped.length > 0 ? flipped.reduce((sum, p) => sum + p.y, 0) / flipped.length : null
    }),
    /** Of 28 rows, whose largest operation changes in a step: mean a step. */
    rows_a_step: over(({ moments }) => {
      const steps = moments.reduce((sum, m) => sum + m.sinceLast.steps, 0)
      return steps > 0 ? moments.reduce((sum, m) => sum + m.sinceLast.flips, 0) / steps : null
    }),
  }
}

/** Edges, of 28, whose operation or being kept differs from the moment before: from the second moment on. */
export function flippedSelections(moments: History["moments"]): Point[] {
  return moments.slice(1).map((m, i) => ({ x: m.epochs, y: differing(moments[i]!.selection, m.selection) }))
}

type Selection = History["moments"][number]["selection"]

function differing(before: Selection, after: Selection): number {
  return cellTypes.reduce(
    (sum, cell) => sum + after[cell].filter((column, edge) => column !== before[cell][edge]).length,
    0,
  )
}
