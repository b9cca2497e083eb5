/**
 * Cost vectors of the complexity regulariser (NASP paper, 3.3): R = sum_k cost_k * ||A_:k||^2. The released code
 * weighs the normal cell's operations by their parameters at 12 channels, divided by their sum; the paper's text
 * divides by the mean, which makes eta K times as strong.
 */
import { invalid, type Field } from "../expect.js"
import type { NativeAddon } from "../native.js"
import type { Space } from "../spaces/index.js"
import { operationAmong } from "../spaces/operations.js"

/** By operation name; operations that are not named cost nothing. */
export type CostTable = Record<string, number>

export interface CostOptions {
  cost: "params" | "flops" | CostTable
  costScale: "sum" | "mean" | "none"
  costCells: "normal" | "both"
  costChannels: "12" | "net"
}

export interface CostVectors {
  /** One entry a candidate; empty = not regularised. */
  normal: number[]
  reduce: number[]
}

// FLOPs grow alike with the map's size for every operation, and costs are relative: CIFAR's first cells stand for all.
const mapSize = 32

export function costVectors(
  addon: NativeAddon,
  space: Space,
  channels: number,
  options: CostOptions,
): CostVectors {
  const { cost, costScale, costCells, costChannels } = options
  const width = costChannels === "12" ? 12 : channels
  const table = typeof cost === "string" ? null : canonicalTable(addon, cost)
  const of = (operation: string) => {
    if (table) return table.get(operation) ?? 0
    const { parameters, multiplyAdds } = addon.operationCost(operation, width, mapSize, 1)
    return cost === "flops" ? multiplyAdds : parameters
  }
  const vector = (operations: readonly string[]) => scaled(operations.map(of), costScale)
  return { normal: vector(space.normal), reduce: costCells === "both" ? vector(space.reduce) : [] }
}

function canonicalTable(addon: NativeAddon, table: CostTable): Map<string, number> {
  const known = addon.operations()
  const costs = new Map<string, number>()
  for (const [name, value] of Object.entries(table)) {
    const operation = operationAmong(name, known)
    if (costs.has(operation)) throw invalid("cost", `one cost of ${operation}`, `a second one, as ${name}`)
    costs.set(operation, value)
  }
  return costs
}

function scaled(costs: number[], scale: CostOptions["costScale"]): number[] {
  const sum = costs.reduce((s, c) => s + c, 0)
  if (scale === "none" || sum === 0) return costs
  const by = scale === "sum" ? sum : sum / costs.length
  return costs.map((c) => c / by)
}

export const costField: Field<CostOptions["cost"]> = {
  initial: "params",
  expected: "params, flops or costs by operation name, each a finite number of at least 0",
  about: "regulariser's costs: params, flops, or a JSON file of costs by operation name",
  placeholder: "<params|flops|file>",
  accepts: isCost,
}

// `params`, `flops` or an object of operation names and costs.
function isCost(value: unknown): value is CostOptions["cost"] {
  if (value === "params" || value === "flops") return true
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  const costs = Object.values(value)
  return costs.length > 0 && costs.every((c) => typeof c === "number" && Number.isFinite(c) && c >= 0)
}

/** Checks the operations' names, which takes the engine's list. @throws NaspError ERR_NASP_ARGUMENT */
export function checkCost(addon: NativeAddon, space: Space, cost: CostOptions["cost"]): void {
  if (typeof cost === "string") return
  const names = [...canonicalTable(addon, cost).keys()]
  const candidates = new Set([...space.normal, ...space.reduce])
  const stranger = names.find((name) => !candidates.has(name))
  if (stranger !== undefined) throw invalid("cost", `operations of the space ${space.name}`, stranger)
}
