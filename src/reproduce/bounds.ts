/**
 * Whether alpha has reached the bounds of its box, without which NASP and the lazy proximal step are the same, and how
 * restless it is: for the methods with proximal steps.
 */
import { methods } from "../methods/index.js"
import { atBound, type SideRuns } from "./curves.js"
import { changesOf } from "./selection-changes.js"
import type { Side } from "./sides.js"
import { summarise } from "./statistics.js"
import { rounded, textTable, withSpread } from "./text-table.js"

/** Methods of the paper's section 4.5: NASP and its variants with plain proximal steps. */
export const proximalMethods = methods.flatMap(({ name, selects }) => (selects ? [name] : []))

/** Whether a run, or a side's runs, are of one of them. */
export const isProximal = ({ side }: { side: Side }) => proximalMethods.includes(side.method)

export function boundSummary(side: SideRuns) {
  const ends = side.runs.flatMap(({ moments }) => moments.at(-1) ?? [])
  return {
    at_bound: summarise(ends.map((m) => atBound(m).count)),
    entries: ends[0] ? atBound(ends[0]).entries : 0,
    flips_a_step: changesOf(side).rows_a_step,
  }
}

export function boundTable(sides: readonly SideRuns[]): string {
  return textTable(
    ["side", "entries at a bound", "of", "rows that change their operation a step"],
    sides.map((s) => {
      const { at_bound, entries, flips_a_step } = boundSummary(s)
      const short = (v: number) => rounded(v) ?? ""
      return [s.side.label, withSpread(at_bound, short), entries, withSpread(flips_a_step, short)]
    }),
  )
}

/** The same as a line under a picture. */
export function boundLine(sides: readonly SideRuns[]): string {
  const counts = sides.map((s) => {
    const { at_bound, entries } = boundSummary(s)
    return `${s.side.label} ${withSpread(at_bound, (v) => v.toFixed(1)) ?? "-"} of ${entries}`
  })
  const discrete = sides.some((s) => s.side.method === "pa")
    ? " (alpha of the standard update is discrete itself)"
    : ""
  return `Entries of alpha at 0 or 1, or beyond, at the end: ${counts.join("; ")}${discrete}.`
}
