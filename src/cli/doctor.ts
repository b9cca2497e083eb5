/** `nasp doctor`: what was built, what was chosen, and why anything is absent. */
import type { Command } from "commander"

import { loadNative } from "../native.js"
import { version } from "../version.js"

export function register(program: Command): void {
  program
    .command("doctor")
    .description("what was built, what was chosen, and why anything is absent")
    .option("--json", "one JSON object")
    .allowExcessArguments(false)
    .action(run)
}

function run({ json }: { json?: boolean }): void {
  const native = loadNative()
  const info = native.info()
  const cuda = native.cudaStatus()
  const node = { node: process.version, platform: `${process.platform}-${process.arch}` }
  if (json) {
    console.log(JSON.stringify({ version, ...node, engine: info, cuda }))
    return
  }
  const absent = info.built.filter((isa) => !info.available.includes(isa))
  const forced = process.env.NASP_ISA ? ` (NASP_ISA=${process.env.NASP_ISA})` : ""
  const rows = [
    ["nasp", version],
    ["node", `${node.node}, ${node.platform}`],
    ["engine", `${info.version}, ${info.compiler}`],
    ["instruction sets", `built: ${info.built.join(", ")}`],
    ["", `chosen: ${info.chosen}${forced}`],
    ...(absent.length > 0 ? [["", `not on this machine: ${absent.join(", ")}`]] : []),
    ["bf16 probes", info.bf16Probes ? "yes (--probe-precision bf16)" : "no: they need AVX512-BF16"],
    ["threads", `${info.threads} (what affinity and quota leave this process)`],
    ["cuda", cuda.device ?? `none: ${cuda.absence ?? "unknown"}`],
    ...(cuda.libraries === null ? [] : [["", cuda.libraries]]),
  ]
  console.log(rows.map(([name = "", text = ""]) => `${name.padEnd(18)}${text}`).join("\n"))
}
