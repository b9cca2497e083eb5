/** `nasp reproduce`: the paper's tables and figures, each a command; what they are is said in src/reproduce. */
import type { Command } from "commander"

import { NaspError } from "../errors.js"
import { comparisonFields, type Comparison } from "../reproduce/comparison.js"
import type { History } from "../reproduce/history.js"
import { comparisons } from "../reproduce/index.js"
import { sides } from "../reproduce/sides.js"
import { addFlags } from "./flags.js"
import { drawnFrom, outFolder, leaveReport, searchAll, type Given } from "./reproduce-runs.js"
import { registerTable6 } from "./reproduce-table6.js"

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
  registerTable6(reproduce)
  for (const comparison of comparisons) registerComparison(reproduce, comparison)
}

function registerComparison(reproduce: Command, comparison: Comparison): void {
  const { name, about, space } = comparison
  const command = reproduce
    .command(name)
    .description(about)
    .allowExcessArguments(false)
    .option("--from <runs...>", "draw from these run folders (or folders that hold some) and run nothing")
    .option("--budget <time|steps>", "of each run: 90s, 30m, 2h of search time, 4000 steps or 5epochs")
    .option("--sides <names>", `what is compared, comma-separated (default ${comparison.sides.join(",")})`)
    .option("--set <name=value...>", "options of the methods, for every side that has them")
    .option(
      "--out <folder>",
      `runs, data and pictures (default reproduce/${name}-<n>); goes on with what is there`,
    )
    .option("--json", "the data as JSON on stdout")
    .option("--quiet", "print nothing but warnings while it runs")
  addFlags(command, { ...comparisonFields, space: { ...comparisonFields.space, initial: space } })
    .addHelpText("after", help(comparison))
    .action((options: Given) => run(comparison, options))
}

async function run(comparison: Comparison, options: Given): Promise<void> {
  const out = outFolder(comparison.name, options)
  const histories = Array.isArray(options.from)
    ? drawnFrom(options)
    : await searchAll(comparison, options, { folder: out, out, isFirst: true })
  if (!histories) return
  checkDrawable(comparison, histories)
  const report = comparison.draw(histories)
  leaveReport(comparison.name, report, { json: JSON.stringify(report.json), out, options })
}

// Each alone may be empty, and the caption says so; a figure of nothing is none. Where none is the comparison's own, its
// draw says which it wants.
function checkDrawable({ draws = () => true }: Comparison, histories: readonly History[]): void {
  const drawn = histories.filter(draws)
  if (drawn.length === 0 || drawn.some(({ moments }) => moments.length > 0)) return
  throw new NaspError(
    "ERR_NASP_RUN_FOLDER",
    `Nothing can be drawn: of ${drawn.length} runs none came to the end of an epoch; their folders stay`,
  )
}

function help({ name, leastSteps }: Comparison): string {
  const least = leastSteps > 0 ? `, at least ${leastSteps} steps` : ""
  return `
Without --budget: all epochs${least}. The sides of a seed take turns, an epoch
each. The learning rate follows the cosine of --epochs, whatever the budget cuts
off. All sides share these options.

Sides:
${sides.map((side) => `  ${side.name.padEnd(14)}${side.label}`).join("\n")}

Examples:
  nasp reproduce ${name} --seeds 2 --budget 200 --batch 16 --channels 4 --layers 3    small, on generated data
  nasp reproduce ${name} --data cifar10 --data-dir DIR --budget 30m --out OUT
  nasp reproduce ${name} --from OUT
`
}
