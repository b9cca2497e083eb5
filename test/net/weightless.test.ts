/** Operations without weights, which all edges that leave a node share: the same one twice, dropped skips, partial channels. */
import { expect, test } from "vitest"

import { cellTypes, edges } from "../../src/spaces/index.js"
import { random } from "../reference/map.js"
import { discrete, loadBatch, makeSession } from "./sessions.js"

const operations = ["max_pool_3x3", "skip_connect", "avg_pool_3x3", "max_pool_3x3", "none", "skip_connect"]

test.each([
  ["plain", {}, 0],
  ["skip dropout", {}, 0.4],
  ["partial channels", { channels: 4, partialChannels: 2 }, 0],
])("their mixture's and the stem's gradients are the central differences: %s", async (_, options, rate) => {
  const session = makeSession("darts7", { ...options, normal: operations, reduce: operations, dense: true })
  try {
    session.discretise(discrete)
    session.skipDropout(rate, 3)
    const draw = random("weightless")
    const mixture = cellTypes.map(() =>
      Float64Array.from({ length: edges * operations.length }, () => draw.uniform()),
    )
    const ticket = loadBatch(session, 0)
    const step = async () => {
      cellTypes.forEach((type, t) =>
        session.setMixture(type, mixture[t]!, new Uint8Array(mixture[t]!.length)),
      )
      const { loss } = await session.architectureGradient(ticket, {
        ...{ weights: true, keepBatch: true, keepStatistics: true },
      })
      return loss
    }
    const difference = async (values: Float64Array, i: number, write = () => {}) => {
      const [value, h] = [values[i]!, 1e-5]
      const at = async (changed: number) => {
        values[i] = changed
        write()
        return step()
      }
      const slope = ((await at(value + h)) - (await at(value - h))) / (2 * h)
      await at(value)
      return slope
    }
    await step()
    const found = cellTypes.map((type) => session.read(`grad.alphas_${type}`))
    const largest = Math.max(...found.flatMap((of) => [...of].map(Math.abs)))
    for (const t of [0, 1])
      for (let i = t; i < mixture[t]!.length; i += 5) {
        const slope = await difference(mixture[t]!, i)
        expect(Math.abs(found[t]![i]! - slope) / largest, `${cellTypes[t]!} ${i}`).toBeLessThan(1e-6)
      }
    const stem = session.read("stem.0.weight") as Float64Array
    const gradient = session.read("grad.stem.0.weight")
    const steepest = Math.max(...[...gradient].map(Math.abs))
    for (let i = 0; i < stem.length; i += 19) {
      const slope = await difference(stem, i, () => session.write("stem.0.weight", stem))
      expect(Math.abs(gradient[i]! - slope) / steepest, `stem ${i}`).toBeLessThan(1e-5)
    }
  } finally {
    session.dispose()
  }
})
