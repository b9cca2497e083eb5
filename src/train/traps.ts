/** Searches that run and find little or nothing: what is said before the first step, and is no reason not to run. */
import { descends, findMethod, type RunningMethod } from "../methods/index.js"
import type { Space } from "../spaces/index.js"
import type { SearchConfig } from "./config.js"

/**
 * @param epochs that the run begins
 * @param trainImages of the training half
 */
export function traps(
  config: SearchConfig,
  space: Space,
  method: RunningMethod,
  { epochs, trainImages }: { epochs: number; trainImages: number },
): string[] {
  const found: string[] = []
  const { hasArchitectureStep = () => true } = method
  if (
    descends(config) &&
    !Array.from({ length: epochs }, (_, epoch) => epoch).some((e) => hasArchitectureStep(e))
  )
    found.push(
      `${config.method} learns alpha in no epoch of this run (${epochs}): the cell it finds is the one it was drawn with`,
    )
  if (config.batch > trainImages)
    found.push(
      `a batch of ${config.batch} is more than the ${trainImages} images of the training half: every epoch is one step of all of them`,
    )
  const startsAtNone = [space.normal, space.reduce].some(([first]) => first === "none")
  if (findMethod(config.method).selects && config.options.alphaNoise === 0 && startsAtNone)
    found.push(
      `${config.method} starts with the first operation of every row, in space ${space.name} none: nothing is passed on, and alpha has no gradient to leave it by (alphaNoise, or another space)`,
    )
  return found
}
