/**
 * Kind `nasp-step`: one architecture step on batch 1, then one weight step on batch 0 at the new matrices.
 *
 * Two nets: `both` goes through both steps and is then evaluated on batch 1; `alone` takes only the weight step's
 * gradient, from fresh running statistics at the new matrices, before clipping.
 */
import type { NativeAddon, Precision } from "../native.js"
import type { GoldenFile } from "./file.js"
import type { Recomputed } from "./index.js"
import { alphaOptions, loadBatch, openSession, regulariser, weightOptions } from "./supernet.js"
import { cellTypes } from "../spaces/index.js"

export async function recomputeStep(
  addon: NativeAddon,
  file: GoldenFile,
  precision: Precision,
): Promise<Recomputed> {
  const found: Recomputed = new Map()
  const after = { normal: new Float64Array(0), reduce: new Float64Array(0) }

  const both = openSession(addon, file, precision)
  try {
    for (const type of cellTypes) found.set(`selected.${type}`, both.read(`selected.alphas_${type}`))
    found.set("alpha_step.loss", [(await both.architectureGradient(loadBatch(both, file, 1))).loss])
    for (const type of cellTypes) found.set(`alpha_step.grad.${type}`, both.read(`grad.alphas_${type}`))
    addRegulariser(found, file)
    both.updateAlpha(alphaOptions(file))
    for (const type of cellTypes) {
      after[type] = Float64Array.from(both.read(`alphas_${type}`))
      found.set(`alpha_after.${type}`, after[type])
    }
    await both.weightStep(loadBatch(both, file, 0), { ...weightOptions(file), apply: true })
    for (const { name, group } of both.tensors()) {
      if (group === "parameter") found.set(`w_after.${name}`, both.read(name))
      if (group === "buffer") found.set(`buffers_after_both.${name}`, both.read(name))
    }
    found.set("eval_logits_after", (await both.evaluate(loadBatch(both, file, 1))).logits)
  } finally {
    both.dispose()
  }

  const alone = openSession(addon, file, precision, after)
  try {
    const step = await alone.weightStep(loadBatch(alone, file, 0), { ...weightOptions(file), apply: false })
    found.set("weight_step.logits", step.logits)
    found.set("weight_step.loss", [step.loss])
    found.set("weight_step.grad_norm", [step.gradientNorm])
    for (const { name, group } of alone.tensors()) {
      if (group === "buffer") found.set(`buffers_after.${name}`, alone.read(name))
      // Only what the file holds: unselected weights have no gradient.
      if (group === "parameter" && file.tensors.has(`weight_step.grad.${name}`)) {
        found.set(`weight_step.grad.${name}`, alone.read(`grad.${name}`))
      }
    }
  } finally {
    alone.dispose()
  }
  return found
}

/** The file's gradient holds the regulariser's part, 2 * eta * cost_k * D[r, k]; the engine adds it in the update. */
function addRegulariser(found: Recomputed, file: GoldenFile): void {
  const { eta, cost } = regulariser(file)
  if (eta === 0) return
  const selected = found.get("selected.normal")!
  const gradient = Float64Array.from(found.get("alpha_step.grad.normal")!)
  found.set(
    "alpha_step.grad.normal",
    gradient.map((g, i) => g + 2 * eta * cost[i % cost.length]! * selected[i]!),
  )
}
