/**
 * A figure that compares search methods: which sides it wants, what is measured, and what is drawn from the run
 * folders. Where the runs come from, new ones or `--from`, makes no difference to the drawing.
 */
import { join } from "node:path"

import { readCost } from "../cost-file.js"
import { halvesOf } from "../data/halves.js"
import { findDataSource } from "../data/index.js"
import { integerField, invalid, resolveFields, type FieldValues, type Fields } from "../expect.js"
import { findMethod } from "../methods/index.js"
import { resolveConfig, searchFields } from "../train/config.js"
import type { SearchEvent } from "../train/events.js"
import type { SearchOptions } from "../train/plan.js"
import { parseBudget, type Budget } from "./budget.js"
import { readHistories, type History } from "./history.js"
import type { Report } from "./report.js"
import { findSides, type Side } from "./sides.js"
import { checkFolders, runInTurn, type PlannedRun } from "./turns.js"

export interface ComparedRuns {
  /** Sides that run unless others are named. */
  sides: readonly string[]
  /** Space that is searched unless another is named. */
  space: string
  /** What its runs measure beside the searched net. */
  measures: Pick<SearchOptions, "evaluateDerived" | "compareOrders">
  /** Architecture steps without which it shows nothing; a given budget may say otherwise. */
  leastSteps: number
}

export interface Comparison extends ComparedRuns {
  /** nasp reproduce <name>. */
  name: string
  about: string
  /** Of the runs that it is given, those that it draws. Default: all. */
  draws?(history: History): boolean
  draw(histories: readonly History[]): Report
}

// The sides say the method, the budget the steps.
const { method: _method, steps: _steps, dense: _dense, ...sharedFields } = searchFields

export const comparisonFields = {
  ...sharedFields,
  seeds: integerField(3, 1, 1000, "runs of each side, seeds --seed, --seed + 1, ..."),
} satisfies Fields

export interface ComparisonOptions {
  /** Of `comparisonFields`. */
  given: Partial<FieldValues<typeof comparisonFields>>
  sides?: readonly string[]
  /** "30m", "4000", "5epochs": see budget.ts. Default: all epochs, at least the comparison's leastSteps. */
  budget?: string
  /** Options of methods, `name=value`, for every side that has them. */
  set?: readonly string[]
  /** Folder of the runs; ones that are there are gone on with. */
  out: string
  /** Told once, when nothing has been refused and nothing written yet. */
  onStart?(): void
  onEvent(run: PlannedRun, event: SearchEvent, seconds: number): void
  signal: AbortSignal
}

/**
 * Runs all sides.
 * @returns their histories; null where the signal ended them before
 * @throws NaspError as `search` does
 */
export async function runComparison(
  comparison: ComparedRuns,
  options: ComparisonOptions,
): Promise<History[] | null> {
  const plan = checkedRuns(comparison, options)
  const { onStart, onEvent, signal } = options
  onStart?.()
  if (!(await runInTurn(plan.runs, { seconds: plan.seconds, onEvent, signal }))) return null
  return readHistories(plan.runs.map((run) => run.folder))
}

type PlanOptions = Omit<ComparisonOptions, "onStart" | "onEvent" | "signal">

/** As they will run, where neither the options nor what lies in their folders is refused. @throws NaspError */
export function checkedRuns(comparison: ComparedRuns, options: PlanOptions): ReturnType<typeof planRuns> {
  const plan = planRuns(comparison, options)
  checkFolders(plan.runs)
  return plan
}

/** @throws NaspError ERR_NASP_ARGUMENT, ERR_NASP_DATA */
export function planRuns(
  comparison: ComparedRuns,
  { given, sides: names = comparison.sides, budget, set = [], out }: PlanOptions,
): { runs: PlannedRun[]; seconds: number | null } {
  const wanted = findSides(names)
  const { seeds, ...settings } = resolveFields(comparisonFields, {
    space: comparison.space,
    ...comparison.measures,
    ...given,
  })
  const parsed = budget === undefined ? null : parseBudget(budget)
  const common = withoutNulls(settings)
  const { epochs, leastEpochs, steps } = length(parsed, settings, comparison.leastSteps)
  const own = wanted.map((side) => optionsOf(side, set))
  checkUsed(set, wanted)
  const runs = Array.from({ length: seeds }, (_, i) => settings.seed + i).flatMap((seed) =>
    wanted.map((side, s): PlannedRun => {
      const options = { ...common, epochs, seed, method: side.method, options: own[s] ?? {} }
      return {
        side,
        seed,
        folder: join(out, "runs", `${side.name}-seed${seed}`),
        leastEpochs,
        options: (steps === null ? options : { ...options, steps }) as PlannedRun["options"],
      }
    }),
  )
  for (const run of runs.slice(0, wanted.length)) resolveConfig(run.options)
  const { compareOrders } = settings
  if (steps !== null && compareOrders > steps) {
    throw invalid("compareOrders", `at most the ${steps} steps of a run`, compareOrders)
  }
  return { runs, seconds: parsed && "seconds" in parsed ? parsed.seconds : null }
}

// The schedule is --epochs', or longer where the steps are more than those epochs have.
function length(
  budget: Budget | null,
  { data, dataDir, batch, epochs }: FieldValues<typeof sharedFields>,
  leastSteps: number,
): { epochs: number; leastEpochs: number; steps: number | null } {
  if (budget && "seconds" in budget) return { epochs, leastEpochs: 0, steps: null }
  const images = findDataSource(data).load(dataDir ?? "").labels.length
  const stepsPerEpoch = Math.ceil(halvesOf(images).train.count / batch)
  const steps =
    budget === null
      ? Math.max(epochs * stepsPerEpoch, leastSteps)
      : "steps" in budget
        ? budget.steps
        : budget.epochs * stepsPerEpoch
  const leastEpochs = Math.ceil(steps / stepsPerEpoch)
  return { epochs: Math.max(epochs, leastEpochs), leastEpochs, steps }
}

function optionsOf(side: Side, set: readonly string[]): Record<string, unknown> {
  const fields: Fields = findMethod(side.method).fields
  const options = { ...side.options }
  for (const [name, text] of set.map(nameAndValue)) {
    const field = fields[name]
    if (field) options[name] = name === "cost" ? readCost(text) : valueOf(field, text)
  }
  return options
}

// A flag without a value is true or false; what is neither stays text, for the check to name it.
function valueOf({ placeholder, parse }: Fields[string], text: string): unknown {
  if (placeholder === "") return text === "true" || (text === "false" ? false : text)
  return parse ? parse(text) : text
}

function checkUsed(set: readonly string[], sides: readonly Side[]): void {
  const known = new Set(sides.flatMap((side) => Object.keys(findMethod(side.method).fields)))
  const stranger = set.map(nameAndValue).find(([name]) => !known.has(name))
  if (stranger) {
    const whose = [...new Set(sides.map((s) => s.method))].join(", ")
    const names = known.size > 0 ? ` (${[...known].join(", ")})` : ", which has none,"
    throw invalid("set", `an option of ${whose}${names}`, stranger[0])
  }
}

function nameAndValue(text: string): [string, string] {
  const at = text.indexOf("=")
  if (at < 1) throw invalid("set", "name=value", text)
  return [text.slice(0, at), text.slice(at + 1)]
}

function withoutNulls(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null))
}
