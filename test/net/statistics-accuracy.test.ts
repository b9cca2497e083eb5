/** Loss and number of correct answers that a step tells, against its logits and the batch's targets. */
import { describe, expect, test } from "vitest"

import type { NativeSession, StepResult } from "../../src/native.js"
import { random } from "../reference/map.js"
import { addon, discrete, loadBatch, makeSession, values, weightUpdate } from "./sessions.js"

/** The targets of `loadBatch`, drawn again behind its images. */
function targetsOf({ options }: NativeSession, index: number): number[] {
  const { batch, imageChannels, imageSize, classes } = options
  const draw = random(`batch ${index}`)
  draw.normals(batch * imageChannels * imageSize ** 2)
  return Array.from({ length: batch }, () => Math.floor(classes * draw.uniform()))
}

const rowsOf = ({ logits, count }: StepResult) =>
  Array.from({ length: count }, (_, n) =>
    [...logits].slice((n * logits.length) / count, ((n + 1) * logits.length) / count),
  )

const steps: Record<string, (session: NativeSession, ticket: number) => Promise<StepResult>> = {
  "a weight step": (session, ticket) => session.weightStep(ticket, weightUpdate),
  "an architecture step": (session, ticket) => session.architectureGradient(ticket),
  "an evaluation": (session, ticket) => session.evaluate(ticket),
  "an evaluation by the batch's statistics": (session, ticket) =>
    session.evaluate(ticket, { batchStatistics: true }),
}

describe.each(["f32", "f64"] as const)("%s", (precision) => {
  test.each(Object.keys(steps))("%s counts the images whose largest logit is the target's", async (name) => {
    for (const isa of addon.info().available) {
      const session = makeSession("nasp12", { precision, isa, batch: 37 })
      try {
        session.discretise(discrete)
        const counts = new Set<number>()
        for (let index = 0; index < 4; index++) {
          const result = await steps[name]!(session, loadBatch(session, index))
          const targets = targetsOf(session, index)
          expect(result.count).toBe(37)
          const rows = rowsOf(result)
          const correct = rows.filter((row, n) => row.indexOf(Math.max(...row)) === targets[n])
          expect(result.correct, `${isa} ${index}`).toBe(correct.length)
          counts.add(correct.length)
          const losses = rows.map((row, n) => {
            const sum = row.reduce((all, v) => all + Math.exp(v), 0)
            return Math.log(sum) - row[targets[n]!]!
          })
          const loss = losses.reduce((a, b) => a + b, 0) / 37
          expect(result.loss, `${isa} ${index}`).toBeCloseTo(loss, precision === "f32" ? 6 : 12)
        }
        expect(counts.size).toBeGreaterThan(1)
        expect(Math.min(...counts)).toBeGreaterThan(0)
        expect(Math.max(...counts)).toBeLessThan(37)
      } finally {
        session.dispose()
      }
    }
  })
})

test("of equal logits the first counts", async () => {
  const session = makeSession("nasp12", { batch: 37 })
  try {
    session.discretise(discrete)
    for (const name of ["classifier.weight", "classifier.bias"])
      session.write(name, values("f64", session.read(name).fill(0)))
    const { correct, loss } = await session.evaluate(loadBatch(session, 0))
    expect(correct).toBe(targetsOf(session, 0).filter((target) => target === 0).length)
    expect(loss).toBeCloseTo(Math.log(4), 14)
    session.write("classifier.bias", Float64Array.of(0, 1, 1, 0.5))
    const second = await session.evaluate(loadBatch(session, 0))
    expect(second.correct).toBe(targetsOf(session, 0).filter((target) => target === 1).length)
  } finally {
    session.dispose()
  }
})
