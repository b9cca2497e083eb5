/** `nasp bench ops` and `nasp bench step`: what they measure is said in src/bench. */
import type { Command } from "commander"

import { machineLine } from "../bench/machine.js"
import { benchOps, opsBenchFields, type OpsBenchOptions } from "../bench/ops.js"
import { mixText } from "../bench/selection.js"
import {
  benchStep,
  phases,
  stepBenchFields,
  type StepBenchOptions,
  type StepBenchReport,
} from "../bench/step.js"
import { methods } from "../methods/index.js"
import { addFlags, givenOf } from "./flags.js"
import { methodFields } from "./method-flags.js"

export function register(program: Command): void {
  const bench = program.command("bench").description("time the engine on this machine")

  const ops = bench
    .command("ops")
    .description("each operation at the shapes of the search")
    .allowExcessArguments(false)
  addFlags(ops, opsBenchFields)
    .option("--op <name>", "only this operation")
    .option("--json", "one JSON object a line")
    .action((options: Record<string, unknown>) => {
      const op = typeof options.op === "string" ? { op: options.op } : {}
      return runOps({ ...givenOf(opsBenchFields, options), ...op }, options.json === true)
    })

  const step = bench
    .command("step")
    .description("one iteration of a method on random data")
    .allowExcessArguments(false)
  addFlags(addFlags(step, stepBenchFields), methodFields)
    .option(
      "--selection <random|FILE>",
      "what is selected: drawn from --seed, or an alpha.safetensors",
      "random",
    )
    .option("--save-selection <FILE>", "write it as an alpha.safetensors, for bench/step.py")
    .option("--json", "one JSON object")
    .action((options: Record<string, unknown>) => {
      const { selection, saveSelection } = options as Pick<StepBenchOptions, "selection" | "saveSelection">
      const files = {
        ...(selection !== undefined && { selection }),
        ...(saveSelection !== undefined && { saveSelection }),
      }
      const own = { options: givenOf(methodFields, options) }
      return runStep({ ...givenOf(stepBenchFields, options), ...files, ...own }, options.json === true)
    })

  const all = bench
    .command("methods")
    .description(
      "one iteration of every method: its operation evaluations and its time, as the table of docs/methods.md",
    )
    .allowExcessArguments(false)
  const { method: _, dense: __, ...tableFields } = stepBenchFields
  addFlags(all, tableFields)
    .option("--json", "one JSON object a line")
    .action((options: Record<string, unknown>) =>
      runMethods(givenOf(tableFields, options), options.json === true),
    )
}

async function runOps(options: OpsBenchOptions, json: boolean): Promise<void> {
  const { machine, bounds, rows } = benchOps(options)
  const note = json ? console.error : console.log
  let begun = false
  for await (const row of rows) {
    if (!begun) {
      begun = true // a device that is not there has said so by now
      note(machineLine(machine))
      if (row.probePrecision !== "f32") note(`probes in ${row.probePrecision}`)
      if (bounds) {
        note(`bounds measured now: ${bounds.gflops.toFixed(0)} GFLOP/s, ${bounds.gbps.toFixed(1)} GB/s`)
      }
      if (!json) {
        console.log("op             pass       C size stride       ms    min    max  GFLOP/s   GB/s  share")
      }
    }
    if (json) {
      console.log(JSON.stringify(row))
      continue
    }
    const shape = `${pad(row.channels, 3)} ${pad(row.size, 4)} ${pad(row.stride, 6)}`
    const times = [row.ms, row.min_ms, row.max_ms].map((ms) => ms.toFixed(3).padStart(6)).join(" ")
    const rates = `${row.gflops.toFixed(1).padStart(8)} ${row.gbps.toFixed(1).padStart(6)} ${(row.share?.toFixed(2) ?? "-").padStart(6)}`
    console.log(`${row.op.padEnd(14)} ${row.pass.padEnd(8)} ${shape}   ${times} ${rates}`)
  }
}

// The rows of the table: every method, DARTS in both orders.
const rows: { method: string; options?: Record<string, unknown> }[] = methods.flatMap(({ name }) => {
  if (name === "darts") return ["first", "second"].map((order) => ({ method: name, options: { order } }))
  return [{ method: name }]
})

async function runMethods(options: StepBenchOptions, json: boolean): Promise<void> {
  let before: StepBenchReport | null = null
  for (const row of rows) {
    const report = await benchStep({ ...options, ...row })
    if (json) {
      const { peak_bytes: _, ...row } = report // the process's, of all methods so far
      console.log(JSON.stringify(row))
      continue
    }
    if (before === null) {
      const { machine, space, batch, channels, layers, repeats } = report
      console.log(
        `${machineLine(machine)}; ${space}, batch ${batch}, C ${channels}, ${layers} cells; median of ${repeats}`,
      )
      console.log("\n| method | architecture step | weight step | | s an iteration | range |")
      console.log("| --- | --- | --- | --- | --- | --- |")
    }
    before = report
    const { evaluations, seconds, spread } = report
    const name = row.method === "darts" ? `darts, ${String(row.options?.order)} order` : row.method
    const range = spread.total.map((s) => s.toFixed(3)).join(" to ")
    console.log(
      `| ${name} | ${evaluations.architecture} | ${evaluations.weights} | ${evaluations.note} | ${seconds.total.toFixed(3)} | ${range} |`,
    )
  }
}

async function runStep(options: StepBenchOptions, json: boolean): Promise<void> {
  const report = await benchStep(options)
  const note = json ? console.error : console.log
  note(machineLine(report.machine))
  note(`${report.method}: alpha ${report.evaluations.architecture}; weights ${report.evaluations.weights}`)
  if (report.probePrecision !== "f32") note(`probes in ${report.probePrecision}`)
  note(`selected, normal: ${mixText(report.selection.normal)}`)
  note(`selected, reduce: ${mixText(report.selection.reduce)}`)
  if (json) {
    console.log(JSON.stringify(report))
    return
  }
  for (const phase of phases) {
    const [min, max] = report.spread[phase]
    console.log(
      `${phase.padEnd(16)} ${report.seconds[phase].toFixed(4)} s  (${min.toFixed(4)} to ${max.toFixed(4)})`,
    )
  }
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
  console.log(
    `activations ${megabytes(report.activation_bytes)}, process ${megabytes(report.peak_bytes)} at most`,
  )
}

function pad(value: number, width: number): string {
  return String(value).padStart(width)
}
