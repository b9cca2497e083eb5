/**
 * How often dropout behind an identity skip takes an element, and what becomes of the others. The net's last map is
 * 1 x 1 and its classifier the identity, so that the logits are the last cell's nodes: node 0 as it is, and behind a skip
 * and its dropout in the three others.
 */
import { expect, test } from "vitest"

import { use, type NativeSession, type Precision } from "../../src/native.js"
import { findSpace } from "../../src/spaces/index.js"
import { loadBatch, makeSession, values, weightUpdate } from "./sessions.js"

const batch = 256
const nodeChannels = 8 // of the last cell: two reductions of 2
const features = 4 * nodeChannels

function open(precision: Precision): NativeSession {
  const session = makeSession("darts7", { precision, batch, classes: features, imageSize: 4 })
  const identity = new Float64Array(features ** 2).map((_, i) => Number(i % (features + 1) === 0))
  session.write("classifier.weight", values(precision, identity))
  session.write("classifier.bias", values(precision, new Float64Array(features)))
  const { normal, reduce } = findSpace("darts7")
  const mixture = (type: "normal" | "reduce", entries: [row: number, operation: string][]) => {
    const operations = type === "normal" ? normal : reduce
    const weight = new Float64Array(14 * operations.length)
    for (const [row, operation] of entries)
      weight[row * operations.length + operations.indexOf(operation)] = 1
    session.setMixture(
      type,
      weight,
      Uint8Array.from(weight, (w) => (w === 0 ? use.absent : use.propagated)),
    )
  }
  mixture("normal", [
    [0, "sep_conv_3x3"],
    [1, "sep_conv_3x3"],
    ...[2, 5, 9].map((row): [number, string] => [row, "sep_conv_3x3"]),
  ])
  // Nodes 1, 2 and 3: node 0 alone (rows 4, 7 and 11).
  mixture("reduce", [
    [0, "sep_conv_3x3"],
    [1, "sep_conv_5x5"],
    ...[4, 7, 11].map((row): [number, string] => [row, "skip_connect"]),
  ])
  return session
}

/** Elements of nodes 1, 2 and 3 over node 0's, node by node. */
async function ratios(session: NativeSession): Promise<number[][]> {
  const step = { ...weightUpdate, apply: false }
  const { logits } = await session.weightStep(loadBatch(session, 0), step)
  return [1, 2, 3].map((node) =>
    Array.from({ length: batch * nodeChannels }, (_, i) => {
      const [image, channel] = [Math.floor(i / nodeChannels), i % nodeChannels]
      const at = (n: number) => logits[image * features + n * nodeChannels + channel]!
      return at(node) / at(0)
    }),
  )
}

const zeros = (of: number[]) => of.filter((r) => r === 0).length / of.length

test.each([
  ["f32", 0.2],
  ["f64", 0.2],
  ["f64", 0.7],
] as const)("%s: the share that rate %d says is dropped, the rest scaled up", async (precision, rate) => {
  const session = open(precision)
  try {
    for (const node of await ratios(session)) for (const r of node) expect(r).toBeCloseTo(1, 5)
    session.skipDropout(rate, 5)
    const nodes = await ratios(session)
    for (const node of nodes) {
      expect(Math.abs(zeros(node) - rate)).toBeLessThan(0.04) // 2,048 elements: four deviations
      for (const r of node) if (r !== 0) expect(r * (1 - rate)).toBeCloseTo(1, precision === "f32" ? 5 : 12)
    }
    const all = nodes.flat()
    expect(Math.abs(zeros(all) - rate)).toBeLessThan(0.02)
    // Masks of two edges, and of two counters, have nothing to do with each other.
    const both = (a: number[], b: number[]) => zeros(a.map((r, i) => Math.abs(r) + Math.abs(b[i]!)))
    expect(Math.abs(both(nodes[0]!, nodes[1]!) - rate ** 2)).toBeLessThan(0.045)
    expect(Math.abs(both(nodes[1]!, nodes[2]!) - rate ** 2)).toBeLessThan(0.045)
    session.skipDropout(rate, 6)
    expect(Math.abs(both(all, (await ratios(session)).flat()) - rate ** 2)).toBeLessThan(0.03)
  } finally {
    session.dispose()
  }
})
