/** One operation alone, as the addon computes and times it (NativeAddon.runOperation, timeOperation): verify, tests, benches. */
import type { Precision, ProbePrecision } from "./native.js"

export interface NamedTensor {
  name: string
  shape: number[]
  data: Float64Array
}

export interface OperationRequest {
  op: string
  channels: number
  height: number
  width: number
  batch: number
  stride: 1 | 2
  affine: boolean
  /** false: running statistics. Default true. */
  training?: boolean
  /** Pools followed by BatchNorm, as in search cells. Default false. */
  searchPools?: boolean
  precision: Precision
  /** As a session's. */
  probePrecision?: ProbePrecision
  isa?: string
  threads?: number
  x: Float64Array
  dy: Float64Array
  parameters: NamedTensor[]
}

export interface OperationResult {
  yShape: number[]
  y: Float64Array
  dx: Float64Array
  /** <dy, y> as the probe mode finds it without storing y. */
  probe: number
  dw: NamedTensor[]
  buffers: NamedTensor[]
}

export type OperationPass = "forward" | "probe" | "backward" | "both"
