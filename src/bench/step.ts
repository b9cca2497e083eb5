/**
 * One iteration of a method on random data, timed: its own step, as a search runs it. Alpha's learning rate is 0, so that
 * every repeat times the same architecture (of methods that draw: the same draws); its update still runs. Batches lie
 * ready when the clock starts, as the search prepares them ahead of the step. The PyTorch twin is bench/step.py (nasp,
 * darts).
 */
import { onDevice, placeField } from "../device.js"
import { choiceField, integerField, invalid, resolveFields, type FieldValues } from "../expect.js"
import type { TrainTicket, ValidationTicket } from "../data/halves.js"
import { evaluationsText } from "../methods/evaluations.js"
import { findMethod, methods, type RunningMethod, type StepBatches } from "../methods/index.js"
import { loadNative, type NativeSession, type ProbePrecision } from "../native.js"
import { findSpace, spaces } from "../spaces/index.js"
import { searchFields } from "../train/config.js"
import { learningEpoch, timedLr, timedSettings } from "./learning-epoch.js"
import { describeMachine, type Machine } from "./machine.js"
import { operationMix, randomAlpha, readAlphaFile, writeAlphaFile } from "./selection.js"
import { spread } from "./statistics.js"

export const stepBenchFields = {
  method: choiceField(
    "nasp",
    methods.map((m) => m.name),
    "search method",
  ),
  space: choiceField(
    "nasp12",
    spaces.map((s) => s.name),
    "search space",
  ),
  batch: searchFields.batch,
  channels: searchFields.channels,
  layers: searchFields.layers,
  size: integerField(32, 8, 512, "side of the images"),
  device: placeField,
  seed: integerField(0, 0, 2 ** 32 - 1, "of the weights, the data and the random selection"),
  threads: searchFields.threads,
  repeats: integerField(7, 1, 10000, "timed iterations"),
  warmup: integerField(2, 0, 1000, "iterations before them"),
  dense: searchFields.dense,
  probePrecision: searchFields.probePrecision,
}

export type StepBenchOptions = Partial<FieldValues<typeof stepBenchFields>> & {
  /** The method's own options. */
  options?: Record<string, unknown>
  /** Of nasp, lazy-pa and pa: "random" (default), or an alpha.safetensors. */
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
  method: string
  options: Record<string, unknown>
  /** By the method's definition, a cell and batch. */
  evaluations: { architecture: string; weights: string; note: string }
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
  probePrecision: ProbePrecision
  threads: number
  isa: string
  repeats: number
  machine: Machine
}

/** @throws NaspError for an option out of range or a file that is no alpha of the space */
export async function benchStep(options: StepBenchOptions = {}): Promise<StepBenchReport> {
  const { selection = "random", saveSelection, options: own = {}, ...given } = options
  const {
    method: name,
    space: spaceName,
    seed,
    size,
    repeats,
    warmup,
    device,
    threads,
    ...net
  } = resolveFields(stepBenchFields, given)
  const method = findMethod(name)
  const methodOptions = resolveFields(method.fields, own)
  const space = findSpace(spaceName)
  const { selects = false } = method
  if (!selects && (selection !== "random" || saveSelection !== undefined)) {
    throw invalid("method", "one that selects, beside selection or saveSelection", name)
  }
  const alpha = selection === "random" ? randomAlpha(space, seed) : readAlphaFile(selection, space)
  if (saveSelection !== undefined) writeAlphaFile(saveSelection, space, alpha)

  const native = onDevice(loadNative(), device)
  const classes = 10
  const imageChannels = 3
  const session = new native.Session({
    ...net,
    threads: threads ?? 0,
    classes,
    imageSize: size,
    imageChannels,
    ...method.net?.(methodOptions),
    normal: [...space.normal],
    reduce: [...space.reduce],
    precision: "f32",
    isa: "",
    seed,
  })
  try {
    const settings = timedSettings({ channels: net.channels, layers: net.layers, seed })
    const noRanking = { rankingBatch: () => NaN as ValidationTicket, rankingBatches: 0 } // a step ranks nothing
    const running = method.prepare({ addon: native, session, space, settings, ...noRanking }, methodOptions)
    if (selects) {
      session.write("alphas_normal", alpha.normal)
      session.write("alphas_reduce", alpha.reduce)
    }
    const pixels = net.batch * imageChannels * size * size
    const inputs = [0, 1].map((i) => Float32Array.from(native.normals(seed, i, pixels)))
    const targets = Int32Array.from({ length: net.batch }, (_, i) => i % classes)
    const runs: Record<Phase, number>[] = []
    for (let i = 0; i < warmup + repeats; i++) {
      const seconds = await timeIteration(session, running, (which) => session.load(inputs[which]!, targets))
      if (i >= warmup) runs.push(seconds)
    }
    const evaluations = method.evaluations(methodOptions)
    const summaries = phases.map((phase) => [phase, spread(runs.map((run) => run[phase]))] as const)
    return {
      bench: "step",
      engine: "nasp",
      method: name,
      options: methodOptions,
      evaluations: {
        architecture: evaluationsText(evaluations.architecture),
        weights: evaluationsText(evaluations.weights),
        note: evaluations.note ?? "",
      },
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

async function timeIteration(
  session: NativeSession,
  method: RunningMethod,
  load: (which: 0 | 1) => number,
): Promise<Record<Phase, number>> {
  const epoch = learningEpoch(method)
  const hasArchitectureStep = method.hasArchitectureStep?.(epoch) ?? true
  const batches: StepBatches = {
    train: load(0) as TrainTicket,
    validation: hasArchitectureStep ? (load(1) as ValidationTicket) : null,
  }
  session.memory(true)
  const start = performance.now()
  const { alpha, weights } = await method.step(batches, { step: 0, epoch, stepsPerEpoch: 1, lr: timedLr })
  const total = (performance.now() - start) / 1000
  const weight = weights.forwardSeconds + weights.backwardSeconds + weights.updateSeconds
  return {
    total,
    alpha: total - weight,
    alpha_forward: alpha?.forwardSeconds ?? 0,
    alpha_backward: alpha?.backwardSeconds ?? 0,
    weight,
    weight_forward: weights.forwardSeconds,
    weight_backward: weights.backwardSeconds,
  }
}

function record<T>(entries: [Phase, T][]): Record<Phase, T> {
  return Object.fromEntries(entries) as Record<Phase, T>
}
