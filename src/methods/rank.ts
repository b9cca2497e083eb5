/** Ranking of architectures on validation batches: forward passes only, with running statistics or the batch's own. */
import { integerField } from "../expect.js"
import type { NativeSession } from "../native.js"
import { mixWeights, type Matrices } from "./matrices.js"

/** Options of the methods that rank between epochs. */
export const rankingFields = {
  epochSamples: integerField(10, 1, 100_000, "architectures ranked after each epoch"),
  rankBatches: integerField(10, 1, 10_000, "validation batches that an architecture is ranked on"),
}

export interface Ranking {
  /** Batches a candidate is scored on: the next ones of the series for each, or the same for all. */
  batches: number
  sameBatches?: boolean
  /** The first of them in the series of `rankingBatch`. */
  firstBatch: number
  batchStatistics?: boolean
}

/** A candidate's accuracy over its batches. */
export async function score(
  session: NativeSession,
  rankingBatch: (index: number) => number,
  weights: Matrices,
  { batches, firstBatch, batchStatistics = false }: Ranking,
): Promise<number> {
  mixWeights(session, weights)
  let correct = 0
  let count = 0
  for (let b = 0; b < batches; b++) {
    const result = await session.evaluate(rankingBatch(firstBatch + b), { batchStatistics })
    correct += result.correct
    count += result.count
  }
  return correct / count
}

/** Candidates, best first; the earlier of equals first. */
export async function rank<C>(
  session: NativeSession,
  rankingBatch: (index: number) => number,
  candidates: readonly C[],
  weightsOf: (candidate: C) => Matrices,
  ranking: Ranking,
): Promise<{ candidate: C; accuracy: number }[]> {
  const scored = []
  for (const [i, candidate] of candidates.entries()) {
    const firstBatch = ranking.firstBatch + (ranking.sameBatches ? 0 : i * ranking.batches)
    const accuracy = await score(session, rankingBatch, weightsOf(candidate), { ...ranking, firstBatch })
    scored.push({ candidate, accuracy })
  }
  return scored.sort((a, b) => b.accuracy - a.accuracy)
}
