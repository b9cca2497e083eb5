/**
 * `nasp verify FILE...`: computes again what golden files hold and prints, per tensor, the largest error relative to
 * that tensor's largest magnitude. Exit code 1 where an error is above the tolerance or a file is not what it should be.
 */
import { Option, type Command } from "commander"

import { worst } from "../golden/compare.js"
import { tolerances, verifyFile } from "../golden/index.js"
import { loadNative, type Precision } from "../native.js"

interface VerifyOptions {
  precision: Precision
  quiet?: boolean
}

export function register(program: Command): void {
  program
    .command("verify")
    .summary("compute golden files again and compare")
    .description(
      "Computes again what golden files (kinds op, nasp-step, nasp-trace) hold and prints, per tensor, the largest " +
        `error relative to that tensor's largest magnitude. Fails above ${tolerances.f32} in f32, ${tolerances.f64} in f64.`,
    )
    .argument("<file...>", "golden files (.safetensors)")
    .addOption(
      new Option("--precision <type>", "scalar type to compute in").choices(["f32", "f64"]).default("f32"),
    )
    .option("--quiet", "one line a file")
    .action(async (files: string[], options: VerifyOptions) => {
      let passed = 0
      for (const file of files) if (await verify(file, options)) passed++
      console.log(`${passed} of ${files.length} files passed (${options.precision})`)
      if (passed < files.length) process.exitCode = 1
    })
}

/** Prints one file's verification; whether it passed. */
async function verify(file: string, { precision, quiet }: VerifyOptions): Promise<boolean> {
  const tolerance = tolerances[precision]
  try {
    const { kind, comparisons } = await verifyFile(loadNative(), file, precision)
    const fails = (error: number) => !(error <= tolerance)
    const bad = comparisons.filter(({ error }) => fails(error))
    for (const { name, error } of quiet ? bad : comparisons) {
      console.log(`  ${error.toExponential(1)}  ${name}${fails(error) ? "  FAILED" : ""}`)
    }
    const largest = worst(comparisons)
    const counts =
      bad.length === 0 ? `${comparisons.length} tensors` : `${bad.length} of ${comparisons.length} tensors`
    const verdict = bad.length === 0 ? "ok" : "FAILED"
    console.log(
      `${verdict} ${file}: ${kind}, ${counts}, largest error ${largest.error.toExponential(1)} (${largest.name})`,
    )
    return bad.length === 0
  } catch (error) {
    console.error(`FAILED ${oneLine(error, file)}`)
    return false
  }
}

function oneLine(error: unknown, file: string): string {
  const message = error instanceof Error ? error.message : String(error)
  return (message.includes(file) ? message : `${file}: ${message}`).replaceAll("\n", " ")
}
