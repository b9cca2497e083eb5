/** `nasp bench ops` and `nasp bench step`: what they measure is said in src/bench. */
import type { Command } from "commander"

import { machineLine } from "../bench/machine.js"
import { benchOps, opsBenchFields, type OpsBenchOptions } from "../bench/ops.js"
import { mixText } from "../bench/selection.js"
import { benchStep, phases, stepBenchFields, type StepBenchOptions } from "../bench/step.js"
import { addFlags, givenOf } from "./flags.js"

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
    .description("one NASP iteration on random data")
    .allowExcessArguments(false)
  addFlags(step, stepBenchFields)
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
      return runStep({ ...givenOf(stepBenchFields, options), ...files }, options.json === true)
    })
}

async function runOps(options: OpsBenchOptions, json: boolean): Promise<void> {
  const { machine, bounds, rows } = benchOps(options)
  const note = json ? console.error : console.log
  note(machineLine(machine))
  if (bounds) {
    note(`bounds measured now: ${bounds.gflops.toFixed(0)} GFLOP/s, ${bounds.gbps.toFixed(1)} GB/s`)
  }
  if (!json)
    console.log("op             pass       C size stride       ms    min    max  GFLOP/s   GB/s  share")
  for await (const row of rows) {
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

async function runStep(options: StepBenchOptions, json: boolean): Promise<void> {
  const report = await benchStep(options)
  const note = json ? console.error : console.log
  note(machineLine(report.machine))
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
