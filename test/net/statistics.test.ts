/** Running statistics that are to stay stay, however the step ends. */
import { expect, test } from "vitest"

import type { NativeSession, StepResult } from "../../src/native.js"
import { discrete, loadBatch, makeSession, sameBits, values } from "./sessions.js"

/** All of them, one behind the other. */
function statistics(session: NativeSession) {
  const buffers = session.tensors().filter((t) => t.group === "buffer")
  return values(
    "f32",
    buffers.flatMap(({ name }) => [...session.read(name)]),
  )
}

test.each<[string, (session: NativeSession, ticket: number) => Promise<StepResult>]>([
  ["evaluate", (session, ticket) => session.evaluate(ticket, { batchStatistics: true })],
  [
    "architectureGradient",
    (session, ticket) => session.architectureGradient(ticket, { keepStatistics: true }),
  ],
])("a cancelled step that keeps statistics: %s", async (_, step) => {
  const session = makeSession("nasp12", {
    ...{ channels: 16, layers: 8, imageSize: 16, batch: 16, dense: true, precision: "f32" },
  })
  try {
    session.discretise(discrete)
    const before = statistics(session)
    await step(session, loadBatch(session, 0)) // packs the weights
    const { forwardSeconds } = await step(session, loadBatch(session, 0))
    expect(sameBits(statistics(session), before)).toBe(true)
    let cancelled = 0
    for (let i = 1; i <= 6; i++) {
      const running = step(session, loadBatch(session, i))
      await new Promise((resolve) => setTimeout(resolve, (i / 8) * 1000 * forwardSeconds))
      session.cancel()
      await running.catch((error: unknown) => {
        expect(error).toMatchObject({ code: "ERR_NASP_ABORTED" })
        cancelled++
      })
      expect(sameBits(statistics(session), before), `after ${i} eighths of the forward pass`).toBe(true)
    }
    expect(cancelled).toBeGreaterThan(0)
  } finally {
    session.dispose()
  }
})

test("an evaluation goes forward only, whosever statistics it takes", async () => {
  const session = makeSession("darts7")
  try {
    for (const batchStatistics of [false, true]) {
      const result = await session.evaluate(loadBatch(session, 0), { batchStatistics })
      expect(result.forwardSeconds).toBeGreaterThan(0)
      expect(result.backwardSeconds, `batch statistics ${batchStatistics}`).toBe(0)
    }
  } finally {
    session.dispose()
  }
})
