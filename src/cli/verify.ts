/**
 * `nasp verify FILE...`: computes again what golden files hold and prints, per tensor, the largest error relative to
 * that tensor's largest magnitude. Exit code 1 where an error is above the tolerance or a file is not what it should be.
 * In f32 a tensor of a supernet that misses the tolerance may meet it on nearby inputs (golden/nearby.ts); its error on
 * the file's own inputs is printed all the same, and the file's line and the last one say so.
 */
import type { Command } from "commander"

import { onDevice, placeField } from "../device.js"
import { choiceField, resolveFields, type FieldValues } from "../expect.js"
import { worst, type Comparison } from "../golden/compare.js"
import { tolerances, verifyFile, type Verification } from "../golden/index.js"
import { meets, nearbyTries } from "../golden/nearby.js"
import { loadNative } from "../native.js"
import { addFlags, givenOf } from "./flags.js"

const verifyFields = {
  precision: choiceField("f32", ["f32", "f64"], "scalar type to compute in"),
  device: placeField,
}

interface VerifyOptions extends FieldValues<typeof verifyFields> {
  quiet?: boolean
  ownInputs?: boolean
}

export function register(program: Command): void {
  const command = program
    .command("verify")
    .summary("compute golden files again and compare")
    .description(
      "Computes again what golden files (kinds op, nasp-step, nasp-trace, darts-step, pc-darts-step) hold and prints, per tensor, the largest " +
        `error relative to that tensor's largest magnitude. Fails above ${tolerances.f32} in f32, ${tolerances.f64} in f64. ` +
        "In f32, where one element within a rounding of a kink (ReLU, max pool) decides a gradient, a supernet's " +
        `file that misses is computed again on up to ${nearbyTries} nearby inputs (every input and weight moved by two ` +
        "units in the last place at most, from a fixed seed): a tensor passes if it meets the same tolerance in one " +
        "of these runs, and the file's line says so. Never in f64. Second-order gradients (finite differences across " +
        "kinks) are printed in f32 and judged in f64.",
    )
    .argument("<file...>", "golden files (.safetensors)")
  addFlags(command, verifyFields)
    .option("--own-inputs", "judge f32 on the file's own inputs alone, kinks or not")
    .option("--quiet", "one line a file")
    .action(async (files: string[], given: Pick<VerifyOptions, "quiet" | "ownInputs">) => {
      const options: VerifyOptions = {
        ...given,
        ...resolveFields(verifyFields, givenOf(verifyFields, given)),
      }
      const outcomes: Outcome[] = []
      for (const file of files) outcomes.push(await verify(file, options))
      const passed = outcomes.filter((o) => o !== "failed").length
      const nearby = outcomes.filter((o) => o === "nearby").length
      const note = nearby > 0 ? `, ${nearby} of them only with nearby inputs` : ""
      const where = options.device === "cpu" ? "" : `, ${options.device}`
      console.log(`${passed} of ${files.length} files passed (${options.precision}${where})${note}`)
      if (passed < files.length) process.exitCode = 1
    })
}

type Outcome = "passed" | "nearby" | "failed"

/** Prints one file's verification. */
async function verify(
  file: string,
  { precision, device, quiet, ownInputs }: VerifyOptions,
): Promise<Outcome> {
  const tolerance = tolerances[precision]
  try {
    const addon = onDevice(loadNative(), device)
    const verification = await verifyFile(addon, file, precision, { ownInputs: ownInputs === true })
    const bad = verification.comparisons.filter((c) => !meets(c, tolerance))
    for (const comparison of quiet ? bad : verification.comparisons)
      console.log(tensorLine(comparison, tolerance))
    console.log(fileLine(file, verification, tolerance))
    if (bad.length > 0) return "failed"
    return verification.tries > 0 ? "nearby" : "passed"
  } catch (error) {
    console.error(`FAILED ${oneLine(error, file)}`)
    return "failed"
  }
}

function tensorLine(comparison: Comparison, tolerance: number): string {
  const { name, error, nearby, unjudged } = comparison
  if (unjudged && Number.isFinite(error)) return `  ${error.toExponential(1)}  ${name}  not judged in f32`
  const elsewhere = nearby === undefined ? "" : `  ${nearby.toExponential(1)} on nearby inputs`
  return `  ${error.toExponential(1)}  ${name}${elsewhere}${meets(comparison, tolerance) ? "" : "  FAILED"}`
}

function fileLine(file: string, verification: Verification, tolerance: number): string {
  const { kind, tries } = verification
  const comparisons = verification.comparisons.filter((c) => !(c.unjudged && Number.isFinite(c.error)))
  const largest = (of: readonly Comparison[]) => {
    if (of.length === 0) return "no error"
    const { error, name } = worst(of)
    return `largest error ${error.toExponential(1)} (${name})`
  }
  const count = `${tries} ${tries === 1 ? "try" : "tries"}`
  const bad = comparisons.filter((c) => !meets(c, tolerance))
  if (bad.length > 0) {
    const tried = tries > 0 ? `; not met on nearby inputs either (${count})` : ""
    return `FAILED ${file}: ${kind}, ${bad.length} of ${comparisons.length} tensors, ${largest(bad)}${tried}`
  }
  const kinked = comparisons.filter((c) => !(c.error <= tolerance))
  const line = `ok ${file}: ${kind}, ${comparisons.length} tensors, ${largest(comparisons.filter((c) => !kinked.includes(c)))}`
  if (kinked.length === 0) return line
  const tensors = kinked.length === 1 ? "1 tensor" : `${kinked.length} tensors`
  return `${line}; ${tensors} on a float32 kink: met on nearby inputs only (${count}), on the file's own ${largest(kinked)}`
}

function oneLine(error: unknown, file: string): string {
  const message = error instanceof Error ? error.message : String(error)
  return (message.includes(file) ? message : `${file}: ${message}`).replaceAll("\n", " ")
}
