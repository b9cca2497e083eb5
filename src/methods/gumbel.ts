/** Gumbel noise for the matrices of both cell types, a fresh draw a counter. */
import type { NativeAddon } from "../native.js"
import { eachType, edges, type Space } from "../spaces/index.js"
import type { Matrices } from "./matrices.js"
import { substreams } from "./substreams.js"

/** Standard Gumbel, (14, K) each. */
export function gumbels(addon: NativeAddon, space: Space, seed: number, counter: number): Matrices {
  return eachType((type) =>
    addon
      .uniforms(seed, substreams[type], counter, edges * space[type].length)
      .map((u) => -Math.log(-Math.log(u))),
  )
}

export function sum(a: Matrices, b: Matrices): Matrices {
  return eachType((type) => a[type].map((v, i) => v + b[type][i]!))
}
