/** What the commands of `nasp reproduce` share: running the sides until done or interrupted, and leaving a report. */
import { invalid } from "../expect.js"
import {
  comparisonFields,
  runComparison,
  type ComparedRuns,
  type ComparisonOptions,
} from "../reproduce/comparison.js"
import { readHistories, type History } from "../reproduce/history.js"
import { writeReport, type Report } from "../reproduce/report.js"
import type { PlannedRun } from "../reproduce/turns.js"
import { percent } from "../reproduce/text-table.js"
import type { SearchEvent } from "../train/events.js"
import { freeFolder } from "../train/run-folder.js"
import { shellWord } from "./drive.js"
import { givenOf } from "./flags.js"
import { exitCode, onSignals } from "./signals.js"

/** Options as commander gives them. */
export type Given = Record<string, unknown>

/** The runs of `--from`, beside which only what says where the report goes may stand. */
export function drawnFrom({ from, ...options }: Given): History[] {
  const others = Object.keys(options).filter((name) => !["out", "json", "quiet"].includes(name))
  if (others.length > 0)
    throw invalid("an option beside from", "out, json or quiet (the runs hold the rest)", others[0])
  return readHistories(from as string[])
}

/**
 * The comparison's runs in `folder`; null where a signal ended them: then what to do is said.
 * @param out what `--out` must name to go on with them
 */
export async function searchAll(
  comparison: ComparedRuns,
  options: Given,
  folder: string,
  out = folder,
): Promise<History[] | null> {
  const abort = new AbortController()
  const first = (signal: NodeJS.Signals) => {
    process.exitCode = exitCode(signal)
    abort.abort()
    process.stderr.write("finishing the step and saving; once more stops at once\n")
  }
  const ignoreSignals = onSignals(first, () => process.exit())
  try {
    const histories = await runComparison(comparison, {
      ...asked(options),
      given: givenOf(comparisonFields, options),
      out: folder,
      onEvent: options.quiet === true ? () => {} : tell,
      signal: abort.signal,
    })
    if (!histories) process.stderr.write(`stopped; the same command with --out ${shellWord(out)} goes on\n`)
    return histories
  } finally {
    ignoreSignals()
  }
}

function asked({ budget, sides, set }: Given): Pick<ComparisonOptions, "budget" | "sides" | "set"> {
  return {
    ...(typeof budget === "string" && { budget }),
    ...(typeof sides === "string" && { sides: sides.split(",") }),
    ...(Array.isArray(set) && { set: set as string[] }),
  }
}

// A line an epoch on stderr: stdout is for the result.
function tell({ side, seed }: PlannedRun, event: SearchEvent, seconds: number): void {
  if (event.type === "warning")
    process.stderr.write(`warning: ${side.name}, seed ${seed}: ${event.message}\n`)
  if (event.type !== "epoch") return
  process.stderr.write(
    `${side.name}, seed ${seed}: step ${event.step}, ${seconds.toFixed(1)} s, validation accuracy ${percent(event.val_acc)} %\n`,
  )
}

/** @returns the files, in lines */
export function leaveReport(artefact: string, out: string, report: Report): string {
  return writeReport(out, artefact, report).join("\n")
}

/** `--out`; null where it was not given. */
export function givenOut({ out }: Given): string | null {
  if (out === "") throw invalid("out", "a folder", out)
  return typeof out === "string" ? out : null
}

/** `--out`, or reproduce/<name>-<n> with the first n that is free. */
export function outFolder(name: string, options: Given): string {
  const out = givenOut(options)
  return out ?? freeFolder("reproduce", name)
}
