/** The sparse architecture step against the mode that runs and differentiates everything. */
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

function buffersOf<T>(tensors: Map<string, T>): Map<string, T> {
  return new Map([...tensors].filter(([name]) => name.includes(".running_")))
}
