#!/usr/bin/env node
// Each operation, this package beside PyTorch in both layouts, in turn for some rounds. Prints medians, the ratio to
// PyTorch's better layout, and what is below --floor; writes them with the machine.
//
//   node bench/compare-ops.mjs --python PYTHON [--rounds 3] [--repeats 7] [--batch 64] [--threads n] [--warmup 2] [--op NAME]
//                              [--floor 3] [--out bench/results/ops.json]
//
// Each run is its own process. The twin (bench/ops.py) runs with the allocator tuned; the package runs as it is.
import { cpus } from "node:os"
import { flags, median, nasp, twin, twinOptionsOf, writeResults } from "./contenders.mjs"

const values = twinOptionsOf("ops", {
  repeats: { type: "string", default: "7" },
  op: { type: "string" },
  floor: { type: "string", default: "3" },
})
const shared = flags(values, ["batch", "threads", "repeats", "warmup", "op"])

const torch = (layout) => () => twin(values.python, "ops.py", ["--layout", layout, ...shared])
const contenders = {
  nasp: () => nasp(["ops", ...shared]),
  channels_last: torch("channels_last"),
  default: torch("default"),
}

const machine = { cpu: cpus()[0]?.model, threads: 0 }
const key = (r) => [r.op, r.pass, r.channels, r.size, r.stride].join(" ")
const times = new Map() // key -> contender -> ms of each round
const shares = new Map() // key -> ours
for (let round = 1; round <= Number(values.rounds); round++) {
  for (const [name, contend] of Object.entries(contenders)) {
    for (const row of contend()) {
      const sides = times.get(key(row)) ?? {}
      ;(sides[name] ??= []).push(row.ms)
      times.set(key(row), sides)
      if (name !== "nasp") continue
      shares.set(key(row), [...(shares.get(key(row)) ?? []), row.share])
      machine.threads = row.threads
    }
    console.error(`round ${round}, ${name}`)
  }
}

const results = []
for (const [name, sides] of times) {
  if (!sides.nasp || !sides.channels_last || !sides.default) continue
  const [op, pass, channels, size, stride] = name.split(" ")
  const ms = median(sides.nasp)
  const torch = Math.min(median(sides.channels_last), median(sides.default))
  results.push({
    ...{ op, pass, channels: Number(channels), size: Number(size), stride: Number(stride) },
    ...{ ms, torch_ms: torch, ratio: torch / ms, share: median(shares.get(name)), rounds: sides },
  })
}
console.log(`${"operation".padEnd(14)} pass      C size s       ms  PyTorch   ratio  share`)
for (const r of results) {
  const numbers = [
    r.ms.toFixed(3).padStart(8),
    r.torch_ms.toFixed(3).padStart(8),
    r.ratio.toFixed(2).padStart(7),
  ]
  const where = `${r.op.padEnd(14)} ${r.pass.padEnd(8)} ${String(r.channels).padStart(2)} ${String(r.size).padStart(4)} ${r.stride}`
  console.log(`${where} ${numbers.join(" ")} ${r.share.toFixed(2).padStart(6)}`)
}
const both = results.filter((r) => r.pass === "both")
const below = both.filter((r) => r.ratio < Number(values.floor))
console.log(
  `forward + backward: median ratio ${median(both.map((r) => r.ratio)).toFixed(2)}, ` +
    `smallest ${Math.min(...both.map((r) => r.ratio)).toFixed(2)}; ${below.length} of ${both.length} below ${values.floor}`,
)
writeResults(values, { machine, results })
