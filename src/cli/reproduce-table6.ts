/** `nasp reproduce table6`: timed batches, beside the paper's seconds; with --budget searches too, for the error. */
import { join } from "node:path"
import type { Command } from "commander"

import { describeMachine, machineLine } from "../bench/machine.js"
import { chooseDevice, onDevice } from "../device.js"
import { integerField, invalid, oneOf, resolveFields } from "../expect.js"
import { loadNative, type NativeAddon } from "../native.js"
import { comparisonFields, type ComparedRuns } from "../reproduce/comparison.js"
import { machinesOf } from "../reproduce/curves.js"
import type { History } from "../reproduce/history.js"
import { paper } from "../reproduce/paper-protocol.js"
import { prepareFolder } from "../reproduce/report.js"
import { checkOnce, findSides } from "../reproduce/sides.js"
import { entriesOfRuns, entriesOfTimed, leftOut, type Table6Entry } from "../reproduce/table6.js"
import { table6Report, type Table6Notes } from "../reproduce/table6-report.js"
import { timeSteps } from "../reproduce/table6-timing.js"
import { findSpace } from "../spaces/index.js"
import type { SearchConfig } from "../train/config.js"
import { addFlags, givenOf } from "./flags.js"
import {
  checkAll,
  drawnFrom,
  givenOut,
  leaveReport,
  outFolder,
  searchAll,
  type Given,
} from "./reproduce-runs.js"

const defaultSpaces = "darts7,darts7-split,nasp12,nasp12-all"
const defaultSides = "darts,darts-2,nasp"

const { space: _space, ...searchFields } = comparisonFields
const { batch, channels, layers, seed, threads, device, precision } = searchFields

// What timed batches depend on; the other options are those of the searches.
const timedFields = {
  ...{ batch, channels, layers, seed, threads, device, precision },
  batches: integerField(3, 1, 10_000, "timed batches of each row, after one that is not"),
}
const fields = { ...searchFields, ...timedFields }

export function registerTable6(reproduce: Command): void {
  const command = reproduce
    .command("table6")
    .description("seconds an epoch by what they go into, DARTS and NASP in each space, beside the paper's")
    .allowExcessArguments(false)
    .option("--spaces <names>", `comma-separated (default ${defaultSpaces})`)
    .option("--sides <names>", `methods, comma-separated (default ${defaultSides})`)
    .option("--from <runs...>", "the epochs of these run folders in place of timed batches")
    .option("--budget <time|steps>", "search with every side and space that long (30m, 4000), for the error")
    .option(
      "--set <name=value...>",
      "options of the methods, for every side that has them (in those searches)",
    )
    .option(
      "--out <folder>",
      "write table6.json and table6.csv there too; with --budget the runs (default of those reproduce/table6-<n>)",
    )
    .option("--json", "one JSON object a row on stdout")
    .option("--quiet", "print nothing but warnings while it runs")
  addFlags(command, fields)
    .addHelpText(
      "after",
      `
Seconds are extrapolated to ${paper.epochImages} images. NASP's depend on what is selected: each
timed batch draws a selection of its own from --seed.

Examples:
  nasp reproduce table6 --batches 2 --json
  nasp reproduce table6 --spaces nasp12 --batches 10 --out OUT
  nasp reproduce table6 --spaces darts7 --budget 30m --data cifar10 --data-dir DIR`,
    )
    .action(run)
}

async function run(options: Given): Promise<void> {
  const out = givenOut(options)
  const addon = loadNative()
  const result = Array.isArray(options.from) ? ofRuns(options, addon) : await timed(options, addon)
  if (!result) return
  const report = table6Report(result.entries, result.notes)
  const json = result.entries.map(({ row }) => JSON.stringify(row)).join("\n")
  leaveReport("table6", report, { json, out, options })
}

interface Result {
  entries: Table6Entry[]
  notes: Table6Notes
}

function ofRuns(options: Given, addon: NativeAddon): Result {
  const histories = drawnFrom(options)
  const entries = entriesOfRuns(histories, addon)
  const lines = [
    `Seconds of the whole epochs of ${histories.length} runs, per ${paper.epochImages} images.`,
    ...leftOut(histories, entries),
    differs(histories[0]!.config),
  ]
  return {
    entries,
    notes: { machine: machinesOf(histories), lines },
  }
}

function checkSearches(options: Given): void {
  const given = [...Object.keys(givenOf(fields, options)), ...(options.set === undefined ? [] : ["set"])]
  const unused = given.find((name) => !Object.hasOwn(timedFields, name))
  if (unused !== undefined) throw invalid("an option without budget", oneOf(Object.keys(timedFields)), unused)
}

async function timed(options: Given, native: NativeAddon): Promise<Result | null> {
  if (options.budget === undefined) checkSearches(options)
  const { device: asked, ...settings } = resolveFields(timedFields, givenOf(timedFields, options))
  const { device, note } = chooseDevice(native, asked)
  const addon = onDevice(native, device)
  const spaces = listOf(options.spaces, defaultSpaces)
  checkOnce("spaces", spaces)
  for (const name of spaces) findSpace(name)
  const sides = findSides(listOf(options.sides, defaultSides))
  const tell = (text: string) => {
    if (options.quiet !== true) process.stderr.write(`${text}\n`)
  }
  if (note !== null) process.stderr.write(`warning: ${note}\n`)
  const isSearched = typeof options.budget === "string"
  const out = givenOut(options)
  if (out !== null && !isSearched) prepareFolder(out)
  const histories = isSearched ? await searches(options, spaces) : []
  if (!histories) return null
  const { batches, batch, channels, layers, seed, threads } = settings
  const steps = await timeSteps({ addon, sides, spaces, ...settings }, (space) =>
    tell(`timing ${space}: ${batches} + 1 batches of ${sides.map((s) => s.name).join(", ")}`),
  )
  const drawn = `seeds ${seed + 1} to ${seed + batches}`
  tell(`NASP's selections: ${drawn}`) // on stdout as well, but not with --json
  const lines = [
    `Seconds an epoch of ${paper.epochImages} images, mean ± standard deviation of ${batches} timed batches of ${batch}; C ${channels}, ${layers} cells.`,
    `NASP's selections are drawn at random, one a batch: ${drawn}; final net (M) is the mean over them${histories.length > 0 ? ", or of the searched cell" : ""}.`,
    `Under overhead the paper's line has what it does not list: its total less its columns. error (%): of the searched net on the search-validation half; (in brackets) the paper's, of the trained net on the test set.`,
    differs({ ...settings, device }),
  ]
  return {
    entries: entriesOfTimed(steps, histories, addon),
    notes: { machine: machineLine(describeMachine(addon, threads ?? 0, device)), lines },
  }
}

function differs({ device, ...net }: Pick<SearchConfig, "device" | "channels" | "layers" | "batch">): string {
  const place = device === "cpu" ? "a CPU here, a GPU there" : "another GPU"
  const { channels, layers, batch } = net
  const size =
    channels === paper.channels && layers === paper.layers && batch === paper.batch
      ? ""
      : ` C ${channels}, ${layers} cells, batches of ${batch} (paper: ${paper.channels}, ${paper.layers}, ${paper.batch});`
  return `Differs from the paper's protocol: ${place};${size} the paper leaves open which of darts7 and darts7-split, nasp12 and nasp12-all its rows are.`
}

/** Each space's runs in a folder of its own, none begun where another's cannot be; null where a signal ended them. */
async function searches(options: Given, spaces: readonly string[]): Promise<History[] | null> {
  const out = outFolder("table6", options)
  const compared = spaces.map((space) => ({
    comparison: { sides: defaultSides.split(","), space, measures: {}, leastSteps: 0 } satisfies ComparedRuns,
    folder: join(out, space),
    isFirst: space === spaces[0],
  }))
  for (const { comparison, folder } of compared) checkAll(comparison, options, folder)
  for (const { folder } of compared) prepareFolder(folder)
  const histories: History[] = []
  for (const { comparison, ...place } of compared) {
    const found = await searchAll(comparison, options, { ...place, out })
    if (!found) return null
    histories.push(...found)
  }
  return histories
}

function listOf(value: unknown, otherwise: string): string[] {
  return (typeof value === "string" ? value : otherwise).split(",")
}
