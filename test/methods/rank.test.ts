/** Ranking, which is all that random search and ENAS learn their architecture by: right scores on the right batches. */
import { expect, test } from "vitest"

import { mixAll } from "../../src/methods/matrices.js"
import { rank } from "../../src/methods/rank.js"
import { matricesOfSample, randomSample } from "../../src/methods/samples.js"
import { findSpace } from "../../src/spaces/index.js"
import { addon, loadBatch, makeSession } from "../net/sessions.js"

const space = findSpace("darts7")

test.each([false, true])("accuracy of each candidate, best first; same batches: %s", async (sameBatches) => {
  const session = makeSession(space.name, { batch: 16 })
  try {
    const samples = [0, 1, 2, 3, 4].map((counter) => randomSample(addon, space, 7, 0, counter))
    const weightsOf = (i: number) => matricesOfSample(space, samples[i]!)
    const asked: number[] = []
    const batch = (index: number) => {
      asked.push(index)
      return loadBatch(session, index)
    }
    const ranking = { batches: 2, firstBatch: 10, sameBatches, batchStatistics: true }
    const ranked = await rank(session, batch, [0, 1, 2, 3, 4], weightsOf, ranking)
    const first = (i: number) => (sameBatches ? 10 : 10 + 2 * i)
    expect(asked).toEqual([0, 1, 2, 3, 4].flatMap((i) => [first(i), first(i) + 1]))

    const expected = []
    for (const i of [0, 1, 2, 3, 4]) {
      mixAll(session, weightsOf(i))
      let correct = 0
      for (const b of [first(i), first(i) + 1])
        correct += (await session.evaluate(loadBatch(session, b), { batchStatistics: true })).correct
      expected.push({ candidate: i, accuracy: correct / 32 })
    }
    expect(new Set(expected.map((e) => e.accuracy)).size).toBeGreaterThan(2)
    expect(ranked).toEqual(expected.sort((a, b) => b.accuracy - a.accuracy))
  } finally {
    session.dispose()
  }
})
