/**
 * Partial channels on maps of odd size: the 2 x 2 max pool that halves what goes by has fewer pixels in its last windows.
 * Forward against a plain net in which nothing but that goes by, gradients against central differences.
 */
import { expect, test } from "vitest"

import { use, type NativeSession } from "../../src/native.js"
import { featureMap, plane, random, type FeatureMap } from "../reference/map.js"
import { batchNorm, conv, relu } from "../reference/layers.js"
import { loadBatch, makeSession, numbers, weightUpdate } from "./sessions.js"

const types = ["normal", "reduce"] as const
const imageSize = 6 // 6, then 3 where the second reduction begins, then 2
const channels = 8
const parts = 4

const open = () => makeSession("darts", { channels, partialChannels: parts, imageSize })

/** Windows of 2 x 2, those at the right and lower edge cut off. */
function halved(x: FeatureMap): FeatureMap {
  const y = featureMap(x.batch, x.channels, Math.ceil(x.height / 2), Math.ceil(x.width / 2))
  y.data.fill(-Infinity)
  for (let n = 0; n < x.batch; n++)
    for (let c = 0; c < x.channels; c++)
      for (let i = 0; i < x.height; i++)
        for (let j = 0; j < x.width; j++) {
          const to = plane(y, n, c) + (i >> 1) * y.width + (j >> 1)
          y.data[to] = Math.max(y.data[to]!, x.data[plane(x, n, c) + i * x.width + j]!)
        }
  return y
}

function part(x: FeatureMap, channelOf: (i: number) => number, count: number): FeatureMap {
  const y = featureMap(x.batch, count, x.height, x.width)
  const area = x.height * x.width
  for (let n = 0; n < x.batch; n++)
    for (let i = 0; i < count; i++) {
      const from = plane(x, n, channelOf(i))
      y.data.set(x.data.subarray(from, from + area), plane(y, n, i))
    }
  return y
}

function joined(maps: FeatureMap[]): FeatureMap {
  const [first] = maps as [FeatureMap]
  const total = maps.reduce((sum, m) => sum + m.channels, 0)
  const y = featureMap(first.batch, total, first.height, first.width)
  for (let n = 0; n < y.batch; n++) {
    let at = plane(y, n, 0)
    for (const m of maps) {
      const size = m.channels * m.height * m.width
      y.data.set(m.data.subarray(plane(m, n, 0), plane(m, n, 0) + size), at)
      at += size
    }
  }
  return y
}

const norm = (x: FeatureMap) =>
  batchNorm(
    x,
    { runningMean: new Float64Array(x.channels), runningVar: new Float64Array(x.channels).fill(1) },
    true,
  ).y

/** Logits of the session's net where nothing is propagated and all bypass weights are 1. */
function plainLogits(session: NativeSession, x: FeatureMap): Float64Array {
  const convolve = (from: FeatureMap, name: string, out: number, size: number, stride: number) =>
    conv(from, numbers(session, `${name}.weight`), {
      ...{ channels: out, kernel: [size, size], stride: [stride, stride], dilation: 1, depthwise: false },
      padding: [(size - 1) / 2, (size - 1) / 2],
    })
  const shifted = (from: FeatureMap) => {
    const y = featureMap(from.batch, from.channels, from.height - 1, from.width - 1)
    for (let m = 0; m < from.batch * from.channels; m++)
      for (let i = 0; i < y.height; i++)
        for (let j = 0; j < y.width; j++)
          y.data[(m * y.height + i) * y.width + j] =
            from.data[(m * from.height + i + 1) * from.width + j + 1]!
    return y
  }
  let previous = norm(convolve(x, "stem.0", 3 * channels, 3, 1))
  let last = previous
  let width = channels
  let halves = false // the previous cell was a reduction
  for (const [index, reduction] of [false, true, true].entries()) {
    if (reduction) width *= 2
    const name = `cells.${index}.preprocess`
    const active = relu(previous)
    const first = halves
      ? joined([
          convolve(active, `${name}0.conv_1`, width / 2, 1, 2),
          convolve(shifted(active), `${name}0.conv_2`, width / 2, 1, 2),
        ])
      : convolve(active, `${name}0.op.1`, width, 1, 1)
    const sources = [norm(first), norm(convolve(relu(last), `${name}1.op.1`, width, 1, 1))]
    const own = width / parts
    const nodes: FeatureMap[] = []
    for (let node = 0; node < 4; node++) {
      const passing = [...sources, ...nodes].map((source, i) => {
        const rest = part(source, (c) => own + c, width - own)
        return reduction && i < 2 ? halved(rest) : rest
      })
      const sum = passing[0]!.data.map((_, i) => passing.reduce((total, m) => total + m.data[i]!, 0))
      const rest = { ...passing[0]!, data: sum }
      const whole = joined([featureMap(rest.batch, own, rest.height, rest.width), rest])
      nodes.push(part(whole, (c) => (c % parts) * own + Math.floor(c / parts), width)) // interleaved
    }
    previous = last
    last = joined(nodes)
    halves = reduction
  }
  const weight = numbers(session, "classifier.weight")
  const bias = numbers(session, "classifier.bias")
  const area = last.height * last.width
  return Float64Array.from({ length: last.batch * bias.length }, (_, i) => {
    const [n, k] = [Math.floor(i / bias.length), i % bias.length]
    let logit = bias[k]!
    for (let c = 0; c < last.channels; c++) {
      const from = plane(last, n, c)
      const mean = last.data.subarray(from, from + area).reduce((a, b) => a + b, 0) / area
      logit += mean * weight[k * last.channels + c]!
    }
    return logit
  })
}

test("what goes by, forward", async () => {
  const session = open()
  try {
    for (const type of types) {
      const size = 14 * session.options[type].length
      session.setMixture(type, new Float64Array(size), new Uint8Array(size).fill(use.absent))
      session.setBypass(type, new Float64Array(14).fill(1))
    }
    const { batch, imageChannels } = session.options
    const { logits } = await session.evaluate(loadBatch(session, 0), { batchStatistics: true })
    const images = random("batch 0").normals(batch * imageChannels * imageSize ** 2) // as loadBatch draws them
    const expected = plainLogits(session, featureMap(batch, imageChannels, imageSize, imageSize, images))
    const largest = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
    for (const [i, logit] of logits.entries())
      expect(Math.abs(logit - expected[i]!), `logit ${i}`).toBeLessThan(1e-10 * largest)
  } finally {
    session.dispose()
  }
})

test("what goes by, its gradients", async () => {
  const session = open()
  try {
    const draw = random("odd maps")
    const bypass = { normal: draw.normals(14), reduce: draw.normals(14) }
    for (const type of types) {
      const size = 14 * session.options[type].length
      const weight = draw.normals(size, 0.3)
      session.setMixture(type, weight, new Uint8Array(size).fill(use.propagated))
      session.setBypass(type, bypass[type])
    }
    const loss = async () =>
      (await session.weightStep(loadBatch(session, 0), { ...weightUpdate, apply: false, mixture: true })).loss
    await loss()
    const h = 1e-6
    const difference = async (move: (step: number) => void) => {
      move(h)
      const above = await loss()
      move(-h)
      const below = await loss()
      move(0)
      return (above - below) / (2 * h)
    }
    const gradients = types.map((type) => numbers(session, `grad.bypass.alphas_${type}`))
    const names = ["stem.0", ...[0, 1, 2].map((i) => `cells.${i}.preprocess1.op.1`)].map((n) => `${n}.weight`)
    const weights = names.map((name) => numbers(session, `grad.${name}`))
    for (const [which, type] of types.entries()) {
      const largest = gradients[which]!.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
      for (let e = 0; e < 14; e++) {
        const expected = await difference((step) =>
          session.setBypass(
            type,
            bypass[type].map((v, i) => (i === e ? v + step : v)),
          ),
        )
        expect(Math.abs(gradients[which]![e]! - expected), `${type} ${e}`).toBeLessThan(1e-5 * largest)
      }
    }
    for (const [which, name] of names.entries()) {
      const start = numbers(session, name)
      const direction = random(name).normals(start.length)
      const expected = await difference((step) =>
        session.write(
          name,
          start.map((v, i) => v + step * direction[i]!),
        ),
      )
      const along = weights[which]!.reduce((sum, g, i) => sum + g * direction[i]!, 0)
      expect(Math.abs(along - expected), name).toBeLessThan(1e-5 * Math.max(Math.abs(expected), 0.01))
    }
  } finally {
    session.dispose()
  }
})
