/** The whole validation half through the net of the session, or through the net that would be derived from it. */
import type { ValidationFigure } from "../data/halves.js"
import { matricesOfGenotype } from "../derive.js"
import type { RunningMethod } from "../methods/index.js"
import { mixWeights, type Matrices } from "../methods/matrices.js"
import type { NativeSession } from "../native.js"
import { cellTypes, edges, type Space } from "../spaces/index.js"
import type { Batches } from "./batches.js"
import type { DerivedFigures } from "./events.js"
import { addBatch, means, noTotals } from "./epoch-totals.js"

export interface EvaluationParts {
  space: Space
  session: NativeSession
  method: RunningMethod
  batches: Batches
}

/** Training transform; running statistics, or each batch's own. */
export async function evaluate(
  { session, batches }: EvaluationParts,
  epoch: number,
  batchStatistics = false,
): Promise<{ loss: number; accuracy: ValidationFigure }> {
  const totals = noTotals()
  let queued = batches.queueValidation(epoch, 0)
  for (let b = 0; b < batches.validationBatches; b++) {
    const current = queued
    if (b + 1 < batches.validationBatches) queued = batches.queueValidation(epoch, b + 1)
    addBatch(totals, await session.evaluate(current, { batchStatistics }))
  }
  return means(totals)
}

/**
 * The genotype that the method would return, as a net of one operation an edge and two edges a node, with the
 * searched weights, beside the searched net. The searched net is put back.
 */
export async function evaluateDerived(parts: EvaluationParts, epoch: number): Promise<DerivedFigures> {
  const { session, method, space } = parts
  const { searched } = method.derive()
  const searchedBatch = await evaluate(parts, epoch, true)
  try {
    mixDerived(session, matricesOfGenotype(space, searched))
    const derived = await evaluate(parts, epoch)
    const derivedBatch = await evaluate(parts, epoch, true)
    return {
      ...derived,
      batch_accuracy: derivedBatch.accuracy,
      searched_batch_accuracy: searchedBatch.accuracy,
    }
  } finally {
    method.derive()
  }
}

// Partial channels: what passes an edge by does so once for each of its operations, so nothing where there is none.
function mixDerived(session: NativeSession, matrices: Matrices): void {
  mixWeights(session, matrices)
  if ((session.options.partialChannels ?? 1) === 1) return
  for (const type of cellTypes) {
    const columns = matrices[type].length / edges
    const operations = (edge: number) =>
      matrices[type].subarray(edge * columns, (edge + 1) * columns).reduce((sum, times) => sum + times, 0)
    session.setBypass(
      type,
      Float64Array.from({ length: edges }, (_, edge) => operations(edge)),
    )
  }
}
