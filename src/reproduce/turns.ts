/**
 * Runs the sides of a comparison, so that the machine's moods meet all of them alike: of the sides of a seed, the one
 * that has used least of the budget goes on until its next epoch event. Seeds follow one another; each run has a
 * folder of its own, and one that is there already is gone on with.
 */
import { existsSync } from "node:fs"

import { NaspError } from "../errors.js"
import { invalid } from "../expect.js"
import { savedStep } from "../train/checkpoint.js"
import { resolveConfig, type SearchConfig } from "../train/config.js"
import type { SearchEvent } from "../train/events.js"
import type { SearchOptions } from "../train/plan.js"
import { isEnd, readRunEvents, readRunRecord } from "../train/run-folder.js"
import { search, type Search } from "../train/search.js"
import { checkEvent } from "./check-event.js"
import { differing, shown } from "./comparable.js"
import { searchSeconds } from "./history.js"
import type { Side } from "./sides.js"

export interface PlannedRun {
  side: Side
  seed: number
  folder: string
  /** Epochs that its steps need; none where the budget is a time. */
  leastEpochs?: number
  /** Configuration, with `steps` where the budget is one of steps. */
  options: Omit<SearchOptions, "data"> & { data?: string }
}

interface TurnOptions {
  /** Search seconds of each run; null where their `steps` end them. */
  seconds: number | null
  onEvent(run: PlannedRun, event: SearchEvent, seconds: number): void
  /** Ends all runs after the running step, with checkpoints; one whose time is up is evaluated first. */
  signal: AbortSignal
}

interface Active {
  run: PlannedRun
  search: Search
  events: AsyncIterator<SearchEvent>
  isBegun: boolean
  /** Steps done, the epoch of the last, search seconds. */
  at: { step: number; epoch: number; seconds: number }
  /** Whether its folder holds an evaluation of where it ended. */
  isEvaluated: boolean
}

/**
 * @throws NaspError ERR_NASP_ARGUMENT for a folder whose run has other options, ERR_NASP_RUN_FOLDER for one whose events
 *   cannot be drawn
 */
export function checkFolders(runs: readonly PlannedRun[]): void {
  for (const run of runs.filter(({ folder }) => existsSync(folder))) {
    checkSame(run)
    readRunEvents(run.folder, checkEvent)
  }
}

/**
 * Runs whose folders `checkFolders` has let pass.
 * A run that diverges is over, and a warning says so. Any other error ends all runs as the signal does.
 * @returns whether all ran to their ends
 * @throws NaspError as `search` does
 */
export async function runInTurn(runs: readonly PlannedRun[], options: TurnOptions): Promise<boolean> {
  for (const seed of new Set(runs.map((run) => run.seed))) {
    const active = runs
      .filter((run) => run.seed === seed)
      .map(open)
      .filter((one) => isLeft(one, options.seconds))
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

// A run that has had more than its budget stays as it is; one whose time was up before it was evaluated is not done.
function isLeft({ run, at, isEvaluated }: Active, seconds: number | null): boolean {
  return seconds === null ? at.step <= (run.options.steps ?? Infinity) : at.seconds < seconds || !isEvaluated
}

async function takeTurns(active: Active[], options: TurnOptions): Promise<void> {
  const left = new Set(active)
  const failed = new AbortController()
  const signal = AbortSignal.any([options.signal, failed.signal])
  while (left.size > 0) {
    const amount = ({ at }: Active) => (options.seconds === null ? at.step : at.seconds)
    const next = [...left].reduce((least, other) => (amount(other) < amount(least) ? other : least))
    try {
      if (!(await oneTurn(next, { ...options, signal }))) left.delete(next)
    } catch (error) {
      failed.abort(error) // the search that it came from has no more events
    }
  }
  failed.signal.throwIfAborted()
}

// Until the next epoch event; false: the run is over, or was not begun when all are to end.
async function oneTurn(active: Active, { seconds, onEvent, signal }: TurnOptions): Promise<boolean> {
  const { run, search, at } = active
  if (signal.aborted && !active.isBegun) return false
  active.isBegun = true
  for (;;) {
    if (seconds !== null && at.seconds >= seconds) search.stop({ evaluated: true })
    else if (signal.aborted) search.stop()
    const event = await nextEvent(active)
    if (!event) return false
    count(at, event)
    onEvent(run, event, at.seconds)
    if (event.type === "epoch") return true
  }
}

// null: no more. Of a search that diverged a warning, and then no more.
async function nextEvent({ events, at: { step, epoch } }: Active): Promise<SearchEvent | null> {
  try {
    const item = await events.next()
    return item.done ? null : item.value
  } catch (error) {
    if (!(error instanceof NaspError) || error.code !== "ERR_NASP_DIVERGED") throw error
    return { type: "warning", step, epoch, message: error.message }
  }
}

function count(at: Active["at"], event: SearchEvent): void {
  at.step = event.step
  at.epoch = event.epoch
  at.seconds += searchSeconds(event)
}

function open(run: PlannedRun): Active {
  const { folder, options } = run
  const isThere = existsSync(folder)
  const { steps = null, threads, dataDir } = options // the budget's steps, not those of the run so far
  const changed = {
    steps,
    ...(threads !== undefined && { threads }),
    ...(dataDir !== undefined && { dataDir }),
  }
  const running = search(isThere ? { resume: folder, ...changed } : { ...options, out: folder })
  return {
    run,
    search: running,
    events: running[Symbol.asyncIterator](),
    isBegun: false,
    ...(isThere ? whereIs(folder) : { at: { step: 0, epoch: 0, seconds: 0 }, isEvaluated: false }),
  }
}

// Up to its last checkpoint: what comes after is done again, and its end is dropped.
function whereIs(folder: string): Pick<Active, "at" | "isEvaluated"> {
  const at = { step: 0, epoch: 0, seconds: 0 }
  const saved = savedStep(folder)
  const events = readRunEvents(folder)
  for (const event of events) {
    if (event.step > saved) break
    if (!isEnd(event)) count(at, event)
  }
  const last = events.at(-1)
  const isEvaluated =
    last !== undefined && isEnd(last) && events.some(({ type, step }) => type === "epoch" && step === saved)
  return { at, isEvaluated }
}

// A folder of another comparison must not be gone on with.
function checkSame(run: PlannedRun): void {
  const { folder, options } = run
  const [there, wanted] = [fixed(readRunRecord(folder).config), fixed(resolveConfig(options))]
  const name = differing(there, wanted)
  if (name === "epochs") throw otherSchedule(run, Number(there.epochs), Number(wanted.epochs))
  if (name !== undefined)
    throw invalid(name, `${shown(there[name])}, as the run in ${folder} has it,`, wanted[name])
}

// The budget lengthens the schedule, so that the epochs that differ may be none that were given.
function otherSchedule(
  { folder, leastEpochs = 0, options }: PlannedRun,
  there: number,
  wanted: number,
): NaspError {
  const message =
    leastEpochs > there
      ? `${options.steps} steps need the schedule of --epochs ${leastEpochs}, but the run in ${folder} keeps that of --epochs ${there}: give --epochs ${leastEpochs} from the start, in a new folder`
      : `The run in ${folder} keeps the schedule of --epochs ${there}, but this call has that of --epochs ${wanted}: give --epochs ${there} to go on`
  return new NaspError("ERR_NASP_ARGUMENT", message)
}

// What going on does not change.
function fixed(config: SearchConfig): Record<string, unknown> {
  const { options, steps: _steps, threads: _threads, dataDir: _dataDir, ...rest } = config
  return { ...rest, ...options }
}
