/** Validation accuracy of the searched net against seconds and against epochs: two panels as in the paper's Figure 3, and a table. */
import { percent } from "../percent.js"
import { percentTick, type Panel } from "./chart/panel.js"
import { drawFigure } from "./chart/figure.js"
import { bandWithin, legendOf, validationCurve, seriesOf, type Axis, type SideRuns } from "./curves.js"
import type { History } from "./history.js"
import { summarise } from "./statistics.js"
import { rounded, textTable, withSpread } from "./text-table.js"

interface AccuracyFigure {
  /** Behind it stand the sides. */
  title: string
  /** "a" and "b", or "c" and "d". */
  letters: readonly [string, string]
  sides: readonly SideRuns[]
  caption: readonly string[]
}

const names: Record<Axis, string> = { seconds: "search time (s)", epochs: "epochs" }

export function drawAccuracy({ title, letters, sides, caption }: AccuracyFigure): string {
  const panel = (axis: Axis, letter: string): Panel => ({
    title: `(${letter}) against ${axis === "seconds" ? "time" : "epochs"}`,
    x: names[axis],
    y: "validation accuracy, searched net (%)",
    yBounds: [0, 1],
    yTick: percentTick,
    series: sides.map((s) => {
      const curve = validationCurve(s, axis, (m) => m.validation)
      return bandWithin(seriesOf(s.side, curve), 0, 1)
    }),
  })
  const ends = sides.some(({ runs }) => runs.length > 1)
    ? [
        "Against time, a side's mean is drawn where all its seeds have a value, from the end of the slowest seed's first epoch to the end of the first seed that ends; where no time has them all, point by point.",
      ]
    : []
  return drawFigure({
    title: `${title}: convergence of ${sides.map(({ side }) => side.label).join("; ")}`,
    columns: 2,
    panels: [panel("seconds", letters[0]), panel("epochs", letters[1])],
    legend: legendOf(sides),
    caption: [...ends, ...caption],
  })
}

/** The mean curves, for JSON. */
export function accuracyCurves(sides: readonly SideRuns[]) {
  return sides.flatMap((s) =>
    (["seconds", "epochs"] as const).map((axis) => ({
      side: s.side.name,
      axis,
      points: validationCurve(s, axis, (m) => m.validation),
    })),
  )
}

/** Over the seeds of a side: the last and the best accuracy, and what it took. */
export function accuracySummary({ runs }: SideRuns) {
  const over = (value: (run: History) => number | undefined) =>
    summarise(runs.flatMap((run) => value(run) ?? []))
  return {
    last: over(({ moments }) => moments.at(-1)?.validation),
    best: over(({ moments }) =>
      moments.length > 0 ? Math.max(...moments.map((m) => m.validation)) : undefined,
    ),
    steps: over(({ moments }) => moments.at(-1)?.step),
    seconds: over(({ moments }) => moments.at(-1)?.seconds),
  }
}

export function accuracyTable(sides: readonly SideRuns[]): string {
  return textTable(
    ["side", "seeds", "last accuracy (%)", "best (%)", "steps", "search seconds"],
    sides.map((s) => {
      const { last, best, steps, seconds } = accuracySummary(s)
      const short = (v: number) => rounded(v, 4) ?? ""
      return [
        s.side.label,
        s.runs.length,
        withSpread(last, percent),
        withSpread(best, percent),
        withSpread(steps, short),
        withSpread(seconds, short),
      ]
    }),
  )
}
