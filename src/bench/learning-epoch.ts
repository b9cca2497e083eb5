/** Timed steps are those of the first epoch with architecture steps: nothing is pruned yet, no later stage has begun. */
import { resolveFields } from "../expect.js"
import type { MethodSettings, RunningMethod } from "../methods/index.js"
import { searchFields } from "../train/config.js"

// Of the schedule that a timed step belongs to.
const timedEpochs = 100_000

/** That epoch; 0 where there is none. */
export function learningEpoch({
  hasArchitectureStep = () => true,
}: Pick<RunningMethod, "hasArchitectureStep">): number {
  for (let epoch = 0; epoch < timedEpochs; epoch++) if (hasArchitectureStep(epoch)) return epoch
  return 0
}

/** Of the weights, where a step is timed. */
export const timedLr = searchFields.lr.initial

/** A search's settings, with an alpha that stays where it is. */
export function timedSettings(net: Pick<MethodSettings, "channels" | "layers" | "seed">): MethodSettings {
  return { ...resolveFields(searchFields, {}), ...net, epochs: timedEpochs, archLr: 0 }
}
