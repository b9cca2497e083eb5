/**
 * Times steps for Table 6: the sides of a space on one session, in turn, batch by batch, on batches that are prepared
 * ahead as in a search. NASP's time depends on what is selected, so each timed batch draws a selection of its own;
 * alpha's learning rate is 0, so that it stays.
 */
import { learningEpoch, timedLr, timedSettings } from "../bench/learning-epoch.js"
import { randomAlpha } from "../bench/selection.js"
import { generateTextures } from "../data/generated.js"
import { resolveFields } from "../expect.js"
import { findMethod, type MethodContext, type RunningMethod, type StepBatches } from "../methods/index.js"
import { writeMatrices } from "../methods/matrices.js"
import type { NativeAddon, NativeSession } from "../native.js"
import { findSpace, type Space } from "../spaces/index.js"
import { makeBatches, type Batches } from "../train/batches.js"
import { parameterCount } from "../train/parameter-count.js"
import { openSession, registerData } from "../train/parts.js"
import { finalParameters } from "./final-net.js"
import type { Side } from "./sides.js"
import { paper } from "./paper-protocol.js"
import { clockedSession, type StepClock, type StepSeconds } from "./step-clock.js"

interface TimingOptions {
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
  precision: "f32" | "f64"
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
  /** That its steps belong to. */
  epoch: number
  clock: StepClock
  batches: Batches
  /** Selects at random, where time depends on it. */
  draw: ((round: number) => void) | null
}

// The orders of one method share a session; what a method asks of its net is its own.
async function timeSpace(space: Space, options: TimingOptions): Promise<Timed[]> {
  const { addon, batch, channels, layers, seed, precision, threads } = options
  const data = generateTextures(4 * batch, seed)
  const dataset = registerData(addon, data)
  const sessions = new Map<string, { session: NativeSession; batches: Batches }>()
  const sessionOf = (side: Side) => {
    const method = findMethod(side.method)
    const own = resolveFields(method.fields, side.options)
    const key = JSON.stringify([method.name, method.net?.(own)])
    const there = sessions.get(key)
    if (there) return there
    const config = { ...{ channels, layers, batch, seed, precision, threads }, method: method.name }
    const session = openSession(addon, { ...config, options: own, dense: false }, space, data)
    const made = {
      session,
      batches: makeBatches(addon, session, dataset, data, { batch, seed, cutout: 0 }),
    }
    sessions.set(key, made)
    return made
  }
  try {
    const sides = options.sides.map((side) => {
      const { session, batches } = sessionOf(side)
      return prepare(side, space, session, batches, options)
    })
    const turns = Array.from({ length: options.batches + 1 }, (_, round) =>
      sides.map((side) => ({ side, round })),
    ).flat()
    const queue = (turn: (typeof turns)[number] | undefined) =>
      turn
        ? turn.side.batches.queueStep(
            turn.round,
            turn.side.method.hasArchitectureStep?.(turn.side.epoch) ?? true,
          )
        : null
    let queued = queue(turns[0])
    for (const [i, { side, round }] of turns.entries()) {
      const current = queued!
      queued = queue(turns[i + 1]) // prepared while this step runs
      await timeStep(side, current, round, options.addon)
    }
    return sides.map(({ timed }) => timed)
  } finally {
    for (const { session } of sessions.values()) session.dispose()
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
  const settings = timedSettings({ channels, layers, seed })
  const method = findMethod(side.method)
  const context: MethodContext = {
    ...{ addon, session: clock.session, space, settings },
    rankingBatch: batches.queueRanking,
    rankingBatches: batches.rankingBatches,
  }
  const running = method.prepare(context, resolveFields(method.fields, side.options))
  return {
    timed: { side, space, steps: [], batch, supernet: parameterCount(session.tensors()), final: [] },
    method: running,
    epoch: learningEpoch(running),
    clock,
    batches,
    draw: method.selects
      ? (round) => writeMatrices(session, "alphas", randomAlpha(space, seed + round))
      : null,
  }
}

// The first round warms up.
async function timeStep(
  { timed, method, epoch, clock, draw }: Clocked,
  tickets: StepBatches,
  round: number,
  addon: NativeAddon,
): Promise<void> {
  draw?.(round)
  const { searched } = method.derive() // sides that share the session: this one's net
  clock.start()
  await method.step(tickets, { step: round, epoch, stepsPerEpoch: paper.stepsPerEpoch, lr: timedLr })
  const seconds = clock.read()
  if (round === 0) return
  timed.steps.push(seconds)
  if (draw) timed.final.push(finalParameters(addon, searched))
}
