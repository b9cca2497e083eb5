#!/usr/bin/env node
// One iteration, this package beside its PyTorch twins: run in turn for some rounds on the same selection, so that a slow
// minute of the machine hits everyone. Prints medians, the smallest and largest of the rounds, and ratios; writes them with
// the machine line.
//
//   node bench/compare.mjs --python PYTHON [--rounds 3] [--repeats 5] [--space nasp12] [--batch 64] [--channels 16]
//                          [--layers 8] [--seed 0] [--threads n] [--warmup 2] [--out bench/results/step.json] [--default-layout]
//                          [--dense | --method darts [--order first|second]] [--probe-precision bf16]
//
// NASP's step beside three of PyTorch's (bench/step.py); with --dense every operation propagated and differentiated in both
// steps, on both sides; with --method darts DARTS' step, and for the first order NASP's dense one too, which but for the softmax
// is the same.
// Each run is its own process. The twins run with the allocator tuned (bench/step.py); the package runs as it is.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { machineLine } from "../dist/bench/machine.js"
import { flags, median, nasp, refuse, twin, twinOptionsOf, writeResults } from "./contenders.mjs"

const values = twinOptionsOf("step", {
  repeats: { type: "string", default: "5" },
  space: { type: "string", default: "nasp12" },
  channels: { type: "string", default: "16" },
  layers: { type: "string", default: "8" },
  seed: { type: "string", default: "0" },
  "default-layout": { type: "boolean", default: false },
  dense: { type: "boolean", default: false },
  method: { type: "string", default: "nasp" },
  order: { type: "string" },
  "probe-precision": { type: "string" }, // ours
})
checkTogether(values)
if (values.method === "darts") values.order ??= "first"
const work = mkdtempSync(join(tmpdir(), "nasp-bench-"))
const selection = join(work, "alpha.safetensors")
const shape = flags(values, ["space", "batch", "channels", "layers", "seed", "threads", "repeats", "warmup"])

const probes = flags(values, ["probe-precision"])
const ours = (own) => () => nasp(["step", ...own, ...shape, ...probes])[0]
const torch =
  (own, layout = "channels_last") =>
  () =>
    twin(values.python, "step.py", ["--layout", layout, ...own, ...shape])[0]
const selected = ["--selection", selection]
const saved = ["--save-selection", selection]
const contenders = contendersOf(values)

// Each of these options makes a comparison of its own.
function checkTogether({ method, order, dense, "default-layout": both }) {
  if (method !== "nasp" && method !== "darts") refuse("method", "nasp or darts", method)
  if (order !== undefined && order !== "first" && order !== "second")
    refuse("order", "first or second", order)
  if (order !== undefined && method !== "darts") refuse("order", "method darts beside it", `method ${method}`)
  if (dense && method === "darts") refuse("dense", "method nasp beside it", "method darts")
  if (both && method === "darts") refuse("default-layout", "method nasp beside it", "method darts")
  if (both && dense) refuse("default-layout", "no dense beside it", "dense")
}

function contendersOf({ method, order, dense, "default-layout": both }) {
  if (method === "darts") {
    const darts = ["--method", "darts", "--order", order]
    return {
      nasp: ours(darts),
      ...(order === "first" && { "nasp, dense": ours(["--dense"]) }),
      torch: torch(darts),
    }
  }
  if (dense) return { nasp: ours(["--dense", ...saved]), torch: torch(["--dense", ...selected]) }
  const released = ["--arch", "released", ...selected]
  return {
    nasp: ours(saved),
    "torch released": torch(released),
    "torch grad": torch(["--arch", "grad", ...selected]),
    "torch sparse": torch(["--arch", "sparse", ...selected]),
    ...(both && { "torch released, default layout": torch(released, "default") }),
  }
}

try {
  const reports = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]))
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const [name, contend] of Object.entries(contenders)) {
      const report = contend()
      reports[name].push(report)
      console.error(`round ${round}, ${name}: ${report.seconds.total.toFixed(3)} s`)
    }
  }
  const mixes = new Set(
    Object.values(reports)
      .flat()
      .map((r) => JSON.stringify(sortedMix(r.selection))),
  )
  if (values.method === "nasp" && mixes.size !== 1)
    throw new Error(`Expected one selection on all sides but found ${[...mixes].join(" and ")}`)

  const results = Object.entries(reports).map(([name, list]) => ({
    name,
    seconds: Object.fromEntries(
      Object.keys(list[0].seconds).map((phase) => [phase, median(list.map((r) => r.seconds[phase]))]),
    ),
    total_of_rounds: list.map((r) => r.seconds.total),
    /** Smallest and largest of all repeats. */
    spread: [
      Math.min(...list.map((r) => r.spread.total[0])),
      Math.max(...list.map((r) => r.spread.total[1])),
    ],
    peak_bytes: median(list.map((r) => r.peak_bytes)),
    machine: list[0].machine,
  }))
  const [first] = results
  console.log(machineLine(first.machine))
  console.log(`selection: ${JSON.stringify(reports.nasp[0].selection)}`)
  console.log(`${"".padEnd(32)} total s (    min,     max)  alpha s weight s  peak GB  time x  memory x`)
  for (const { name, seconds, spread, peak_bytes } of results) {
    const range = spread.map((s) => s.toFixed(3).padStart(7)).join(", ")
    const columns = [seconds.alpha, seconds.weight].map((s) => s.toFixed(3).padStart(8)).join(" ")
    const times = (seconds.total / first.seconds.total).toFixed(2).padStart(7)
    const memory = (peak_bytes / first.peak_bytes).toFixed(2).padStart(9)
    console.log(
      `${name.padEnd(31)} ${seconds.total.toFixed(3).padStart(8)} (${range}) ${columns} ${(peak_bytes / 1e9).toFixed(2).padStart(8)} ${times} ${memory}`,
    )
  }
  writeResults(values, { selection: reports.nasp[0].selection, results })
} finally {
  rmSync(work, { recursive: true, force: true })
}

function sortedMix(selection) {
  return Object.entries(selection).map(([cell, mix]) => [cell, Object.entries(mix).sort()])
}
