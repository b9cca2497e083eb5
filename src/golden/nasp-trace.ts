/** Kind `nasp-trace`: iterations of NASP; iteration i validates on batch 2i + 1 and trains on 2i, modulo their number. */
import type { NativeAddon, Precision } from "../native.js"
import type { GoldenFile } from "./file.js"
import type { Recomputed } from "./index.js"
import { alphaOptions, loadBatch, openSession, weightOptions } from "./supernet.js"
import { cellTypes } from "../spaces/index.js"

export async function recomputeTrace(
  addon: NativeAddon,
  file: GoldenFile,
  precision: Precision,
): Promise<Recomputed> {
  const iterations = file.integer("iterations")
  const batches = file.names("input.").length
  const alphaLosses: number[] = []
  const weightLosses: number[] = []
  const matrices: number[] = []
  const session = openSession(addon, file, precision)
  try {
    for (let i = 0; i < iterations; i++) {
      alphaLosses.push(
        (await session.architectureGradient(loadBatch(session, file, (2 * i + 1) % batches))).loss,
      )
      session.updateAlpha(alphaOptions(file))
      const options = { ...weightOptions(file), apply: true }
      weightLosses.push((await session.weightStep(loadBatch(session, file, (2 * i) % batches), options)).loss)
      for (const type of cellTypes) matrices.push(...session.read(`alphas_${type}`))
    }
  } finally {
    session.dispose()
  }
  return new Map([
    ["trace.alpha_loss", alphaLosses],
    ["trace.weight_loss", weightLosses],
    ["trace.alpha", matrices],
  ])
}
