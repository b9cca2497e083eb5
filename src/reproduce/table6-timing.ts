/**
 * Times steps for Table 6: the sides of a space on one session, in turn, batch by batch, on batches that are prepared
 * ahead as in a search. NASP's time depends on what is selected, so each timed batch draws a selection of its own;
 * alpha's learning rate is 0, so that it stays.
 */
import { randomAlpha } from "../bench/selection.js"
import { generateTextures } from "../data/generated.js"
import { resolveFields } from "../expect.js"
import {
  findMethod,
  type MethodContext,
  type MethodSettings,
  type RunningMethod,
  type StepBatches,
} from "../methods/index.js"
import type { NativeAddon, NativeSession } from "../native.js"
import { findSpace, type Space } from "../spaces/index.js"
import { makeBatches, type Batches } from "../train/batches.js"
import { searchFields } from "../train/config.js"
import { parameterCount } from "../train/parameter-count.js"
import { finalParameters } from "./final-net.js"
import type { Side } from "./sides.js"
import { clockedSession, type StepClock, type StepSeconds } from "./step-clock.js"

export interface TimingOptions {
  addon: NativeAddon
  sides: readonly Side[]
  spaces: readonly string[]
  /** Timed batches of each side and space, after one that is not. */
  batches: number
  batch: number
  channels: number
  layers: number
  seed: number
  threads: number | null
}

export interface Timed {
  side: Side
  space: Space
  /** One a batch. */
  steps: StepSeconds[]
  batch: number
  /** Of the supernet. */
  supernet: number
  /** Of the net that each timed batch's selection would become in the end; empty where nothing was selected. */
  final: number[]
}

/** @param tell is told of every space that begins */
export async function timeSteps(options: TimingOptions, tell: (space: string) => void): Promise<Timed[]> {
  const timed: Timed[] = []
  for (const name of options.spaces) {
    tell(name)
    timed.push(...(await timeSpace(findSpace(name), options)))
  }
  return timed
}

interface Clocked {
  timed: Timed
  method: RunningMethod
  clock: StepClock
  /** Selects at random, where time depends on it. */
  draw: ((round: number) => void) | null
}

async function timeSpace(space: Space, options: TimingOptions): Promise<Timed[]> {
  const { addon, batch, channels, layers, seed } = options
  const data = generateTextures(4 * batch, seed)
  const { images, labels, mean, std, size } = data
  const dataset = new addon.Dataset({ images, labels, channels: 3, height: size, width: size, mean, std })
  const session = new addon.Session({
    ...{ channels, layers, batch, seed },
    ...{ classes: data.classes.length, imageSize: size, imageChannels: 3 },
    ...{ normal: [...space.normal], reduce: [...space.reduce] },
    ...{ precision: "f32", isa: "", threads: options.threads ?? 0, dense: false },
  })
  try {
    const batches = makeBatches(addon, session, dataset, data, { batch, seed, cutout: 0 })
    const sides = options.sides.map((side) => prepare(side, space, session, batches, options))
    const turns = Array.from({ length: options.batches + 1 }, (_, round) =>
      sides.map((side) => ({ side, round })),
    ).flat()
    let queued = batches.queueStep(0, true)
    for (const { side, round } of turns) {
      const current = queued
      queued = batches.queueStep(round + 1, true)
      await timeStep(side, current, round, options.addon)
    }
    return sides.map(({ timed }) => timed)
  } finally {
    session.dispose()
  }
}

function prepare(
  side: Side,
  space: Space,
  session: NativeSession,
  batches: Batches,
  { addon, batch, channels, layers, seed }: TimingOptions,
): Clocked {
  const clock = clockedSession(session)
  const { epochs, ...defaults } = resolveFields(searchFields, {})
  const settings: MethodSettings = { ...defaults, epochs, channels, layers, seed, archLr: 0 }
  const method = findMethod(side.method)
  const context: MethodContext = {
    ...{ addon, session: clock.session, space, settings },
    validationBatch: batches.queueRanking,
    validationBatches: batches.rankingBatches,
  }
  const selects = "projection" in method.fields
  return {
    timed: { side, space, steps: [], batch, supernet: parameterCount(session), final: [] },
    method: method.prepare(context, resolveFields(method.fields, side.options)),
    clock,
    draw: selects ? (round) => writeAlpha(session, randomAlpha(space, seed + round)) : null,
  }
}

// A full epoch's, for methods whose step asks.
const stepsPerEpoch = 391

// The first round warms up.
async function timeStep(
  { timed, method, clock, draw }: Clocked,
  tickets: StepBatches,
  round: number,
  addon: NativeAddon,
): Promise<void> {
  draw?.(round)
  const { searched } = method.derive() // the sides share the session: this one's net
  clock.start()
  await method.step(tickets, { step: round, epoch: 0, stepsPerEpoch, lr: searchFields.lr.initial })
  const seconds = clock.read()
  if (round === 0) return
  timed.steps.push(seconds)
  if (draw) timed.final.push(finalParameters(addon, searched))
}

function writeAlpha(session: NativeSession, alpha: { normal: Float32Array; reduce: Float32Array }): void {
  session.write("alphas_normal", alpha.normal)
  session.write("alphas_reduce", alpha.reduce)
}
