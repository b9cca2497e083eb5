/**
 * What a method's step costs by its definition: operations evaluated a cell and batch, the row of the docs' table and
 * of `nasp bench step`. A cell has 14 edges with K candidates; a count is [a, b], meaning a K + b.
 */
export type Count = readonly [perCandidate: number, constant: number]

export interface Evaluations {
  /** Forward, stored for backward or not. */
  forward?: Count
  /** Backward to data and weights. */
  backward?: Count
  /** Backward to data only. */
  data?: Count
  /** Forward reduced to one inner product; nothing stored. */
  probes?: Count
}

export interface StepEvaluations {
  architecture: Evaluations
  weights: Evaluations
  /** What the counts do not say: "channels / 4", "falls as operations are dropped". */
  note?: string
}

const names: Record<keyof Evaluations, string> = {
  forward: "F",
  backward: "B",
  data: "dX",
  probes: "probes",
}

/** "8 F + 8 dX + (14K - 8) probes"; "-" for nothing. */
export function evaluationsText(evaluations: Evaluations): string {
  const parts = (Object.keys(names) as (keyof Evaluations)[]).flatMap((kind) => {
    const count = evaluations[kind]
    return count ? [`${countText(count)} ${names[kind]}`] : []
  })
  return parts.length === 0 ? "-" : parts.join(" + ")
}

function countText([perCandidate, constant]: Count): string {
  if (perCandidate === 0) return String(constant)
  if (constant === 0) return `${perCandidate}K`
  return `(${perCandidate}K ${constant < 0 ? "-" : "+"} ${Math.abs(constant)})`
}
