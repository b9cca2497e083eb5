/**
 * A session that is a clock as well: whatever a method calls on it before the step on the weights is alpha's update,
 * however many passes and vector sums that takes.
 */
import type { NativeSession, StepResult, WeightUpdateOptions } from "../native.js"
import { now } from "../train/epoch-totals.js"

export interface StepClock {
  /** To be given to the method in place of the session. */
  session: NativeSession
  /** Starts a step. */
  start(): void
  /** Seconds since, by what they went into. */
  read(): StepSeconds
}

export interface StepSeconds {
  alpha: number
  forward: number
  backward: number
  /** Waiting for batches. */
  data: number
  overhead: number
  total: number
}

export function clockedSession(session: NativeSession): StepClock {
  let began = 0
  let alpha = 0
  let data = 0
  let weights: StepResult | null = null

  const isWeightStep = (name: string, args: unknown[]) =>
    name === "weightStep" && (args[1] as WeightUpdateOptions).apply
  const called = (name: string, args: unknown[], seconds: number, result: unknown) => {
    const waited = isStepResult(result) ? result.waitSeconds : 0
    data += waited
    if (isWeightStep(name, args)) weights = result as StepResult
    else alpha += seconds - waited
  }
  const clocked = new Proxy(session, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== "function") return value
      return (...args: unknown[]) => {
        const from = now()
        const result: unknown = Reflect.apply(value, target, args)
        const done = (r: unknown) => called(String(key), args, now() - from, r)
        if (result instanceof Promise) return result.then((r: unknown) => (done(r), r))
        done(result)
        return result
      }
    },
  })
  return {
    session: clocked,
    start() {
      began = now()
      alpha = data = 0
      weights = null
    },
    read() {
      const total = now() - began
      const { forwardSeconds: forward = 0, backwardSeconds: backward = 0 } = weights ?? {}
      return { alpha, forward, backward, data, overhead: total - alpha - forward - backward - data, total }
    },
  }
}

function isStepResult(value: unknown): value is StepResult {
  return typeof value === "object" && value !== null && "waitSeconds" in value
}
