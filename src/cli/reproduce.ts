/** `nasp reproduce`: the paper's tables and figures, each a command; what they are is said in src/reproduce. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { Option, type Command } from "commander"

import {
  comparisonFields,
  runComparison,
  type Comparison,
  type ComparisonOptions,
} from "../reproduce/comparison.js"
import { readHistories, type History } from "../reproduce/history.js"
import { comparisons } from "../reproduce/index.js"
import { writeReport, type Report } from "../reproduce/report.js"
import { sides } from "../reproduce/sides.js"
import type { PlannedRun } from "../reproduce/turns.js"
import { invalid } from "../expect.js"
import type { SearchEvent } from "../train/events.js"
import { shellWord } from "./drive.js"
import { addFlags, givenOf } from "./flags.js"

export function register(program: Command): void {
  const reproduce = program
    .command("reproduce")
    .description("the paper's tables and figures, on this machine")
    .addHelpText(
      "after",
      `
Examples:
  nasp reproduce table6 --batches 2                                   seconds an epoch, beside the paper's
  nasp reproduce figure3 --data cifar10 --data-dir DIR --budget 30m   30 minutes for each side and seed
  nasp reproduce section4.5 --budget 4000 --set value=kept            NASP beside plain proximal steps
  nasp reproduce figure4 --from reproduce/figure3-1                   drawn again from runs, without running`,
    )
  for (const comparison of comparisons) registerComparison(reproduce, comparison)
}

function registerComparison(reproduce: Command, comparison: Comparison): void {
  const command = reproduce
    .command(comparison.name)
    .description(comparison.about)
    .allowExcessArguments(false)
    .option("--from <runs...>", "draw from these run folders (or folders that hold some) and run nothing")
    .option("--budget <time|steps>", "of each run: 90s, 30m, 2h of search time, 4000 steps or 5epochs")
    .option("--sides <names>", `what is compared, comma-separated (default ${comparison.sides.join(",")})`)
    .option("--set <name=value...>", "an option of the methods, for every side that has it")
    .option(
      "--out <folder>",
      `runs, data and pictures (default reproduce/${comparison.name}-<n>); goes on with what is there`,
    )
    .option("--json", "the data as JSON on stdout")
  const fields = { ...comparisonFields, space: { ...comparisonFields.space, initial: comparison.space } }
  addFlags(command, fields)
    .addOption(new Option("--quiet", "print nothing while it runs"))
    .addHelpText("after", help(comparison))
    .action((options: Record<string, unknown>) => run(comparison, options))
}

async function run(comparison: Comparison, options: Record<string, unknown>): Promise<void> {
  const out = typeof options.out === "string" ? options.out : freeFolder(comparison.name)
  const histories = Array.isArray(options.from)
    ? drawnFrom(options)
    : await searchAll(comparison, options, out)
  if (histories) finish(comparison.name, out, comparison.draw(histories), options.json === true)
}

function drawnFrom({ from, ...options }: Record<string, unknown>): History[] {
  const others = Object.keys(options).filter((name) => !["out", "json", "quiet"].includes(name))
  if (others.length > 0)
    throw invalid("an option beside from", "out, json or quiet (the runs hold the rest)", others[0])
  return readHistories(from as string[])
}

async function searchAll(
  comparison: Comparison,
  options: Record<string, unknown>,
  out: string,
): Promise<History[] | null> {
  const abort = new AbortController()
  const stop = (signal: NodeJS.Signals) => {
    process.exitCode = signal === "SIGINT" ? 130 : 143
    if (abort.signal.aborted) process.exit()
    abort.abort()
    process.stderr.write("finishing the step and saving; once more stops at once\n")
  }
  const signals = ["SIGINT", "SIGTERM"] as const
  for (const signal of signals) process.on(signal, stop)
  const { budget, sides: named, set } = options
  const asked: Pick<ComparisonOptions, "budget" | "sides" | "set"> = {
    ...(typeof budget === "string" && { budget }),
    ...(typeof named === "string" && { sides: named.split(",") }),
    ...(Array.isArray(set) && { set: set as string[] }),
  }
  try {
    const histories = await runComparison(comparison, {
      ...asked,
      given: givenOf(comparisonFields, options),
      out,
      onEvent: options.quiet === true ? () => {} : tell,
      signal: abort.signal,
    })
    if (!histories) process.stderr.write(`stopped; the same command with --out ${shellWord(out)} goes on\n`)
    return histories
  } finally {
    for (const signal of signals) process.off(signal, stop)
  }
}

// A line an epoch on stderr: stdout is for the result.
function tell({ side, seed }: PlannedRun, event: SearchEvent, seconds: number): void {
  if (event.type === "warning")
    process.stderr.write(`warning: ${side.name}, seed ${seed}: ${event.message}\n`)
  if (event.type !== "epoch") return
  process.stderr.write(
    `${side.name}, seed ${seed}: step ${event.step}, ${seconds.toFixed(1)} s, validation accuracy ${(100 * event.val_acc).toFixed(1)} %\n`,
  )
}

export function finish(artefact: string, out: string, report: Report, json: boolean): void {
  const files = writeReport(out, artefact, report)
  process.stdout.write(json ? `${JSON.stringify(report.json)}\n` : `${report.text}\n\n${files.join("\n")}\n`)
}

/** reproduce/<name>-<n> with the first n that is free. */
export function freeFolder(name: string): string {
  for (let n = 1; ; n++) {
    const path = join("reproduce", `${name}-${n}`)
    if (!existsSync(path)) return path
  }
}

function help({ name, leastSteps }: Comparison): string {
  const least = leastSteps > 0 ? `, at least ${leastSteps} steps` : ""
  return `
Without --budget: all epochs${least}. The sides of a seed take turns, an epoch each. The learning rate follows the
cosine of --epochs, whatever the budget cuts off.

Sides:
${sides()
  .map((side) => `  ${side.name.padEnd(14)}${side.label}`)
  .join("\n")}

Examples:
  nasp reproduce ${name} --seeds 2 --budget 200 --batch 16 --channels 4 --layers 3    a small one on generated data
  nasp reproduce ${name} --data cifar10 --data-dir DIR --budget 30m --out DIR
  nasp reproduce ${name} --from DIR
`
}
