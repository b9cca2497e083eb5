/** What alpha does from step to step: how far it moves, and how many rows change their largest operation. */
import { largestOperations, row, type CellMatrices } from "../derive.js"
import { NaspError } from "../errors.js"
import type { NativeSession, Values } from "../native.js"
import { eachType, type Space } from "../spaces/index.js"
import type { CellRows, StepEvent } from "./events.js"

export interface AlphaWatch {
  /** Since the last call, or since the watch was made. @throws NaspError ERR_NASP_DIVERGED */
  look(): Pick<StepEvent, "alpha_change" | "rows_flipped">
}

export function watchAlpha(session: NativeSession, space: Space): AlphaWatch {
  let last = readAlpha(session)
  let largest = largestOperations(space, last)
  return {
    look() {
      const alpha = readAlpha(session)
      const now = largestOperations(space, alpha)
      const alpha_change = Math.sqrt(
        squaredDistance(alpha.normal, last.normal) + squaredDistance(alpha.reduce, last.reduce),
      )
      if (!Number.isFinite(alpha_change))
        throw new NaspError("ERR_NASP_DIVERGED", "alpha holds a value that is not finite")
      const rows_flipped = now.filter((column, r) => column !== largest[r]).length
      last = alpha
      largest = now
      return { alpha_change, rows_flipped }
    },
  }
}

/** (14, K) each. */
export function readAlpha(session: NativeSession): { normal: Values; reduce: Values } {
  return { normal: session.read("alphas_normal"), reduce: session.read("alphas_reduce") }
}

/** Row by row, for JSON: float32 values with the nine digits that give them back. */
export function alphaRows(space: Space, alpha: CellMatrices): CellRows<number[]> {
  return eachType((type) => {
    const single = alpha[type] instanceof Float32Array
    const width = space[type].length
    return Array.from({ length: alpha[type].length / width }, (_, e) =>
      row(alpha[type], width, e).map((v) => (single ? Number(v.toPrecision(9)) : v)),
    )
  })
}

function squaredDistance(a: Values, b: Values): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2
  return sum
}
