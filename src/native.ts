/**
 * The native addon as TypeScript sees it. Only this file loads it; everything above speaks these types.
 * The C++ counterpart, with the same names in snake_case, is native/net/session.h.
 */
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"

import { NaspError } from "./errors.js"
import type { OperationPass, OperationRequest, OperationResult } from "./native-operation.js"

export type * from "./native-operation.js"

export type Precision = "f32" | "f64"
/** Of the products of probes. */
export type ProbePrecision = "f32" | "bf16"
/** A tensor's values: Float32Array for precision f32, Float64Array for f64. */
export type Values = Float32Array | Float64Array
export type TensorGroup = "parameter" | "buffer" | "alpha" | "momentum" | "adam" | "gradient" | "selection"

export interface TensorInfo {
  /** state_dict name of quark0/darts; see native/net/session.h for the other groups' names. */
  name: string
  group: TensorGroup
  /** O, I, H, W */
  shape: number[]
}

export interface NativeSessionOptions {
  channels: number
  layers: number
  classes: number
  imageSize: number
  imageChannels: number
  /** Largest batch that will be queued. */
  batch: number
  /** Candidate operations, canonical names. */
  normal: string[]
  reduce: string[]
  precision: Precision
  /**
   * bf16: probes multiply channels in bfloat16 (AVX512-BF16), which takes less time and rounds the gradients of the operations
   * that are not selected. Only beside precision f32. Default f32.
   */
  probePrecision?: ProbePrecision
  /** "" = NASP_ISA or the best of this machine; cuda and cuda-emulated are named like instruction sets. */
  isa: string
  /** 0 = what the process may use. */
  threads: number
  /** Operations see one channel in so many; the others go by (PC-DARTS). Default 1. */
  partialChannels?: number
  dense: boolean
  seed: number
}

export interface AugmentOptions {
  /** Zero padding before the random crop, 0 = no crop. */
  pad: number
  flip: boolean
  /** Side of the square in pixels, 0 = off. */
  cutout: number
  seed: number
  /** Image i draws at counter + i. */
  counter: number
}

export interface DiscretiseOptions {
  value: "one" | "kept"
  edges: "two" | "all"
  epsilon: number
  counter: number
}

/** What becomes of an entry of the mixture: not run at all; measured where gradients are wanted; run, stored and differentiated. */
export const use = { absent: 0, probed: 1, propagated: 2 } as const

export interface AlphaUpdateOptions {
  /** sgd: plain gradient, without state. Default adam. */
  optimizer?: "adam" | "sgd"
  /** After the step: clipped to [0, 1] (default), as it is, or the discrete matrix itself (clipped). */
  projection?: "box" | "none" | "discrete"
  lr: number
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
  eta: number
  /** One entry a candidate; empty = this cell type is not regularised. */
  costNormal: number[]
  costReduce: number[]
  costOn: "discrete" | "alpha"
  /** Of the mixture that follows; left out: the mixture stays as it is. */
  discretise?: DiscretiseOptions
}

export interface GradientOptions {
  /** Of the weights too (`grad.<parameter>`, the weight vector `gradient`). */
  weights?: boolean
  /** `grad.nodes.<alpha>` too. */
  nodeSums?: boolean
  /** BatchNorm's running statistics stay as they were. */
  keepStatistics?: boolean
  /** The ticket is not used up. */
  keepBatch?: boolean
}

export interface WeightUpdateOptions {
  lr: number
  momentum: number
  weightDecay: number
  /** Largest gradient norm; 0 = no clipping. */
  clip: number
  nesterov?: boolean
  unselected: "skipped" | "decayed"
  /** false: compute gradients only. */
  apply: boolean
  /** `grad.<alpha>` too, from the same pass. */
  mixture?: boolean
  /** The ticket is not used up. */
  keepBatch?: boolean
}

export interface StepResult {
  loss: number
  correct: number
  count: number
  forwardSeconds: number
  backwardSeconds: number
  /** Of a weight step: gradient norm, clipping, SGD. */
  updateSeconds: number
  /** Until the step had its batch: waiting for it, and taking it into the engine's layout. */
  waitSeconds: number
  /** What preparing it took on the loader's thread, beside the steps; told by the first step that uses it. */
  prepareSeconds: number
  gradientNorm: number
  /** (count, classes) */
  logits: Float64Array
}

/** Registered once; steps carry indices. */
export interface NativeDataset {
  readonly count: number
}

export interface NativeSession {
  /** The configuration with isa and threads as chosen. */
  readonly options: NativeSessionOptions
  readonly lanes: number
  tensors(): TensorInfo[]
  read(name: string): Values
  write(name: string, data: Values): void
  /** Starts the preparation of a batch and returns its ticket, to be given to one step. */
  queue(dataset: NativeDataset, indices: Uint32Array, augment: AugmentOptions): number
  /** A batch by value: (N, C, H, W). */
  load(x: Values, targets: Int32Array): number
  /** The mixture (what a node sums) from alpha, as in NASP. */
  discretise(options: DiscretiseOptions): void
  /** The mixture of one cell type entry by entry, (14, K) each: weights, and of `use` what becomes of them. */
  setMixture(type: "normal" | "reduce", weight: Float64Array, use: Uint8Array): void
  /** Partial channels: the weights (14) of what goes by on each edge. Their gradient: `grad.bypass.<alpha>`. */
  setBypass(type: "normal" | "reduce", weight: Float64Array): void
  /** From here on, in steps, dropout of `rate` behind identity skips that are propagated (probes measure them without); `counter` (below 2^32): of the masks. */
  skipDropout(rate: number, counter: number): void
  /**
   * The net anew with so many cells and weights from `seed`; alpha and optimizers too. Queued batches stay. Where it fails, no
   * net is left: what needs one throws ERR_NASP_DISPOSED until the next rebuild.
   */
  rebuild(layers: number, seed: number): void
  /** `grad.<alpha>` = dL/dmixture: exact, every entry that is not absent. */
  architectureGradient(ticket: number, options?: GradientOptions): Promise<StepResult>
  /**
   * A step on alpha with what `grad.<alpha>` holds: the last pass's gradient, or what was written there since. A matrix whose gradient is
   * not finite stays as it is (Adam's count of steps, which both share, goes on).
   */
  updateAlpha(options: AlphaUpdateOptions): void
  weightStep(ticket: number, options: WeightUpdateOptions): Promise<StepResult>
  /** The mixture's net with running statistics, or with the batch's own (the running ones stay as they were). */
  evaluate(ticket: number, options?: { batchStatistics?: boolean }): Promise<StepResult>
  /**
   * Vectors over all weights, by name: `weights`, `momentum`, `gradient` (of the last step that went backward; 0 where it gave none), and
   * any others, made by naming them as `to`. to = sum of factor * vector; a copy where there is one factor, 1.
   */
  combine(to: string, terms: Record<string, number>): void
  /** Euclidean norm of such a vector. */
  norm(vector: string): number
  /** The running step rejects with ERR_NASP_ABORTED. */
  cancel(): void
  /** Bytes: peak of activations since the last reset, and all that the engine holds beside them. */
  memory(reset?: boolean): { peakActivations: number; allocated: number }
  /** Since the net was built: launches put into a device's queue, and waits of the host for it. null on a CPU. */
  deviceCounts(): { launches: number; waits: number } | null
  /** Cancels, waits for the running step and frees. Idempotent; later calls throw ERR_NASP_DISPOSED. */
  dispose(): void
}

export interface NativeInfo {
  version: string
  compiler: string
  /** Instruction sets in this binary, best first. */
  built: string[]
  /** Those of them that this machine can run. */
  available: string[]
  /** The one that sessions use, NASP_ISA included. */
  chosen: string
  /** Whether sessions on it can have probePrecision bf16. */
  bf16Probes: boolean
  /** Threads that this process may use (affinity and cgroup quota). */
  threads: number
}

/** What stands between this machine and a CUDA device. */
export interface CudaStatus {
  /** Its name; null where there is none that can be used. */
  device: string | null
  /** Why not, and what to install. */
  absence: string | null
  /** Versions of runtime, driver, cuDNN and cuBLAS; null where the library does not load. */
  libraries: string | null
}

export interface NativeAddon {
  info(): NativeInfo
  /** Opens the CUDA library, which takes a second and 200 MB. */
  cudaStatus(): CudaStatus
  Dataset: new (options: {
    images: Uint8Array
    labels: Uint8Array
    channels: number
    height: number
    width: number
    mean: number[]
    std: number[]
  }) => NativeDataset
  Session: new (options: NativeSessionOptions) => NativeSession
  operations(): { name: string; aliases: string[] }[]
  operationCost(
    op: string,
    channels: number,
    size: number,
    stride: number,
  ): { parameters: number; multiplyAdds: number }
  operationTensors(
    op: string,
    channels: number,
    stride: number,
    affine: boolean,
    searchPools: boolean,
  ): TensorInfo[]
  runOperation(request: OperationRequest): OperationResult
  /** Seconds of each repeat; x and dy are random. Runs off the main thread. */
  timeOperation(
    request: Omit<OperationRequest, "x" | "dy" | "parameters">,
    pass: OperationPass,
    repeats: number,
  ): Promise<number[]>
  /**
   * What the machine reaches now: multiply-adds in float32 registers (2 FLOPs each) under an instruction set ("" = the
   * chosen one), and a read + write stream through memory, both on `threads` threads (0 = all). About a second.
   */
  machineBounds(isa: string, threads: number): { gflops: number; gbps: number }
  /** A permutation of 0..n-1 and standard normals from the counter-based generator (native/core/rng.h). */
  permutation(seed: number, substream: number, n: number): Uint32Array
  normals(seed: number, substream: number, n: number): Float64Array
  /** n (at most 4096) uniform numbers in (0, 1): draw `counter` (below 2^43) of a substream. */
  uniforms(seed: number, substream: number, counter: number, n: number): Float64Array
  /** Cancels the running steps of all this thread's sessions: a process that exits need not wait for them. */
  cancelAll(): void
  /** Handed once: native errors become instances of it. */
  setErrorClass(type: typeof NaspError): void
}

const require = createRequire(import.meta.url)
const packageFolder = fileURLToPath(new URL("..", import.meta.url))
let addon: NativeAddon | undefined

/** The addon, loaded at the first call. Throws ERR_NASP_ADDON, with what to do, where it cannot be loaded. */
export function loadNative(): NativeAddon {
  if (addon) return addon
  try {
    const load = require("node-gyp-build") as (folder: string) => NativeAddon
    const loaded = load(packageFolder)
    loaded.setErrorClass(NaspError)
    process.once("exit", () => loaded.cancelAll())
    addon = loaded
    return addon
  } catch (error) {
    throw new NaspError("ERR_NASP_ADDON", remedies(error), { cause: error })
  }
}

function remedies(error: unknown): string {
  return [
    `The native addon of nasp could not be loaded on ${process.platform}-${process.arch}, Node ${process.version}:`,
    `  ${String(error instanceof Error ? error.message : error).trim()}`,
    "What may help:",
    `  - build it: \`npm run build:native\` in ${packageFolder}`,
    "    (a C++20 compiler, g++ >= 12 or clang >= 16, and CMake; without CMake, make and Python 3)",
    "  - if packages were installed with --ignore-scripts: `npm rebuild nasp --foreground-scripts`",
    "  - if node_modules was copied from another machine: install again on this one",
  ].join("\n")
}
