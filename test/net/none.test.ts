/** A selected `none` multiplies by 0: what feeds it alone has a gradient all the same, of zeros (PyTorch's x.mul(0.)). */
import { expect, test } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import type { NativeSession } from "../../src/native.js"
import { discrete, loadBatch, makeSession, weightUpdate } from "./sessions.js"

/** Rows tie, and ties go to the first operation of the space darts, none: nothing reaches the classifier. */
function severed(dense: boolean): NativeSession {
  const session = makeSession("darts", { dense })
  for (const { name, group } of session.tensors())
    if (group === "alpha") session.write(name, session.read(name).fill(0.5))
  session.discretise(discrete)
  return session
}

test("its probes move the running statistics of every cell, as the dense step does", async () => {
  const [sparse, dense] = [severed(false), severed(true)]
  try {
    for (const session of [sparse, dense]) await session.architectureGradient(loadBatch(session, 0))
    const buffers = sparse.tensors().filter(({ name }) => /running_(mean|var)$/.test(name))
    expect(buffers.length).toBeGreaterThan(100)
    for (const { name } of buffers) {
      const moved = sparse.read(name)
      if (name.endsWith("var")) expect(moved, name).not.toContain(1)
      expect(relativeError(dense.read(name), moved), name).toBeLessThan(1e-12)
    }
  } finally {
    for (const session of [sparse, dense]) session.dispose()
  }
})

test("weights above it decay, those of operations that are not selected do not", async () => {
  const session = severed(false)
  try {
    const [lr, weightDecay] = [0.1, 0.05]
    const names = session.tensors().flatMap(({ name, group }) => (group === "parameter" ? [name] : []))
    const before = new Map(names.map((name) => [name, session.read(name)]))
    await session.weightStep(loadBatch(session, 0), { ...weightUpdate, lr, weightDecay })
    for (const name of names) {
      if (name.startsWith("classifier")) continue // has a gradient of its own
      const factor = name.includes("._ops.") ? 1 : 1 - lr * weightDecay
      const expected = before.get(name)!.map((w) => factor * w)
      expect(relativeError(expected, session.read(name)), name).toBeLessThan(1e-12)
    }
  } finally {
    session.dispose()
  }
})
