#!/usr/bin/env node
// What an iteration of NASP costs as its work grows: with the batch, the cells, the operations, the threads, and in
// memory. Every case is a process of its own; all run in turn for some rounds, and medians are compared.
//
//   node bench/growth.mjs [--rounds 3] [--repeats 3] [--out bench/results/growth.json]
//
// Every edge selects sep_conv_3x3 or dil_conv_3x3 by turns, in every case, so that only what is said to grow grows.
import { cpus } from "node:os"
import { performance } from "node:perf_hooks"
import { fileURLToPath } from "node:url"
import { machineLine } from "../dist/bench/machine.js"
import { findSpace, loadNative } from "../dist/index.js"
import { median, optionsOf, run, writeResults } from "./contenders.mjs"

const values = optionsOf("growth", {
  repeats: { type: "string", default: "3" },
  case: { type: "string" }, // of a process of one case: its options, JSON
})
const repeats = Number(values.repeats)
const selected = ["sep_conv_3x3", "dil_conv_3x3"]
const edges = 14

/** One case: seconds of the two steps, and the process's largest resident size. `only` weights: no architecture step. */
async function measure({ batch = 64, layers = 8, threads = 0, operations = "nasp12-all", only }) {
  const names = Array.isArray(operations) ? operations : [...findSpace(operations).normal]
  const native = loadNative()
  const session = new native.Session({
    ...{ channels: 16, layers, classes: 10, imageSize: 32, imageChannels: 3, batch, threads },
    ...{ normal: names, reduce: names, precision: "f32", isa: "", dense: false, seed: 0 },
  })
  const alpha = new Float32Array(edges * names.length).fill(0.5)
  for (let row = 0; row < edges; row++) alpha[row * names.length + names.indexOf(selected[row % 2])] = 0.9
  for (const type of ["normal", "reduce"]) session.write(`alphas_${type}`, alpha)
  session.discretise({ value: "one", edges: "two", epsilon: 0, counter: 0 })
  const x = Float32Array.from(native.normals(0, 0, batch * 3 * 32 * 32))
  const targets = Int32Array.from({ length: batch }, (_, i) => i % 10)
  const load = () => session.load(x, targets)
  const weights = {
    ...{ lr: 0.025, momentum: 0.9, weightDecay: 3e-4, clip: 5, unselected: "skipped", apply: true },
  }
  const seconds = { architecture: [], weights: [] }
  for (let i = -1; i < repeats; i++) {
    const start = performance.now()
    if (only !== "weights") await session.architectureGradient(load())
    const middle = performance.now()
    await session.weightStep(load(), weights)
    if (i < 0) continue
    seconds.architecture.push((middle - start) / 1000)
    seconds.weights.push((performance.now() - middle) / 1000)
  }
  const parameters = session
    .tensors()
    .filter((t) => t.group === "parameter")
    .reduce((sum, t) => sum + t.shape.reduce((a, b) => a * b, 1), 0)
  const { isa } = session.options
  const used = session.options.threads
  session.dispose()
  const flops = names.reduce((sum, op) => sum + 2 * native.operationCost(op, 16, 32, 1).multiplyAdds, 0)
  return {
    architecture: median(seconds.architecture),
    weights: median(seconds.weights),
    total: median(seconds.architecture.map((s, i) => s + seconds.weights[i])),
    peak_bytes: process.resourceUsage().maxRSS * 1024,
    parameter_bytes: 4 * parameters,
    mflop_an_edge: flops / 1e6,
    threads: used,
    machine: machineLine({ cpu: cpus()[0]?.model, threads: used, isa }),
  }
}

if (values.case) {
  console.log(JSON.stringify(await measure(JSON.parse(values.case))))
  process.exit()
}

const cases = {
  base: {},
  "batch 32": { batch: 32 },
  "batch 128": { batch: 128 },
  "batch 256": { batch: 256 },
  "14 cells": { layers: 14 },
  "20 cells": { layers: 20 },
  "1 thread": { threads: 1 },
  "2 operations": { operations: selected },
  nasp12: { operations: "nasp12" },
  darts7: { operations: "darts7" },
  "weight step alone": { only: "weights" },
}
const runs = Object.fromEntries(Object.keys(cases).map((name) => [name, []]))
for (let round = 1; round <= Number(values.rounds); round++) {
  for (const [name, one] of Object.entries(cases)) {
    const args = [
      fileURLToPath(import.meta.url),
      ...["--repeats", values.repeats, "--case", JSON.stringify(one)],
    ]
    runs[name].push(...run(process.execPath, args))
    console.error(`round ${round}, ${name}: ${runs[name].at(-1).total.toFixed(3)} s`)
  }
}
const of = (name, field) => median(runs[name].map((run) => run[field]))
const ratio = (a, b) => (a / b).toFixed(2)
const lines = [
  [
    "ms an image at batch 32, 64, 128, 256",
    [32, 64, 128, 256].map((n) => ((1000 * of(n === 64 ? "base" : `batch ${n}`, "total")) / n).toFixed(2)),
  ],
  [
    "seconds with 8, 14, 20 cells",
    ["base", "14 cells", "20 cells"].map((name) => of(name, "total").toFixed(2)),
  ],
  [
    "seconds of 6 more cells, twice",
    [of("14 cells", "total") - of("base", "total"), of("20 cells", "total") - of("14 cells", "total")].map(
      (s) => s.toFixed(2),
    ),
  ],
  [
    "architecture step, seconds: 2, 7, 8, 12 operations",
    ["2 operations", "darts7", "nasp12", "base"].map((name) => of(name, "architecture").toFixed(2)),
  ],
  [
    "  their products, MFLOP an edge and image at C 16",
    ["2 operations", "darts7", "nasp12", "base"].map((name) => of(name, "mflop_an_edge").toFixed(1)),
  ],
  [
    "weight step, seconds, same selection of 2, 7, 8, 12",
    ["2 operations", "darts7", "nasp12", "base"].map((name) => of(name, "weights").toFixed(3)),
  ],
  [`1 thread over ${runs.base[0].threads}`, [ratio(of("1 thread", "total"), of("base", "total"))]],
  [
    "peak memory, MB: weight step alone, whole step, all weights",
    [of("weight step alone", "peak_bytes"), of("base", "peak_bytes"), of("base", "parameter_bytes")].map(
      (b) => (b / 1e6).toFixed(0),
    ),
  ],
  ["peak memory: nasp12-all over nasp12", [ratio(of("base", "peak_bytes"), of("nasp12", "peak_bytes"))]],
]
console.log(runs.base[0].machine)
for (const [what, figures] of lines) console.log(`${what.padEnd(62)} ${figures.join("  ")}`)
writeResults(values, { machine: runs.base[0].machine, figures: Object.fromEntries(lines), runs })
