/**
 * The sides of a comparison: a method of the registry, in places with an option set. Their order here is the order
 * and the look they have in every table and picture.
 */
import { invalid, oneOf } from "../expect.js"
import { methods } from "../methods/index.js"
import type { SearchConfig } from "../train/config.js"

export interface Side {
  /** On the command line and in file names. */
  name: string
  label: string
  method: string
  options: Record<string, unknown>
}

const named: readonly Side[] = [
  { name: "nasp", label: "NASP", method: "nasp", options: {} },
  { name: "darts", label: "DARTS (1st order)", method: "darts", options: { order: "first" } },
  { name: "darts-2", label: "DARTS (2nd order)", method: "darts", options: { order: "second" } },
  { name: "lazy-pa", label: "PA (lazy update)", method: "lazy-pa", options: {} },
  { name: "pa", label: "PA (standard)", method: "pa", options: {} },
  { name: "snas", label: "SNAS", method: "snas", options: {} },
  { name: "random", label: "random search, shared weights", method: "random", options: {} },
]

/** Every method of the registry is a side, those named above under their names. */
export function sides(): readonly Side[] {
  const known = new Set(methods.map((m) => m.name as string))
  const others = methods
    .filter((m) => !named.some((side) => side.method === m.name))
    .map((m): Side => ({ name: m.name, label: m.name, method: m.name, options: {} }))
  return [...named.filter((side) => known.has(side.method)), ...others]
}

/** @throws NaspError ERR_NASP_ARGUMENT */
export function findSide(name: string): Side {
  const side = sides().find((s) => s.name === name)
  if (!side) throw invalid("sides", oneOf(sides().map((s) => s.name)), name)
  return side
}

/** The side that a run belongs to. */
export function sideOf(config: SearchConfig): Side {
  const fits = (side: Side) =>
    side.method === config.method &&
    Object.entries(side.options).every(([name, value]) => config.options[name] === value)
  return (
    sides().find(fits) ?? { name: config.method, label: config.method, method: config.method, options: {} }
  )
}

/** Number of a side's colour. */
export function lookOf(side: Side): number {
  const place = sides().findIndex((s) => s.name === side.name)
  return place < 0 ? sides().length : place
}
