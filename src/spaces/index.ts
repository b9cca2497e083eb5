/**
 * Search spaces: the candidate operations of the two cell types, in the order of the columns of alpha. The order
 * matters: ties go to the first operation. A new space is one table file and one line here.
 */
import { oneOf, invalid } from "../expect.js"
import { darts } from "./darts.js"
import { darts7 } from "./darts7.js"
import { darts7Split } from "./darts7-split.js"
import { nasp12 } from "./nasp12.js"
import { nasp12All } from "./nasp12-all.js"

export interface Space {
  name: string
  about: string
  /** Canonical operation names, one a column of alphas_normal (14, K). */
  normal: readonly string[]
  /** The same of alphas_reduce. */
  reduce: readonly string[]
}

/** Nodes of a cell between its two inputs and its output. */
export const nodes = 4
/** Edges of a cell: node i has i + 2 predecessors. Edge order: node 0: inputs 0, 1; node 1: 0, 1, 2; and so on. */
export const edges = 14

export const spaces: readonly Space[] = [nasp12, nasp12All, darts7, darts7Split, darts]

/** Rows of alpha that are the edges into a node: the first one and how many. */
export function rowsOfNode(node: number): { first: number; count: number } {
  return { first: (node * (node + 3)) / 2, count: node + 2 }
}

export const cellTypes = ["normal", "reduce"] as const
export type CellType = (typeof cellTypes)[number]

export function eachType<T>(make: (type: CellType) => T): Record<CellType, T> {
  return { normal: make("normal"), reduce: make("reduce") }
}

/** @throws NaspError ERR_NASP_ARGUMENT */
export function findSpace(name: string): Space {
  const space = spaces.find((s) => s.name === name)
  if (!space) throw invalid("space", oneOf(spaces.map((s) => s.name)), name)
  return space
}
