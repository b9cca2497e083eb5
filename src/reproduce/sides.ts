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
export const sides: readonly Side[] = [
  ...named,
  ...methods
    .filter(({ name }) => !named.some((side) => side.method === name))
    .map(({ name }): Side => ({ name, label: name, method: name, options: {} })),
]

/** @throws NaspError ERR_NASP_ARGUMENT for a name that is none, or that stands there twice */
export function findSides(names: readonly string[]): Side[] {
  checkOnce("sides", names)
  return names.map(findSide)
}

/** @throws NaspError ERR_NASP_ARGUMENT for a name that an option's list has twice */
export function checkOnce(option: string, names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined) throw invalid(option, "each name once", names.join(","))
}

/** @throws NaspError ERR_NASP_ARGUMENT */
export function findSide(name: string): Side {
  const side = sides.find((s) => s.name === name)
  if (!side) throw invalid("sides", oneOf(sides.map((s) => s.name)), name)
  return side
}

/** The side that a run belongs to. */
export function sideOf(config: SearchConfig): Side {
  return sides.find(
    (side) =>
      side.method === config.method &&
      Object.entries(side.options).every(([name, value]) => config.options[name] === value),
  )!
}

/** Its place among all sides, which is the number of its colour too. */
export function placeOf(side: Side): number {
  return sides.findIndex((s) => s.name === side.name)
}
