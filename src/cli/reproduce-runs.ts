/** What the commands of `nasp reproduce` share: running the sides until done or interrupted, and leaving a report. */
import { invalid } from "../expect.js"
import { comparisonFields, checkedRuns, runComparison, type ComparedRuns } from "../reproduce/comparison.js"
import { readHistories, type History } from "../reproduce/history.js"
import { prepareFolder, writeReport, type Report } from "../reproduce/report.js"
import type { PlannedRun } from "../reproduce/turns.js"
import { percent } from "../percent.js"
import type { SearchEvent } from "../train/events.js"
import { freeFolder } from "../train/run-folder.js"
import { shellWord } from "./drive.js"
import { givenOf } from "./flags.js"
import { exitCode, finishing, onSignals } from "./signals.js"

/** Options as commander gives them. */
export type Given = Record<string, unknown>

/** The runs of `--from`, beside which only what says where the report goes may stand. */
export function drawnFrom({ from, ...options }: Given): History[] {
  const others = Object.keys(options).filter((name) => !["out", "json", "quiet"].includes(name))
  if (others.length > 0)
    throw invalid("an option beside from", "out, json or quiet (the runs hold the rest)", others[0])
  return readHistories(from as string[])
}

interface Place {
  /** Of these runs. */
  folder: string
  /** What `--out` must name to go on with them. */
  out: string
  /** false: `out` has been told before. */
  isFirst: boolean
}

/** The comparison's runs; null where a signal ended them: then what to do is said. */
export async function searchAll(
  comparison: ComparedRuns,
  options: Given,
  { folder, out, isFirst }: Place,
): Promise<History[] | null> {
  const isQuiet = options.quiet === true
  const goesOn = `the same command with --out ${shellWord(out)} goes on\n`
  const abort = new AbortController()
  const first = (signal: NodeJS.Signals) => {
    process.exitCode = exitCode(signal)
    abort.abort()
    process.stderr.write(`${finishing}\n`)
  }
  const second = () => {
    process.stderr.write(`stopped at once; ${goesOn}`)
    process.exit()
  }
  const ignoreSignals = onSignals(first, second)
  try {
    const histories = await runComparison(comparison, {
      ...asked(options, folder),
      onStart() {
        prepareFolder(out)
        if (isFirst && !isQuiet) process.stderr.write(`runs in ${out}\n`)
      },
      onEvent: isQuiet ? tellWarning : tell,
      signal: abort.signal,
    })
    if (!histories) process.stderr.write(`stopped; ${goesOn}`)
    return histories
  } finally {
    ignoreSignals()
  }
}

/** Refuses what `searchAll` would, before it runs or writes anything. @throws NaspError */
export function checkAll(comparison: ComparedRuns, options: Given, folder: string): void {
  checkedRuns(comparison, asked(options, folder))
}

function asked(options: Given, out: string): Parameters<typeof checkedRuns>[1] {
  const { budget, sides, set } = options
  return {
    given: givenOf(comparisonFields, options),
    out,
    ...(typeof budget === "string" && { budget }),
    ...(typeof sides === "string" && { sides: sides.split(",") }),
    ...(Array.isArray(set) && { set: set as string[] }),
  }
}

function tellWarning({ side, seed }: PlannedRun, event: SearchEvent): void {
  if (event.type === "warning")
    process.stderr.write(`warning: ${side.name}, seed ${seed}: ${event.message}\n`)
}

// A line an epoch on stderr: stdout is for the result.
function tell(run: PlannedRun, event: SearchEvent, seconds: number): void {
  tellWarning(run, event)
  if (event.type !== "epoch") return
  const { side, seed } = run
  process.stderr.write(
    `${side.name}, seed ${seed}: step ${event.step}, ${seconds.toFixed(1)} s, validation accuracy ${percent(event.val_acc)} %\n`,
  )
}

/**
 * The report on stdout, and only then its files: where these cannot be written, it is not lost.
 * @param json what `--json` prints
 * @param out null: no files
 */
export function leaveReport(
  artefact: string,
  report: Report,
  { json, out, options }: { json: string; out: string | null; options: Given },
): void {
  const print = (text: string) => process.stdout.write(`${text}\n`)
  print(options.json === true ? json : report.text)
  const files = out === null ? [] : writeReport(out, artefact, report)
  if (files.length > 0 && options.json !== true) print(`\n${files.join("\n")}`)
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
