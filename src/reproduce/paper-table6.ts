/** Table 6 as the paper prints it: seconds an epoch (CIFAR-10, 25,000 images, their GPU), error and parameters. */
import type { Side } from "./sides.js"

/** Seconds an epoch of 25,000 images. */
export interface EpochSeconds {
  /** Update of alpha; null where the row's is of the other order. */
  alpha_first: number | null
  alpha_second: number | null
  /** Update of the weights; null where it is not printed. */
  forward: number | null
  backward: number | null
  /** Waiting for batches, and everything else. */
  data: number | null
  overhead: number | null
  total: number | null
}

export interface PaperRow extends EpochSeconds {
  /** total less the printed columns: data and overhead there. */
  unlisted: number | null
  /** %, on the test set, of the net that is trained in the end. */
  error: number | null
  /** Millions, of that net. */
  parameters: number | null
}

interface Line {
  first: number
  second: number | null
  forward: number
  backward: number
  total: number
  error: number
  parameters: number
}

const lines: Record<string, Record<number, Line>> = {
  darts: {
    7: { first: 270, second: 1315, forward: 103, backward: 162, total: 1693, error: 2.76, parameters: 3.3 },
    12: { first: 489, second: 2381, forward: 187, backward: 293, total: 3060, error: 3.0, parameters: 8.4 },
  },
  nasp: {
    7: { first: 176, second: null, forward: 25, backward: 31, total: 343, error: 2.8, parameters: 3.3 },
    12: { first: 303, second: null, forward: 32, backward: 15, total: 483, error: 2.5, parameters: 7.4 },
  },
}

const blank: PaperRow = {
  alpha_first: null,
  alpha_second: null,
  forward: null,
  backward: null,
  data: null,
  overhead: null,
  total: null,
  unlisted: null,
  error: null,
  parameters: null,
}

/**
 * The paper's numbers for a side in a space of so many operations; nulls where it prints none. Its line of DARTS holds
 * both orders: total, error and parameters there are those of the second.
 */
export function paperRow(side: Side, operations: number): PaperRow {
  const line = lines[side.method]?.[operations]
  if (!line) return blank
  const { first, second, forward, backward, total, error, parameters } = line
  if (orderOf(side) === "first" && second !== null) return { ...blank, alpha_first: first, forward, backward }
  const update = second ?? first
  return {
    ...blank,
    ...(second === null ? { alpha_first: first } : { alpha_second: second }),
    ...{ forward, backward, total, error, parameters },
    unlisted: total - update - forward - backward,
  }
}

export function orderOf(side: Side): "first" | "second" {
  return side.options.order === "second" ? "second" : "first"
}
