/**
 * Runs the sides of a comparison, so that the machine's moods meet all of them alike: of the sides of a seed, the one
 * that has used least of the budget goes on until its next epoch event. Seeds follow one another; each run has a
 * folder of its own, and one that is there already is gone on with.
 */
import { existsSync } from "node:fs"

import { invalid } from "../expect.js"
import { savedStep } from "../train/checkpoint.js"
import { configHash, resolveConfig } from "../train/config.js"
import type { SearchEvent } from "../train/events.js"
import type { SearchOptions } from "../train/plan.js"
import { isEnd, readRunEvents, readRunRecord } from "../train/run-folder.js"
import { searchSeconds } from "./history.js"
import { search, type Search } from "../train/search.js"
import type { Side } from "./sides.js"

export interface PlannedRun {
  side: Side
  seed: number
  folder: string
  /** Configuration, with `steps` where the budget is one of steps. */
  options: Omit<SearchOptions, "data"> & { data?: string }
}

export interface TurnOptions {
  /** Search seconds of each run; null where their `steps` end them. */
  seconds: number | null
  onEvent(run: PlannedRun, event: SearchEvent, seconds: number): void
  /** Ends all runs after the running step, with checkpoints. */
  signal: AbortSignal
}

interface Active {
  run: PlannedRun
  search: Search
  events: AsyncIterator<SearchEvent>
  used: { steps: number; seconds: number }
}

/** @returns whether all ran to their ends */
export async function runInTurn(runs: readonly PlannedRun[], options: TurnOptions): Promise<boolean> {
  for (const seed of new Set(runs.map((run) => run.seed))) {
    const active = runs
      .filter((run) => run.seed === seed)
      .map(open)
      .filter(({ run, used }) => isLeft(run, used, options.seconds))
    try {
      await takeTurns(active, options)
    } finally {
      // The event that was being waited for is done by now; what a run holds is freed, its checkpoints stay.
      for (const { search } of active) await search.dispose()
    }
    if (options.signal.aborted) return false
  }
  return true
}

// A run that has had more than its budget stays as it is.
function isLeft({ options }: PlannedRun, used: Active["used"], seconds: number | null): boolean {
  return seconds === null ? used.steps <= (options.steps ?? Infinity) : used.seconds < seconds
}

async function takeTurns(active: Active[], options: TurnOptions): Promise<void> {
  const left = new Set(active)
  while (left.size > 0) {
    const amount = ({ used }: Active) => (options.seconds === null ? used.steps : used.seconds)
    const next = [...left].reduce((least, other) => (amount(other) < amount(least) ? other : least))
    if (!(await oneTurn(next, options))) left.delete(next)
  }
}

// Until the next epoch event; false: the run is over.
async function oneTurn({ run, search, events, used }: Active, options: TurnOptions): Promise<boolean> {
  for (;;) {
    if (options.signal.aborted) search.stop()
    const item = await events.next()
    if (item.done) return false
    const event = item.value
    if (event.type === "step") used.steps = event.step
    used.seconds += searchSeconds(event)
    if (options.seconds !== null && used.seconds >= options.seconds) search.stop({ evaluated: true })
    options.onEvent(run, event, used.seconds)
    if (event.type === "epoch") return true
  }
}

function open(run: PlannedRun): Active {
  const there = existsSync(run.folder)
  if (there) checkSame(run)
  const { steps = null, threads } = run.options // the budget's, not those of the run so far
  const kept = { steps, ...(threads !== undefined && { threads }) }
  const running = search(there ? { resume: run.folder, ...kept } : { ...run.options, out: run.folder })
  return {
    run,
    search: running,
    events: running[Symbol.asyncIterator](),
    used: there ? usedBy(run.folder) : { steps: 0, seconds: 0 },
  }
}

// Up to its last checkpoint: what comes after is done again, and its end is dropped.
function usedBy(folder: string): Active["used"] {
  const used = { steps: 0, seconds: 0 }
  const saved = savedStep(folder)
  for (const event of readRunEvents(folder)) {
    if (event.step > saved) break
    if (isEnd(event)) continue
    if (event.type === "step") used.steps = event.step
    used.seconds += searchSeconds(event)
  }
  return used
}

// A folder of another comparison must not be gone on with.
function checkSame({ folder, options }: PlannedRun): void {
  const there = readRunRecord(folder).config
  if (configHash(there, "") !== configHash(resolveConfig(options), "")) {
    throw invalid("out", "a new folder, or one whose runs have the same options", folder)
  }
}
