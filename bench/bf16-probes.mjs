#!/usr/bin/env node
// What --probe-precision bf16 does to the architecture gradient and to the time of its step: one net trained on random
// selections in float32, and every so many steps the gradient of the same batch by both, from the same weights; times are the
// smallest of the rounds.
//
//   node bench/bf16-probes.mjs [--data generated] [--data-dir DIR] [--space nasp12] [--batch 64] [--channels 16] [--layers 8]
//                              [--steps 100] [--every 10] [--seed 0] [--threads n] [--rounds 3]
//                              [--out bench/results/bf16-probes.json]
//
// cosine: of dL/dD of both cell types together. distance: of the two, over the norm of float32's.
import { performance } from "node:perf_hooks"
import { describeMachine, machineLine } from "../dist/bench/machine.js"
import { randomAlpha } from "../dist/bench/selection.js"
import { findDataSource, findSpace, loadNative } from "../dist/index.js"
import { median, optionsOf, refuse, writeResults } from "./contenders.mjs"

const values = optionsOf("bf16-probes", {
  data: { type: "string", default: "generated" },
  "data-dir": { type: "string" },
  space: { type: "string", default: "nasp12" },
  batch: { type: "string", default: "64" },
  channels: { type: "string", default: "16" },
  layers: { type: "string", default: "8" },
  steps: { type: "string", default: "100" },
  every: { type: "string", default: "10" },
  seed: { type: "string", default: "0" },
  threads: { type: "string", default: "0" },
})
const whole = (name, least) => {
  const number = Number(values[name])
  if (!Number.isInteger(number) || number < least) refuse(name, `an integer from ${least}`, values[name])
  return number
}
const rounds = Number(values.rounds)
const batch = whole("batch", 1)
const seed = whole("seed", 0)
const steps = whole("steps", 1)
const every = whole("every", 1)
const native = loadNative()
if (!native.info().bf16Probes) refuse("this processor", "AVX512-BF16", native.info().chosen)
const source = findDataSource(values.data)
if (source.needsFolder && values["data-dir"] === undefined) refuse("data-dir", "a folder", "none")
const data = source.load(values["data-dir"] ?? "")
const space = findSpace(values.space)

const open = (probePrecision) =>
  new native.Session({
    ...{
      channels: whole("channels", 1),
      layers: whole("layers", 3),
      threads: whole("threads", 0),
      batch,
      seed,
    },
    ...{ classes: data.classes.length, imageSize: data.size, imageChannels: data.channels },
    ...{ normal: [...space.normal], reduce: [...space.reduce] },
    ...{ precision: "f32", isa: "", dense: false, probePrecision },
  })
const sides = { f32: open("f32"), bf16: open("bf16") }

const dataset = new native.Dataset({ ...data, height: data.size, width: data.size })
const order = native.permutation(seed, 0, data.labels.length)
const augment = { ...data.augment, cutout: 0, seed, counter: 0 }
let taken = 0
const indices = () => Uint32Array.from({ length: batch }, () => order[taken++ % order.length])
const weights = { lr: 0.025, momentum: 0.9, weightDecay: 3e-4, clip: 5, unselected: "skipped", apply: true }

const gradients = []
for (let step = 1; step <= steps; step++) {
  const alpha = randomAlpha(space, seed + step)
  for (const type of ["normal", "reduce"]) sides.f32.write(`alphas_${type}`, alpha[type])
  sides.f32.discretise({ value: "one", edges: "two", epsilon: 0, counter: 0 })
  const training = sides.f32.queue(dataset, indices(), augment)
  await sides.f32.weightStep(training, weights)
  if (step % every === 0) gradients.push({ step, ...(await compared()) })
}
for (const side of Object.values(sides)) side.dispose()

/** The gradients of one more batch, by both. */
async function compared() {
  const { f32, bf16 } = sides
  for (const { name, group } of f32.tensors())
    if (["parameter", "buffer", "alpha"].includes(group)) bf16.write(name, f32.read(name))
  bf16.discretise({ value: "one", edges: "two", epsilon: 0, counter: 0 })
  const validation = indices()
  const seconds = {}
  const found = {}
  for (const [name, side] of Object.entries(sides)) {
    const runs = []
    const ticket = side.queue(dataset, validation, augment)
    for (let i = 1; i <= rounds; i++) {
      const start = performance.now()
      await side.architectureGradient(ticket, { keepStatistics: true, keepBatch: i < rounds })
      runs.push((performance.now() - start) / 1000)
    }
    seconds[name] = Math.min(...runs)
    found[name] = ["normal", "reduce"].flatMap((type) => [...side.read(`grad.alphas_${type}`)])
  }
  const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0)
  const apart = found.f32.map((v, i) => v - found.bf16[i])
  const norm = (a) => Math.sqrt(dot(a, a))
  return {
    cosine: dot(found.f32, found.bf16) / norm(found.f32) / norm(found.bf16),
    distance: norm(apart) / norm(found.f32),
    seconds,
  }
}

const machine = describeMachine(native, whole("threads", 0))
const column = (of) => gradients.map(of)
const ratio = median(column((g) => g.seconds.bf16 / g.seconds.f32))
console.log(machineLine(machine))
for (const { step, cosine, distance, seconds } of gradients)
  console.log(
    `step ${String(step).padStart(4)}  cosine ${cosine.toFixed(6)}  distance ${distance.toFixed(4)}` +
      `  architecture step ${seconds.f32.toFixed(3)} s, bf16 ${seconds.bf16.toFixed(3)} s`,
  )
console.log(
  `smallest cosine ${Math.min(...column((g) => g.cosine)).toFixed(6)}, largest distance ` +
    `${Math.max(...column((g) => g.distance)).toFixed(4)}, time ${ratio.toFixed(2)} of float32's in the middle`,
)
const { "data-dir": _folder, ...options } = values // a path of this machine
writeResults(options, { machine, gradients })
