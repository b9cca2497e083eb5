/** The same bits on any number of threads, and from a saved state; batches of any size. */
import { describe, expect, test } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import { addon, discrete, iterate, loadBatch, makeSession, sameBits, state, values } from "./sessions.js"

describe.each(["f32", "f64"] as const)("%s", (precision) => {
  test.each(addon.info().available)("1, 2 and 3 threads, %s", async (isa) => {
    const runs = []
    for (const threads of [1, 2, 3]) {
      const session = makeSession("nasp12", {
        precision,
        isa,
        threads,
        channels: 4,
        batch: 20,
        imageSize: 16,
      })
      try {
        session.discretise(discrete)
        const results = await iterate(session, 0, 4)
        runs.push({ losses: results.map((r) => r.loss), tensors: state(session) })
      } finally {
        session.dispose()
      }
    }
    for (const run of runs.slice(1)) {
      expect(run.losses).toEqual(runs[0]!.losses)
      for (const [name, tensor] of run.tensors)
        expect(sameBits(tensor, runs[0]!.tensors.get(name)!), name).toBe(true)
    }
  })

  test("a session restored from all its tensors goes on with the same bits", async () => {
    const first = makeSession("nasp12", { precision })
    const second = makeSession("nasp12", { precision, seed: 2 })
    try {
      first.discretise(discrete)
      await iterate(first, 0, 2)
      for (const [name, tensor] of state(first)) second.write(name, tensor)
      second.discretise(discrete)
      const [a, b] = [await iterate(first, 2, 5), await iterate(second, 2, 5)]
      expect(b.map((r) => r.loss)).toEqual(a.map((r) => r.loss))
      const saved = state(first)
      for (const [name, tensor] of state(second)) expect(sameBits(tensor, saved.get(name)!), name).toBe(true)
    } finally {
      first.dispose()
      second.dispose()
    }
  })
})

test("a batch smaller than the largest gives what a session of its size gives", async () => {
  const outcomes = []
  for (const batch of [3, 35]) {
    const session = makeSession("nasp12", { batch })
    try {
      session.discretise(discrete)
      const { loss, count } = await session.architectureGradient(loadBatch(session, 0, 3))
      expect(count).toBe(3)
      outcomes.push([loss, ...session.read("grad.alphas_normal"), ...session.read("grad.alphas_reduce")])
    } finally {
      session.dispose()
    }
  }
  expect(relativeError(outcomes[0]!, outcomes[1]!)).toBeLessThan(1e-12)
})

test("in evaluation an image's logits do not depend on its batch", async () => {
  const session = makeSession("nasp12", { batch: 20 })
  try {
    session.discretise(discrete)
    await iterate(session, 0, 2)
    const { imageChannels, imageSize } = session.options
    const area = imageChannels * imageSize * imageSize
    const x = Float64Array.from({ length: 20 * area }, (_, i) => Math.sin(i * i))
    const evaluate = (from: number, to: number) =>
      session.evaluate(
        session.load(values("f64", x.subarray(from * area, to * area)), new Int32Array(to - from)),
      )
    const all = await evaluate(0, 20)
    expect(all.logits).toHaveLength(80)
    const parts = [...(await evaluate(0, 1)).logits, ...(await evaluate(1, 20)).logits]
    expect(relativeError(all.logits, parts)).toBeLessThan(1e-12)
  } finally {
    session.dispose()
  }
})
