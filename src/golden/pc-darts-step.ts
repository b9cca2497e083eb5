/**
 * Kind `pc-darts-step`: the net with partial channels at softmax(logits_alpha) and, over each node's edges,
 * softmax(logits_beta), on batch 0: loss and logits, dL/dlogits_alpha and dL/dlogits_beta, and the weights' gradients
 * before clipping.
 */
import { gradientThroughPartial, mixPartial } from "../methods/pc-darts.js"
import type { NativeAddon, Precision } from "../native.js"
import { cellTypes, edges, findSpace } from "../spaces/index.js"
import type { GoldenFile } from "./file.js"
import type { Recomputed } from "./index.js"
import { loadBatch, logitsOfAlpha, openSession } from "./supernet.js"

export async function recomputePcDarts(
  addon: NativeAddon,
  file: GoldenFile,
  precision: Precision,
): Promise<Recomputed> {
  const found: Recomputed = new Map()
  const space = findSpace(file.text("space"))
  const alpha = logitsOfAlpha(file, space)
  const beta = {
    normal: file.values("logits_beta.normal", [edges]),
    reduce: file.values("logits_beta.reduce", [edges]),
  }
  const session = openSession(addon, file, precision, alpha)
  try {
    const mixture = mixPartial({ session, space }, alpha, beta)
    await session.architectureGradient(loadBatch(session, file, 0))
    const gradient = gradientThroughPartial({ session, space }, mixture)
    for (const type of cellTypes) {
      found.set(`grad.alpha.${type}`, gradient.alpha[type])
      found.set(`grad.beta.${type}`, gradient.beta[type])
    }
    const { loss, logits } = await session.weightStep(loadBatch(session, file, 0), {
      ...{ lr: 0, momentum: 0, weightDecay: 0, clip: 0, unselected: "skipped", apply: false },
    })
    found.set("loss", [loss])
    found.set("logits", logits)
    for (const { name, group } of session.tensors()) {
      if (group === "parameter") found.set(`grad.w.${name}`, session.read(`grad.${name}`))
    }
    return found
  } finally {
    session.dispose()
  }
}
