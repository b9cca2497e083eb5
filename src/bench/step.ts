/**
 * One NASP iteration on random data, timed: discretise, architecture gradient, alpha update, weight step. Alpha's
 * learning rate is 0, so that every repeat times the same selection; its update still runs. Batches lie ready when the
 * clock starts, as the search prepares them ahead of the step. The PyTorch twin is bench/step.py.
 */
import { onDevice, places } from "../device.js"
import { choiceField, flagField, integerField, resolveFields, type FieldValues } from "../expect.js"
import { loadNative, type NativeSession } from "../native.js"
import { findSpace, spaces } from "../spaces/index.js"
import { describeMachine, type Machine } from "./machine.js"
import { operationMix, randomAlpha, readAlpha, writeAlpha } from "./selection.js"
import { spread } from "./statistics.js"

export const stepBenchFields = {
  space: choiceField(
    "nasp12",
    spaces.map((s) => s.name),
    "search space",
  ),
  batch: integerField(64, 1, 4096, "images a batch"),
  channels: integerField(16, 1, 1024, "channels of the first cells"),
  layers: integerField(8, 1, 100, "cells"),
  size: integerField(32, 8, 512, "side of the images"),
  device: choiceField("cpu", places, "where to compute"),
  seed: integerField(0, 0, 2 ** 32 - 1, "of the weights, the data and the random selection"),
  threads: integerField(0, 0, 1024, "threads, 0 = what the process may use"),
  repeats: integerField(7, 1, 10000, "timed iterations"),
  warmup: integerField(2, 0, 1000, "iterations before them"),
  dense: flagField("run and differentiate every operation in the architecture step"),
}

export type StepBenchOptions = Partial<FieldValues<typeof stepBenchFields>> & {
  /** "random" (default), or an alpha.safetensors. */
  selection?: string
  /** Writes the matrices as an alpha.safetensors, for the twin. */
  saveSelection?: string
}

export const phases = [
  "total",
  "alpha",
  "alpha_forward",
  "alpha_backward",
  "weight",
  "weight_forward",
  "weight_backward",
] as const
export type Phase = (typeof phases)[number]

export interface StepBenchReport {
  bench: "step"
  engine: "nasp"
  /** Median over the repeats. */
  seconds: Record<Phase, number>
  /** Smallest and largest. */
  spread: Record<Phase, [number, number]>
  /** Largest resident size of the process. */
  peak_bytes: number
  /** Largest use of activations and their gradients in the engine. */
  activation_bytes: number
  /** Kept edges by operation. */
  selection: { normal: Record<string, number>; reduce: Record<string, number> }
  space: string
  batch: number
  channels: number
  layers: number
  size: number
  dense: boolean
  threads: number
  isa: string
  repeats: number
  machine: Machine
}

/** @throws NaspError for an option out of range or a file that is no alpha of the space */
export async function benchStep(options: StepBenchOptions = {}): Promise<StepBenchReport> {
  const { selection = "random", saveSelection, ...given } = options
  const {
    space: spaceName,
    seed,
    size,
    repeats,
    warmup,
    device,
    ...net
  } = resolveFields(stepBenchFields, given)
  const space = findSpace(spaceName)
  const alpha = selection === "random" ? randomAlpha(space, seed) : readAlpha(selection, space)
  if (saveSelection !== undefined) writeAlpha(saveSelection, space, alpha)

  const native = onDevice(loadNative(), device)
  const classes = 10
  const imageChannels = 3
  const session = new native.Session({
    ...net,
    classes,
    imageSize: size,
    imageChannels,
    normal: [...space.normal],
    reduce: [...space.reduce],
    precision: "f32",
    isa: "",
    seed,
  })
  try {
    session.write("alphas_normal", alpha.normal)
    session.write("alphas_reduce", alpha.reduce)
    const pixels = net.batch * imageChannels * size * size
    const inputs = [0, 1].map((i) => Float32Array.from(native.normals(seed, i, pixels)))
    const targets = Int32Array.from({ length: net.batch }, (_, i) => i % classes)
    const runs: Record<Phase, number>[] = []
    for (let i = 0; i < warmup + repeats; i++) {
      const tickets = inputs.map((x) => session.load(x, targets)) as [number, number]
      const seconds = await timeIteration(session, tickets)
      if (i >= warmup) runs.push(seconds)
    }
    const summaries = phases.map((phase) => [phase, spread(runs.map((run) => run[phase]))] as const)
    return {
      bench: "step",
      engine: "nasp",
      seconds: record(summaries.map(([phase, s]) => [phase, s.median])),
      spread: record(summaries.map(([phase, s]) => [phase, [s.min, s.max]])),
      peak_bytes: process.resourceUsage().maxRSS * 1024,
      activation_bytes: session.memory().peakActivations,
      selection: {
        normal: operationMix(space.normal, session.read("selected.alphas_normal")),
        reduce: operationMix(space.reduce, session.read("selected.alphas_reduce")),
      },
      space: space.name,
      ...net,
      size,
      threads: session.options.threads,
      isa: session.options.isa,
      repeats,
      machine: { ...describeMachine(native, session.options.threads), isa: session.options.isa },
    }
  } finally {
    session.dispose()
  }
}

async function timeIteration(session: NativeSession, [validation, training]: [number, number]) {
  const discretise = { value: "one", edges: "two", epsilon: 0, counter: 0 } as const
  const start = performance.now()
  session.discretise(discretise)
  const alpha = await session.architectureGradient(validation)
  session.updateAlpha({
    lr: 0,
    beta1: 0.5,
    beta2: 0.999,
    eps: 1e-8,
    weightDecay: 1e-3,
    eta: 0,
    costNormal: [],
    costReduce: [],
    costOn: "discrete",
    discretise,
  })
  const middle = performance.now()
  const weight = await session.weightStep(training, {
    lr: 0.025,
    momentum: 0.9,
    weightDecay: 3e-4,
    clip: 5,
    unselected: "skipped",
    apply: true,
  })
  const end = performance.now()
  return {
    total: (end - start) / 1000,
    alpha: (middle - start) / 1000,
    alpha_forward: alpha.forwardSeconds,
    alpha_backward: alpha.backwardSeconds,
    weight: (end - middle) / 1000,
    weight_forward: weight.forwardSeconds,
    weight_backward: weight.backwardSeconds,
  }
}

function record<T>(entries: [Phase, T][]): Record<Phase, T> {
  return Object.fromEntries(entries) as Record<Phase, T>
}
