/** Timed steps are those of the first epoch in which alpha learns: nothing is pruned yet, no later stage has begun. */
import type { RunningMethod } from "../methods/index.js"

/** Epochs of the schedule that a timed step belongs to. */
export const timedEpochs = 100_000

/** That epoch; 0 where alpha learns in none. */
export function learningEpoch({ learnsAlpha = () => true }: Pick<RunningMethod, "learnsAlpha">): number {
  for (let epoch = 0; epoch < timedEpochs; epoch++) if (learnsAlpha(epoch)) return epoch
  return 0
}
