/** What a session says it holds. */
import { expect, test } from "vitest"

import { discrete, loadBatch, makeSession } from "./sessions.js"

test("what grows with the batch and the classes alone is counted: logits, their gradients, targets, pooled features", () => {
  const held = (batch: number) => {
    const session = makeSession("darts7", { batch, classes: 1000 })
    try {
      return session.memory().allocated
    } finally {
      session.dispose()
    }
  }
  const logits = 1000 * 8
  expect(held(201) - held(1)).toBeGreaterThan(200 * 2 * logits)
})

test("every tensor that is stored is counted, and vectors and batches when they come", () => {
  const session = makeSession("darts7")
  try {
    session.discretise(discrete)
    const stored = session
      .tensors()
      .filter(({ name, group }) => group !== "selection" && name !== "adam.step")
    const size = (groups: string[]) =>
      8 *
      stored
        .filter(({ group }) => groups.includes(group))
        .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    const before = session.memory().allocated
    expect(before).toBeGreaterThan(size(stored.map(({ group }) => group)))
    session.combine("kept", { weights: 1 })
    const vector = session.memory().allocated - before
    expect(vector).toBeGreaterThanOrEqual(size(["parameter"]))
    loadBatch(session, 0)
    expect(session.memory().allocated - before - vector).toBeGreaterThanOrEqual(8 * 5 * 3 * 8 * 8)
  } finally {
    session.dispose()
  }
})

const many = (operation: string, count: number) => Array<string>(count).fill(operation)
test.each([
  ["what skip dropout copies", many("skip_connect", 120), true],
  ["what lies between units that go backward", many("sep_conv_3x3", 30), true],
  ["what lies between units that are probed", many("sep_conv_3x3", 30), false],
])("a step's plan has room for %s, of as many as there may be", async (_, normal, dense) => {
  const session = makeSession("darts7", {
    ...{ normal, reduce: ["max_pool_3x3"], dense, precision: "f32" },
    ...{ channels: 4, layers: 3, imageSize: 16, batch: 64 },
  })
  try {
    session.discretise(discrete)
    session.skipDropout(0.5, 1)
    const { loss } = await session.architectureGradient(loadBatch(session, 0))
    expect(loss).toBeGreaterThan(0)
  } finally {
    session.dispose()
  }
})
