/**
 * Gradients of the whole net against central differences of its loss, in double precision. The architecture
 * gradient at entries whose D is 0 cannot be had so (D follows alpha); those are compared with the dense mode and
 * with PyTorch (test/golden).
 */
import { describe, expect, test } from "vitest"

import type { NativeSession, NativeSessionOptions } from "../../src/native.js"
import { random } from "../reference/map.js"
import { discrete, loadBatch, makeSession, numbers, weightUpdate } from "./sessions.js"

const h = 1e-7 // at 1e-6 nets of 16 channels cross kinks of their ReLUs
const limit = 1e-5
const kept = { ...discrete, value: "kept" } as const

async function loss(session: NativeSession): Promise<number> {
  return (await session.weightStep(loadBatch(session, 0), { ...weightUpdate, apply: false })).loss
}

/** dL/dt along `direction` from the tensor's value. */
async function slope(
  session: NativeSession,
  name: string,
  direction: Float64Array,
  changed: () => void,
): Promise<number> {
  const start = numbers(session, name)
  const at = async (step: number) => {
    session.write(
      name,
      Float64Array.from(start, (v, i) => v + step * direction[i]!),
    )
    changed()
    return loss(session)
  }
  const difference = (await at(h)) - (await at(-h))
  session.write(name, start)
  changed()
  return difference / (2 * h)
}

/** With channels enough for Winograd: operations of one source that share their transformed inputs. */
const winograd = {
  channels: 16,
  normal: ["conv_3x3", "conv_3x1_1x3"],
  reduce: ["conv_3x1_1x3", "conv_3x3"],
}
const nets: [string, string, Partial<NativeSessionOptions>][] = [
  ["nasp12", "nasp12", {}],
  ["darts7", "darts7", {}],
  ["3x3 of 16 channels", "nasp12", winograd],
]

describe.each(nets)("%s", (_, space, options) => {
  test.each(["two", "all"] as const)("dL/dD at the selected entries, %s edges", async (edges) => {
    const session = makeSession(space, options)
    try {
      const discretise = () => session.discretise({ ...kept, edges })
      discretise()
      await session.architectureGradient(loadBatch(session, 0))
      for (const name of ["alphas_normal", "alphas_reduce"]) {
        const gradient = numbers(session, `grad.${name}`)
        const selected = numbers(session, `selected.${name}`)
        const largest = gradient.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
        expect(selected.filter((v) => v !== 0)).toHaveLength(edges === "two" ? 8 : 14)
        for (const i of selected.keys()) {
          if (selected[i] === 0) continue
          const direction = new Float64Array(gradient.length)
          direction[i] = 1
          const expected = await slope(session, name, direction, discretise)
          expect(Math.abs(gradient[i]! - expected), `${name} ${i}`).toBeLessThan(limit * largest)
        }
      }
    } finally {
      session.dispose()
    }
  })

  test("dL/dw of every parameter, along a random direction", async () => {
    const session = makeSession(space, options)
    try {
      session.discretise(kept)
      const { gradientNorm } = await session.weightStep(loadBatch(session, 0), {
        ...weightUpdate,
        apply: false,
      })
      const names = session
        .tensors()
        .filter((t) => t.group === "parameter")
        .map((t) => t.name)
      const gradients = new Map(names.map((name) => [name, numbers(session, `grad.${name}`)]))
      let squares = 0
      for (const [name, gradient] of gradients) {
        const direction = random(name).normals(gradient.length)
        const along = gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0)
        squares += gradient.reduce((sum, g) => sum + g * g, 0)
        if (name.includes("_ops") && gradient.every((g) => g === 0) && !sampled(name)) continue
        const expected = await slope(session, name, direction, () => undefined)
        expect(Math.abs(along - expected), name).toBeLessThan(limit * Math.max(Math.abs(expected), 0.01))
      }
      expect(Math.abs(Math.sqrt(squares) / gradientNorm - 1)).toBeLessThan(1e-12)
    } finally {
      session.dispose()
    }
  })
})

/** Unselected weights are many: a tenth of them is enough to see that the loss does not depend on them. */
function sampled(name: string): boolean {
  return random(name).uniform() < 0.1
}
