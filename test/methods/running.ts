/** A method at work on a small session in double, with what it asked of the session. */
import type { TrainTicket, ValidationTicket } from "../../src/data/halves.js"
import { resolveFields } from "../../src/expect.js"
import { findMethod, type MethodSettings, type RunningMethod } from "../../src/methods/index.js"
import type { NativeSession, NativeSessionOptions } from "../../src/native.js"
import { findSpace, type Space } from "../../src/spaces/index.js"
import { addon, loadBatch, makeSession } from "../net/sessions.js"

/** Of steps that move nothing. */
export const still: MethodSettings = {
  ...{ channels: 2, layers: 3, epochs: 10, seed: 4, lr: 0, lrMin: 0 },
  ...{ momentum: 0.9, weightDecay: 3e-4, clip: 5 },
  ...{ archLr: 0, archBeta1: 0.5, archBeta2: 0.999, archWeightDecay: 0 },
}

/** A call of a session's method: its name and what it was given. */
export interface Call {
  name: string
  given: unknown[]
}

export interface Running {
  session: NativeSession
  space: Space
  method: RunningMethod
  /** Since the method was prepared. */
  calls: Call[]
  settings: MethodSettings
}

export interface Setting {
  space?: string
  options?: Record<string, unknown>
  net?: Partial<NativeSessionOptions>
  settings?: Partial<MethodSettings>
}

export async function withMethod(
  name: string,
  { space: spaceName = "darts", options = {}, net = {}, settings = {} }: Setting,
  action: (running: Running) => Promise<void>,
): Promise<void> {
  const session = makeSession(spaceName, net)
  try {
    const space = findSpace(spaceName)
    const method = findMethod(name)
    const calls: Call[] = []
    const whole = { ...still, ...settings }
    const context = {
      ...{ addon, session: recorded(session, calls), space, settings: whole, rankingBatches: 1 },
      rankingBatch: (index: number) => loadBatch(session, index) as ValidationTicket,
    }
    const running = method.prepare(context, resolveFields(method.fields, options))
    await action({ session, space, method: running, calls, settings: whole })
  } finally {
    session.dispose()
  }
}

/** The session, telling `calls` what it is asked for. */
function recorded(session: NativeSession, calls: Call[]): NativeSession {
  return new Proxy(session, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== "function") return member
      return (...given: unknown[]): unknown => {
        calls.push({ name: String(name), given })
        return member.apply(target, given)
      }
    },
  })
}

export const trainBatch = 0
export const validationBatch = 1

/** One step at `when`, on the same batches each time. */
export async function stepAt(
  { session, method }: Pick<Running, "session" | "method">,
  when: { step?: number; epoch?: number; stepsPerEpoch?: number; lr?: number } = {},
): Promise<void> {
  const schedule = { step: 0, epoch: 0, stepsPerEpoch: 10, lr: 0, ...when }
  const learns = method.hasArchitectureStep?.(schedule.epoch) ?? true
  const validation = learns ? (loadBatch(session, validationBatch) as ValidationTicket) : null
  await method.step({ train: loadBatch(session, trainBatch) as TrainTicket, validation }, schedule)
}
