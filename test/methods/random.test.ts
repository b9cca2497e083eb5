/** Random search's last ranking: rounds of samples, each round's finalists on all batches, the best of them. */
import { expect, test } from "vitest"

import type { ValidationTicket } from "../../src/data/halves.js"
import { resolveFields } from "../../src/expect.js"
import { random } from "../../src/methods/random.js"
import type { NativeSession } from "../../src/native.js"
import { findSpace } from "../../src/spaces/index.js"
import { addon } from "../net/sessions.js"
import { still } from "./running.js"

const space = findSpace("darts7")
const count = 1000
const wholeBatches = 3

/** On a session whose evaluations find some accuracy of the mixture: another for each architecture and half of a series. */
async function lastRanking(step: number, options: Record<string, unknown>) {
  let mixture: string[] = []
  const written = new Map<string, string>()
  const scores = new Map<string, number[]>()
  const batches: number[] = []
  const session = {
    options: { precision: "f64" },
    write: (name: string, values: Float64Array) => written.set(name, String(values)),
    setMixture: (type: string, weight: Float64Array) =>
      (mixture = type === "normal" ? [String(weight)] : [...mixture, String(weight)]),
    evaluate: () => {
      const key = mixture.join(";")
      const seen = scores.get(key) ?? []
      const correct = [...key].reduce((hash, c) => (31 * hash + c.charCodeAt(0)) % count, seen.length)
      scores.set(key, [...seen, correct])
      return Promise.resolve({ correct, count })
    },
  } as unknown as NativeSession
  const context = {
    ...{ addon, session, space, settings: { ...still, seed: 5 }, rankingBatches: wholeBatches },
    rankingBatch: (index: number) => (batches.push(index), index as ValidationTicket),
  }
  const method = random.prepare(context, resolveFields(random.fields, options))
  await method.onEpoch!({ epoch: 0, step, whole: true, last: true })
  const found = `${written.get("alphas_normal")};${written.get("alphas_reduce")}`
  return { batches, found, scores }
}

test("two rounds of four for 20,000 steps, two finalists of each, the best of all", async () => {
  const { batches, found, scores } = await lastRanking(20_000, { samples: 4, rankBatches: 1, finalists: 2 })
  const series = Array.from({ length: 8 }, (_, i) => 20_000 + i)
  expect(batches).toEqual([...series, ...[0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]])
  const architectures = [...scores]
  expect(architectures).toHaveLength(8)
  const best = (round: number) =>
    architectures
      .slice(4 * round, 4 * round + 4)
      .sort(([, a], [, b]) => b[0]! - a[0]!)
      .slice(0, 2)
  const finalists = [...best(0), ...best(1)]
  for (const [key, seen] of architectures)
    expect(seen).toHaveLength(finalists.some(([k]) => k === key) ? 1 + wholeBatches : 1)
  const whole = (seen: number[]) => seen.slice(1).reduce((a, b) => a + b, 0)
  expect(found).toBe(finalists.sort(([, a], [, b]) => whole(b) - whole(a))[0]![0])
})

test.each([
  [30, 10],
  [2_000, 200],
  [9_999, 999],
  [19_550, 1000],
])("after %i steps %i samples", async (step, samples) => {
  const { batches } = await lastRanking(step, { rankBatches: 1, finalists: 1 })
  expect(batches).toHaveLength(samples + wholeBatches)
})
