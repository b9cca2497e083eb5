/**
 * `search(options)`: a search as an async iterable of events and a result at its end. The work happens off the main
 * thread, a step at a time, when the next event is asked for; so a slow consumer slows the search down, and breaking
 * out of the loop ends it.
 */
import { findDataSource } from "../data/index.js"
import type { ValidationFigure } from "../data/halves.js"
import { selectionOf, type CellMatrices } from "../derive.js"
import { chooseDevice, onDevice } from "../device.js"
import { NaspError } from "../errors.js"
import { flagField, invalid, resolveFields } from "../expect.js"
import type { Genotype } from "../genotype.js"
import { cpuName } from "../machine.js"
import type { RunningMethod } from "../methods/index.js"
import { loadNative, type NativeAddon, type NativeSession } from "../native.js"
import { findSpace, type Space } from "../spaces/index.js"
import { version } from "../version.js"
import { alphaRows, readAlpha } from "./alpha-watch.js"
import { makeBatches, type Batches } from "./batches.js"
import { listCheckpoints, loadCheckpoint, restoreTensors, type Progress } from "./checkpoint.js"
import { configHash, dataHash } from "./config.js"
import { noTotals, now, phaseClock, type PhaseClock } from "./epoch-totals.js"
import type { SearchEvent } from "./events.js"
import { epochOf, lastStep, runLoop, type LoopControl, type LoopEnd, type LoopParts } from "./loop.js"
import { parameterCount } from "./parameter-count.js"
import { openSession, prepareMethod, registerData } from "./parts.js"
import { restoreAlpha } from "./outputs.js"
import { makePlan, type Plan, type SearchOptions } from "./plan.js"
import { createRunFolder, openRunFolder, rewriteConfig, type RunFolder } from "./run-folder.js"
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
  const control: Control = { signal: options.signal, stopping: false, session: null, disposed: false }
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
  session: NativeSession | null
  disposed: boolean
}

async function* run(plan: Plan, control: Control): AsyncGenerator<SearchEvent, SearchResult> {
  const { config } = plan
  control.signal?.throwIfAborted()
  const native = loadNative()
  const { device, note } = chooseDevice(native, config.device)
  const addon = onDevice(native, device)
  const data = plan.data ?? findDataSource(config.data).load(config.dataDir ?? "")
  if (config.cutout > 2 * data.size)
    throw invalid("cutout", `at most twice the images' side (${data.size})`, config.cutout)
  const dataset = registerData(addon, data)
  const digest = dataHash(data)
  if (plan.resumed && plan.resumed.dataHash !== digest) {
    throw new NaspError(
      "ERR_NASP_DATA",
      `The images of ${config.data} are not those that ${plan.out} was started with`,
    )
  }
  const space = findSpace(config.space)
  const cancel = () => control.session?.cancel()
  control.signal?.addEventListener("abort", cancel, { once: true })
  let folder: RunFolder | null = null
  let step = 0
  try {
    if (plan.resumed && plan.out !== null) folder = openRunFolder(plan.out)
    const session = openSession(addon, config, space, data)
    control.session = session
    const batches = makeBatches(addon, session, dataset, data, config)
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
    if (!folder && plan.out !== null) folder = createRunFolder(plan.out, config, digest)
    const clock = phaseClock()
    const parts: Parts = {
      addon,
      note,
      batches,
      digest,
      folder,
      session,
      space,
      method,
      clock,
      records: true,
    }
    const events = steps(plan, control, parts)
    for (;;) {
      const item = await events.next()
      if (item.done) return item.value
      step = item.value.step
      const told = now()
      if (parts.records) folder?.append(item.value)
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

interface Parts {
  addon: NativeAddon
  /** About the device; null: nothing to say. */
  note: string | null
  batches: Batches
  digest: string
  folder: RunFolder | null
  session: NativeSession
  space: Space
  method: RunningMethod
  clock: PhaseClock
  /** Whether events go into the run folder: not those of a run that is over. */
  records: boolean
}

async function* steps(plan: Plan, control: Control, parts: Parts): AsyncGenerator<SearchEvent, SearchResult> {
  const { config } = plan
  const { addon, note, batches, digest, folder, session, space, method, clock } = parts
  const hash = configHash(config, digest)
  const warnings: string[] = note === null ? [] : [note]
  const selection = selectionOf(space, method.derive().selected)
  let progress: Progress = {
    step: 0,
    totals: noTotals(),
    epochSelection: selection,
    selection,
    best: null,
    eigenvalues: [],
    ended: null,
    method: null,
  }
  let isFinished = false
  let isStarted = false

  if (plan.resumed && folder) {
    const checkpoint = loadCheckpoint(folder.path, hash, (message) => warnings.push(message))
    if (checkpoint) {
      progress = checkpoint.progress
      method.restore?.(progress.method)
      restoreTensors(session, checkpoint)
      if (checkpoint.isa !== session.options.isa) {
        warnings.push(
          `the run was computed with ${checkpoint.isa} and goes on with ${session.options.isa}: its bits will differ from a run never stopped`,
        )
      }
    }
    const { steps } = plan.resumed.override
    if (typeof steps === "number" && steps < progress.step) {
      throw invalid("steps", `at least the ${progress.step} steps that are done`, steps)
    }
    isFinished =
      (progress.ended !== null || progress.step >= lastStep(config, batches.stepsPerEpoch)) &&
      folder.lastEvent()?.type === "finished"
    if (isFinished) {
      parts.records = false
      restoreAlpha(session, folder.path) // a method's last ranking comes behind the checkpoint
    } else {
      rewriteConfig(folder.path, plan.resumed.override)
      isStarted = folder.cutEvents(progress.step).some(({ type }) => type === "start")
    }
  }

  if (!isFinished && !isStarted)
    warnings.push(
      ...traps(
        config,
        space,
        method,
        Math.ceil(lastStep(config, batches.stepsPerEpoch) / batches.stepsPerEpoch),
      ),
    )
  const at = { step: progress.step, epoch: epochOf(progress.step, batches.stepsPerEpoch) }
  for (const message of warnings) yield { type: "warning", ...at, message }
  if (!isFinished) {
    yield {
      type: isStarted ? "resume" : "start",
      ...at,
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
      out: folder?.path ?? null,
      cpu: cpuName(),
      parameters: parameterCount(session),
      operations: { normal: [...space.normal], reduce: [...space.reduce] },
      alpha: alphaRows(space, readAlpha(session)),
    }
  }
  const loop: LoopParts = {
    ...{ addon, config, space, session, method, batches, run: folder },
    ...{ hash, progress, control, clock },
  }
  let end: LoopEnd
  if (isFinished) {
    end = { status: "finished", derived: method.derive() }
    yield { type: "finished", ...at, genotype: end.derived.searched }
  } else {
    end = yield* runLoop(loop)
  }
  return {
    status: end.status,
    step: progress.step,
    genotype: end.derived.searched,
    genotypeSoftmax: end.derived.softmax,
    alpha: end.derived.alpha,
    best: progress.best,
    out: folder?.path ?? null,
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
