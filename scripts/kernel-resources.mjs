// node scripts/kernel-resources.mjs: what nvcc makes of every CUDA kernel, on sm_80 and sm_90: registers, shared memory,
// spills. Fails on a spill, on local memory, or on a kernel over its budget. Needs nvcc and a build by `npm run build:cuda`.
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { buildOf, root } from "./emulation-build.mjs"

// Registers a thread: at 256 threads a block, 128 of them leave an SM two blocks. Weight gradients hold a K x K window.
const budgets = {
  depthwise_weight_gradient: 128,
  depthwise_data_gradient: 96,
  depthwise_data_gradient_sums: 96,
  pool_forward: 96,
  other: 80,
}

const { nvcc, includes } = buildOf("kernel-resources")
const folder = join(root, "native/backends/cuda")
const out = mkdtempSync(join(tmpdir(), "nasp-"))
const rows = []
for (const file of readdirSync(folder).filter((name) => name.endsWith(".cu"))) {
  const { status, stderr } = spawnSync(
    nvcc,
    [
      ...[
        "-std=c++20",
        "--expt-relaxed-constexpr",
        "-O3",
        "-Xptxas",
        "-v",
        "-c",
        join(folder, file),
        "-o",
        join(out, "kernel.o"),
      ],
      ...["-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_90,code=sm_90"],
      ...includes.flatMap((path) => ["-I", path]),
    ],
    { encoding: "utf8" },
  )
  if (status !== 0) {
    console.error(stderr)
    process.exit(1)
  }
  const pattern =
    /Compiling entry function '(\S+)' for '(sm_\d+)'[\s\S]*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads[\s\S]*?Used (\d+) registers([^\n]*)/g
  for (const [, mangled, target, stack, stores, loads, registers, rest] of stderr.matchAll(pattern)) {
    rows.push({ file, mangled, target, stack: +stack, spills: +stores + +loads, registers: +registers, rest })
  }
}
rmSync(out, { recursive: true })
const names = spawnSync("c++filt", { input: rows.map((r) => r.mangled).join("\n"), encoding: "utf8" })
const demangled = names.status === 0 ? names.stdout.split("\n") : rows.map((r) => r.mangled)
let bad = 0
console.log("kernel                              target  registers  shared  stack  spills")
rows.forEach((row, i) => {
  const name = /nasp::cuda::(\w+(<[^>]*>)?)/.exec(demangled[i])?.[1] ?? row.mangled
  const budget = budgets[name.split("<")[0]] ?? budgets.other
  const over = row.registers > budget || row.spills > 0 || row.stack > 0
  bad += over ? 1 : 0
  const shared = /(\d+) bytes smem/.exec(row.rest)?.[1] ?? "0"
  const numbers = [row.registers, shared, row.stack, row.spills].map((n) => String(n).padStart(7)).join(" ")
  console.log(
    `${name.padEnd(35)} ${row.target}  ${numbers}${over ? `  OVER (budget ${budget}, no spills)` : ""}`,
  )
})
console.log(`${rows.length} kernels, ${bad} over their budget`)
process.exit(rows.length > 0 && bad === 0 ? 0 : 1)
