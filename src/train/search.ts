/**
 * `search(options)`: a search as an async iterable of events and a result at its end. The work happens off the main
 * thread, a step at a time, when the next event is asked for; so a slow consumer slows the search down, and breaking
 * out of the loop ends it.
 */
import { findDataSource } from "../data/index.js"
import type { ValidationFigure } from "../data/halves.js"
import type { CellMatrices } from "../derive.js"
import { chooseDevice, onDevice } from "../device.js"
import { NaspError } from "../errors.js"
import { flagField, invalid, resolveFields } from "../expect.js"
import type { Genotype } from "../genotype.js"
import { cpuName } from "../machine.js"
import { loadNative, type NativeAddon, type NativeSession } from "../native.js"
import { findSpace } from "../spaces/index.js"
import { version } from "../version.js"
import { alphaRows, readAlpha } from "./alpha-watch.js"
import { makeBatches } from "./batches.js"
import { beginRun, restoreRun, type Beginning } from "./beginning.js"
import { listCheckpoints } from "./checkpoint.js"
import { configHash, dataHash } from "./config.js"
import { now, phaseClock } from "./epoch-totals.js"
import type { SearchEvent, StartEvent } from "./events.js"
import { epochOf, lastStep, runLoop, type LoopControl, type LoopEnd, type LoopParts } from "./loop.js"
import { parameterCount } from "./parameter-count.js"
import { openSession, prepareMethod, registerData } from "./parts.js"
import { makePlan, type Plan, type SearchOptions } from "./plan.js"
import { createRunFolder, openRunFolder, type RunFolder } from "./run-folder.js"
import { traps } from "./traps.js"

export interface SearchResult {
  /** stopped: by `stop()`, before the last step. */
  status: "finished" | "stopped"
  /** Steps done. */
  step: number
  /** The searched net's cell. */
  genotype: Genotype
  /** The released code's ranking by softmax. */
  genotypeSoftmax: Genotype
  /** (14, K) each, row after row. */
  alpha: CellMatrices
  /** The whole epoch with the highest validation accuracy (a fraction). */
  best: { epoch: number; val_acc: ValidationFigure } | null
  /** The run folder. */
  out: string | null
}

export interface Search extends AsyncIterable<SearchEvent> {
  /** Runs what is left, dropping the events, and gives the result. */
  result(): Promise<SearchResult>
  /**
   * Ends after the running step, with a checkpoint if there is a run folder; `evaluated`: with an epoch event for where that
   * is, as where --steps cuts a run short.
   * @throws NaspError ERR_NASP_ARGUMENT
   */
  stop(how?: { evaluated?: boolean }): void
  /** Aborts the running step and frees everything. Idempotent. */
  dispose(): Promise<void>
}

const stopFields = { evaluated: flagField("an epoch event for where the search is") }

/**
 * @throws NaspError ERR_NASP_ARGUMENT at once, for an option that is refused. The iterable and `result()` reject with
 *   NaspError (ERR_NASP_ARGUMENT for what only data or a run folder show to be wrong, ERR_NASP_DATA, ERR_NASP_IO, ERR_NASP_LOCKED, ERR_NASP_RUN_FOLDER, ERR_NASP_CHECKPOINT,
 *   ERR_NASP_DIVERGED, ERR_NASP_UNSUPPORTED, ERR_NASP_OUT_OF_MEMORY, ERR_NASP_DISPOSED) or the signal's reason
 */
export function search(options: SearchOptions = {}): Search {
  const plan = makePlan(options)
  const control: Control = {
    signal: options.signal,
    stopping: false,
    session: null,
    disposed: false,
    goOn() {
      control.signal?.throwIfAborted()
      if (control.disposed) throw disposed()
    },
  }
  const events = run(plan, control)
  let outcome: { result: SearchResult } | { error: unknown } | null = null

  const next = async (): Promise<IteratorResult<SearchEvent, SearchResult | undefined>> => {
    try {
      const item = await events.next()
      if (item.done) outcome ??= item.value ? { result: item.value } : { error: disposed() }
      return item
    } catch (error) {
      outcome = { error: control.disposed ? disposed() : error }
      throw outcome.error
    }
  }
  const end = async () => {
    outcome ??= { error: disposed() }
    control.disposed = true
    control.session?.cancel()
    await events.return(undefined as never)
  }
  return {
    [Symbol.asyncIterator]: () => ({
      next,
      async return() {
        await end()
        return { done: true, value: undefined }
      },
    }),
    async result() {
      while (outcome === null) await next()
      if ("error" in outcome) throw outcome.error
      return outcome.result
    },
    stop(how = {}) {
      const { evaluated } = resolveFields(stopFields, how)
      control.stopping = evaluated ? "evaluated" : true
    },
    dispose: end,
  }
}

interface Control extends LoopControl {
  signal: AbortSignal | undefined
  session: NativeSession | null
  disposed: boolean
}

async function* run(plan: Plan, control: Control): AsyncGenerator<SearchEvent, SearchResult> {
  const { config, resumed } = plan
  control.signal?.throwIfAborted()
  const native = loadNative()
  const { device, note } = chooseDevice(native, config.device)
  const addon = onDevice(native, device)
  const { dataset, digest, about } = takeImages(addon, plan)
  const space = findSpace(config.space)
  const cancel = () => control.session?.cancel()
  control.signal?.addEventListener("abort", cancel, { once: true })
  let folder: RunFolder | null = null
  let step = 0
  try {
    if (resumed) folder = openRunFolder(resumed.folder)
    const session = openSession(addon, config, space, about)
    control.session = session
    const batches = makeBatches(addon, session, dataset, about, { ...config, goOn: control.goOn })
    const method = prepareMethod(
      {
        addon,
        session,
        space,
        settings: config,
        rankingBatch: batches.queueRanking,
        rankingBatches: batches.rankingBatches,
      },
      config,
    )
    // A new folder appears only once everything that can be refused has been accepted.
    if (plan.out !== null) folder = createRunFolder(plan.out, config, digest)
    const clock = phaseClock()
    const hash = configHash(config, digest)
    const parts = { addon, config, space, session, method, batches, run: folder, hash, control, clock }
    const begun = resumed && folder ? restoreRun(folder, resumed.override, parts) : beginRun(parts)
    if (note !== null) begun.warnings.unshift(note)
    const { threads } = session.options
    const usable = native.info().threads
    if (threads > usable) begun.warnings.push(`${threads} threads on ${usable} CPUs wait for each other`)
    const events = steps(begun, { ...parts, progress: begun.progress })
    for (;;) {
      const item = await events.next()
      if (item.done) return item.value
      step = item.value.step
      const told = now()
      if (!begun.isFinished) folder?.append(item.value)
      const written = now()
      yield item.value
      clock.add("logging", written - told)
      clock.add("listener", now() - written)
    }
  } catch (error) {
    throw explain(error, control, step, folder)
  } finally {
    control.signal?.removeEventListener("abort", cancel)
    control.session?.dispose()
    control.session = null
    folder?.close()
  }
}

// The images go to the engine, whose copy is the only one that stays.
function takeImages(addon: NativeAddon, plan: Plan) {
  const { config, resumed } = plan
  const data = plan.data ?? findDataSource(config.data).load(config.dataDir ?? "")
  plan.data = null
  if (config.cutout > 2 * data.size)
    throw invalid("cutout", `at most twice the images' side (${data.size})`, config.cutout)
  const digest = dataHash(data)
  if (resumed && resumed.dataHash !== digest) {
    throw new NaspError(
      "ERR_NASP_DATA",
      `The images of ${config.data} are not those that ${resumed.folder} was started with`,
    )
  }
  const { images: _, labels: __, ...about } = data
  return { dataset: registerData(addon, data), digest, about }
}

async function* steps(
  { isStarted, isFinished, warnings }: Beginning,
  parts: LoopParts,
): AsyncGenerator<SearchEvent, SearchResult> {
  const { config, space, method, batches, run, progress } = parts
  const { stepsPerEpoch, trainImages } = batches
  const at = { step: progress.step, epoch: epochOf(progress.step, stepsPerEpoch) }
  const epochs = Math.ceil(lastStep(config, stepsPerEpoch) / stepsPerEpoch)
  const found = isFinished || isStarted ? [] : traps(config, space, method, { epochs, trainImages })
  for (const message of [...warnings, ...found]) yield { type: "warning", ...at, message }
  let end: LoopEnd
  if (isFinished) {
    end = { status: "finished", derived: method.derive() }
    yield { type: "finished", ...at, genotype: end.derived.searched }
  } else {
    yield { ...startOf(parts), type: isStarted ? "resume" : "start", ...at }
    end = yield* runLoop(parts)
  }
  return {
    status: end.status,
    step: progress.step,
    genotype: end.derived.searched,
    genotypeSoftmax: end.derived.softmax,
    alpha: end.derived.alpha,
    best: progress.best,
    out: run?.path ?? null,
  }
}

function startOf(parts: LoopParts): Omit<StartEvent, "type" | "step" | "epoch"> {
  const { config, space, session, batches, run } = parts
  return {
    version,
    space: config.space,
    method: config.method,
    data: config.data,
    isa: session.options.isa,
    lanes: session.lanes,
    threads: session.options.threads,
    epochs: config.epochs,
    steps_per_epoch: batches.stepsPerEpoch,
    last_step: lastStep(config, batches.stepsPerEpoch),
    out: run?.path ?? null,
    cpu: cpuName(),
    parameters: parameterCount(session.tensors()),
    operations: { normal: [...space.normal], reduce: [...space.reduce] },
    alpha: alphaRows(space, readAlpha(session)),
  }
}

// A step that was aborted rejects with the engine's word for it; a diverged search says where and what is left.
function explain(error: unknown, control: Control, step: number, folder: RunFolder | null): unknown {
  if (control.signal?.aborted) return control.signal.reason
  if (control.disposed) return disposed()
  if (!(error instanceof NaspError) || error.code !== "ERR_NASP_DIVERGED") return error
  const good = folder ? listCheckpoints(folder.path).filter((c) => c.step <= step) : []
  const last = good.at(-1)
  const kept = last ? ` The last good checkpoint is ${last.file}.` : ""
  return new NaspError(
    "ERR_NASP_DIVERGED",
    `The search diverged at step ${step + 1}: ${error.message}.${kept}`,
  )
}

function disposed(): NaspError {
  return new NaspError("ERR_NASP_DISPOSED", "The search was disposed before its end")
}
