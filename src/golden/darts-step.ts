/**
 * Kind `darts-step`: the architecture gradient of DARTS at softmax(logits_alpha) on validation batch 1, first order, and
 * second order with training batch 0, the file's momentum and a step of the file's lr; dL/dlogits_alpha both.
 */
import { firstOrder, secondOrder } from "../methods/darts.js"
import { gradientThrough, relax } from "../methods/relaxed.js"
import { inPrecision } from "../methods/matrices.js"
import type { NativeAddon, Precision } from "../native.js"
import { cellTypes, findSpace } from "../spaces/index.js"
import type { GoldenFile } from "./file.js"
import type { Recomputed } from "./index.js"
import { loadBatch, logitsOfAlpha, openSession } from "./supernet.js"

export async function recomputeDarts(
  addon: NativeAddon,
  file: GoldenFile,
  precision: Precision,
): Promise<Recomputed> {
  const found: Recomputed = new Map()
  const space = findSpace(file.text("space"))
  const alpha = logitsOfAlpha(file, space)
  const session = openSession(addon, file, precision, alpha)
  try {
    for (const { name, group, shape } of session.tensors()) {
      if (group === "momentum") session.write(name, inPrecision(precision, file.values(name, shape)))
    }
    const weights = relax(session, space, alpha)
    const through = () => gradientThrough(session, space, weights)
    const settings = {
      lr: file.number("lr"),
      momentum: file.number("momentum"),
      weightDecay: file.number("weight_decay"),
    }
    const orders = {
      first: () => firstOrder(session, loadBatch(session, file, 1), through),
      second: () =>
        secondOrder(session, loadBatch(session, file, 1), loadBatch(session, file, 0), settings, through),
    }
    for (const [order, run] of Object.entries(orders)) {
      const { result, gradient } = await run()
      found.set(`${order}.loss`, [result.loss])
      for (const type of cellTypes) found.set(`${order}.grad.${type}`, gradient[type])
    }
    return found
  } finally {
    session.dispose()
  }
}
