/**
 * Sampled architectures: each node of a cell takes two inputs and an operation for each. What random search and ENAS
 * train, rank and find, as entries of the matrices; both may lie on one row.
 */
import { cellTypes, eachType, edges, nodes, rowsOfNode, type CellType, type Space } from "../spaces/index.js"
import type { NativeAddon } from "../native.js"
import type { Matrices } from "./matrices.js"

/** Two a node: the row (edge) and the column (operation). */
export type Sample = Record<CellType, { row: number; column: number }[]>

/** How often a sample takes each entry. */
export function matricesOfSample(space: Space, sample: Sample): Matrices {
  return eachType((type) => {
    const columns = space[type].length
    const d = new Float64Array(columns * edges)
    for (const { row, column } of sample[type]) d[row * columns + column]! += 1
    return d
  })
}

/**
 * Two distinct inputs a node and two operations, uniformly (liamcli/randomNAS_release, sample_arch): draw `counter` of
 * the substream.
 */
export function randomSample(
  addon: NativeAddon,
  space: Space,
  seed: number,
  substream: number,
  counter: number,
): Sample {
  const draws = addon.uniforms(seed, substream, counter, cellTypes.length * nodes * 4)
  let next = 0
  const below = (n: number) => Math.floor(draws[next++]! * n)
  return eachType((type) =>
    Array.from({ length: nodes }, (_, node) => {
      const { first, count } = rowsOfNode(node)
      const a = below(count)
      const b = below(count - 1)
      const inputs = [a, b < a ? b : b + 1].sort((x, y) => x - y)
      return inputs.map((input) => ({ row: first + input, column: below(space[type].length) }))
    }).flat(),
  )
}
