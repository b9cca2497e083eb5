/**
 * The sparse architecture step against the mode that runs and differentiates everything: the same results, in a fraction
 * of the memory.
 */
import { describe, expect, test } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import type { DiscretiseOptions, Precision } from "../../src/native.js"
import { discrete, loadBatch, makeSession, state, weightUpdate } from "./sessions.js"

const limits: Record<Precision, number> = { f32: 1e-5, f64: 1e-12 }
const variants: Partial<DiscretiseOptions>[] = [{}, { value: "kept", edges: "all" }]

describe.each(["f32", "f64"] as const)("%s", (precision) => {
  for (const space of ["nasp12", "nasp12-all", "darts"])
    for (const variant of variants)
      for (const [batch, channels] of [
        [5, 2],
        [35, 2],
        [5, 16], // enough for Winograd
      ])
        test(`${space}, batch ${batch}, ${channels} channels, ${JSON.stringify(variant)}`, async () => {
          const results = []
          for (const dense of [false, true]) {
            const session = makeSession(space, { precision, batch, channels, dense })
            try {
              session.discretise({ ...discrete, ...variant })
              const { loss } = await session.architectureGradient(loadBatch(session, 0))
              const gradients = ["normal", "reduce"].map((type) => session.read(`grad.alphas_${type}`))
              const buffers = buffersOf(state(session))
              const step = await session.weightStep(loadBatch(session, 1), { ...weightUpdate, apply: false })
              results.push({ loss, gradients, logits: step.logits, buffers })
            } finally {
              session.dispose()
            }
          }
          const [sparse, dense] = results as [(typeof results)[0], (typeof results)[0]]
          expect(relativeError([dense.loss], [sparse.loss])).toBeLessThan(limits[precision])
          expect(relativeError(dense.logits, sparse.logits)).toBeLessThan(10 * limits[precision])
          dense.gradients.forEach((g, i) => {
            expect(relativeError(g, sparse.gradients[i]!), `matrix ${i}`).toBeLessThan(limits[precision])
          })
          // Statistics are sums over the batch in both modes; every operation sees the validation batch.
          for (const [name, values] of dense.buffers) {
            expect(relativeError(values, sparse.buffers.get(name)!), name).toBeLessThan(
              10 * limits[precision],
            )
          }
        })
})

describe("memory", () => {
  const peaks = async (dense: boolean) => {
    const session = makeSession("nasp12", { precision: "f32", channels: 8, dense })
    try {
      session.discretise(discrete)
      const peakOf = async (step: Promise<unknown>) => {
        await step
        return session.memory(true).peakActivations
      }
      session.memory(true)
      const alpha = await peakOf(session.architectureGradient(loadBatch(session, 0)))
      return { alpha, weights: await peakOf(session.weightStep(loadBatch(session, 1), weightUpdate)) }
    } finally {
      session.dispose()
    }
  }

  test("of the selected operations only: below a third of dense's, in both steps", async () => {
    const [sparse, dense] = [await peaks(false), await peaks(true)] // 0.6 and 3.6 MB
    expect(sparse.alpha).toBeGreaterThan(0)
    expect(sparse.weights).toBeGreaterThan(0)
    expect(sparse.alpha).toBeLessThan(dense.alpha / 3)
    expect(sparse.weights).toBeLessThan(dense.weights / 3)
  })

  // 104 of a normal cell's 112 entries are probed, and 62 of a reduction cell's 70.
  test("probes store nothing: the architecture step takes what the weight step takes, and an edge's probes", async () => {
    const { alpha, weights } = await peaks(false)
    expect(alpha / weights).toBeLessThan(1.2) // 1.09
  })
})

function buffersOf<T>(tensors: Map<string, T>): Map<string, T> {
  return new Map([...tensors].filter(([name]) => name.includes(".running_")))
}
