/** What a method draws from its seed, each purpose with a substream of its own. */

/** Of uniform numbers. */
export const substreams = {
  sample: 0,
  rank: 1,
  normal: 2,
  reduce: 3,
  controller: 4,
  controllerSample: 5,
} as const

/** Of normal numbers: alpha's two cell types at `alpha` + 2 a start, PC-DARTS' beta. */
export const normalSubstreams = { alpha: 0, beta: 2 } as const

/** A substream's draws that belong to a step: more than any option asks for. */
export const drawsPerStep = 2 ** 20
