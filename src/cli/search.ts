/** `nasp search`: a search from the command line, new or gone on with. */
import type { Command } from "commander"

import { dataSources } from "../data/index.js"
import { drawGenotype } from "../draw-genotype.js"
import { methods } from "../methods/index.js"
import { percent } from "../percent.js"
import { spaces } from "../spaces/index.js"
import { searchFields } from "../train/config.js"
import type { SearchOptions } from "../train/plan.js"
import type { SearchResult } from "../train/search.js"
import { drive } from "./drive.js"
import { addFlags, flagOf, givenOf } from "./flags.js"
import { methodFields } from "./method-flags.js"
import { jsonProgress, quietProgress, textProgress } from "./progress.js"

export function register(program: Command): void {
  const command = program
    .command("search")
    .description("search for a convolutional cell")
    .allowExcessArguments(false)
    .option("--out <folder>", "new run folder (default runs/<space>-seed<seed>-<n>)")
    .option(
      "--resume <folder>",
      "go on with a run folder; --threads, --steps and --data-dir may stand beside it",
    )
    .option("--quiet", "print nothing but errors and warnings")
    .option("--json", "one JSON object a line on stdout")
  addFlags(command, searchFields)
  addFlags(command, methodFields)
  command.addHelpText("after", help()).action((options: Record<string, unknown>) => run(options))
}

async function run(options: Record<string, unknown>): Promise<void> {
  const given: SearchOptions = givenOf(searchFields, options)
  const own = givenOf(methodFields, options)
  if (Object.keys(own).length > 0) given.options = own
  if (typeof options.resume === "string") given.resume = options.resume
  if (typeof options.out === "string") given.out = options.out
  else if (given.resume === undefined) {
    const { space = searchFields.space.initial, seed = searchFields.seed.initial } = given
    given.out = { parent: "runs", name: `${space}-seed${seed}` }
  }
  const text = options.json !== true && options.quiet !== true
  const progress = options.json === true ? jsonProgress() : text ? textProgress() : quietProgress()
  let began = false
  const result = await drive(given, progress, (event) => (began ||= ["start", "resume"].includes(event.type)))
  if (text && result?.status === "finished") process.stdout.write(`${report(result, !began)}\n`)
}

function report(result: SearchResult, already: boolean): string {
  const lines = already ? [`this run is finished: ${result.step} steps`] : []
  lines.push("", drawGenotype(result.genotype), "")
  if (result.best) {
    lines.push(`best epoch: ${result.best.epoch + 1}, validation accuracy ${percent(result.best.val_acc)} %`)
  }
  if (result.out !== null) lines.push(`genotype, weights and alpha: ${result.out}`)
  return lines.join("\n")
}

function differingDefaults(): { name: string; about: string }[] {
  return methods.flatMap(({ name, defaults }) => {
    const list = Object.entries(defaults).map(([field, value]) => `${flagOf(field)} ${String(value)}`)
    return list.length === 0 ? [] : [{ name, about: list.join(", ") }]
  })
}

function help(): string {
  const table = (title: string, rows: readonly { name: string; about: string }[]) =>
    `\n${title}:\n${rows.map(({ name, about }) => `  ${name.padEnd(14)}${about}`).join("\n")}\n`
  return (
    table("Spaces", spaces) +
    table("Methods", methods) +
    table("Defaults that differ by method", differingDefaults()) +
    table("Data", dataSources) +
    `
Examples:
  nasp search --epochs 5 --channels 8 --layers 5          a small search on generated data
  nasp search --data cifar10 --data-dir DIR --out RUN     the paper's search, data_batch_1.bin and so on in DIR
  nasp search --resume RUN                                go on after an interruption
  nasp search --data cifar10 --data-dir DIR --space darts7 --seed 1 --json > events.jsonl
`
  )
}
