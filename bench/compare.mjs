#!/usr/bin/env node
// One NASP iteration, this package beside its PyTorch twins: run in turn for some rounds on the same selection, so that
// a slow minute of the machine hits everyone. Prints medians and ratios, writes them with the machine line.
//
//   node bench/compare.mjs --python PYTHON [--rounds 3] [--repeats 5] [--space nasp12] [--batch 64] [--channels 16]
//                          [--layers 8] [--seed 0] [--threads n] [--warmup 2] [--out bench/results/step.json] [--default-layout]
//
// Each run is its own process. The twins run with the allocator tuned (bench/step.py); the package runs as it is.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { flags, median, nasp, twin, twinOptionsOf, writeResults } from "./contenders.mjs"

const values = twinOptionsOf("step", {
  repeats: { type: "string", default: "5" },
  space: { type: "string", default: "nasp12" },
  channels: { type: "string", default: "16" },
  layers: { type: "string", default: "8" },
  seed: { type: "string", default: "0" },
  "default-layout": { type: "boolean", default: false },
})
const work = mkdtempSync(join(tmpdir(), "nasp-bench-"))
const selection = join(work, "alpha.safetensors")
const shape = flags(values, ["space", "batch", "channels", "layers", "seed", "threads", "repeats", "warmup"])

const torch = (arch, layout) => () =>
  twin(values.python, "step.py", ["--arch", arch, "--layout", layout, "--selection", selection, ...shape])[0]
const contenders = {
  nasp: () => nasp(["step", "--save-selection", selection, ...shape])[0],
  "torch released": torch("released", "channels_last"),
  "torch grad": torch("grad", "channels_last"),
  "torch sparse": torch("sparse", "channels_last"),
}
if (values["default-layout"]) contenders["torch released, default layout"] = torch("released", "default")

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
  if (mixes.size !== 1)
    throw new Error(`Expected one selection on all sides but found ${[...mixes].join(" and ")}`)

  const results = Object.entries(reports).map(([name, list]) => ({
    name,
    seconds: Object.fromEntries(
      Object.keys(list[0].seconds).map((phase) => [phase, median(list.map((r) => r.seconds[phase]))]),
    ),
    total_of_rounds: list.map((r) => r.seconds.total),
    peak_bytes: median(list.map((r) => r.peak_bytes)),
    machine: list[0].machine,
  }))
  const ours = results[0]
  console.log(`${ours.machine.cpu}, ${ours.machine.threads} threads, ${ours.machine.isa}`)
  console.log(`selection: ${JSON.stringify(reports.nasp[0].selection)}`)
  console.log(`${"".padEnd(32)} total s  alpha s weight s  peak GB  time x  memory x`)
  for (const { name, seconds, peak_bytes } of results) {
    const columns = [seconds.total, seconds.alpha, seconds.weight]
      .map((s) => s.toFixed(3).padStart(8))
      .join(" ")
    const times = (seconds.total / ours.seconds.total).toFixed(2).padStart(7)
    const memory = (peak_bytes / ours.peak_bytes).toFixed(2).padStart(9)
    console.log(
      `${name.padEnd(31)} ${columns} ${(peak_bytes / 1e9).toFixed(2).padStart(8)} ${times} ${memory}`,
    )
  }
  writeResults(values, { selection: reports.nasp[0].selection, results })
} finally {
  rmSync(work, { recursive: true, force: true })
}

function sortedMix(selection) {
  return Object.entries(selection).map(([cell, mix]) => [cell, Object.entries(mix).sort()])
}
