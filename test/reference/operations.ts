/**
 * Candidate operations as chains of layers, by quark0/darts cnn/operations.py and NASP-codes: what an operation
 * computes, said once, slowly. Parameters carry their state_dict names relative to the operation.
 * A new operation is one entry of `chains`.
 */
import type { NamedTensor, OperationRequest, OperationResult } from "../../src/native.js"
import * as layers from "./layers.js"
import { dot, featureMap, plane, type FeatureMap } from "./map.js"

type Layer =
  | { kind: "relu" }
  | { kind: "zero"; stride: number }
  | { kind: "pool"; mode: layers.Pool; kernel: number; stride: number }
  | { kind: "conv"; name: string; shape: layers.ConvShape }
  | { kind: "halves" }
  | { kind: "norm"; name: string }

const reluLayer: Layer = { kind: "relu" }
const norm = (name: string): Layer => ({ kind: "norm", name })

function conv(name: string, channels: number, kernel: layers.Pair, stride: layers.Pair): Layer {
  const padding = [(kernel[0] - 1) / 2, (kernel[1] - 1) / 2] as const
  return { kind: "conv", name, shape: { channels, kernel, stride, padding, dilation: 1, depthwise: false } }
}

function depthwise(name: string, channels: number, size: number, stride: number, dilation: number): Layer {
  const padding = (dilation * (size - 1)) / 2
  return {
    kind: "conv",
    name,
    shape: {
      channels,
      kernel: [size, size],
      stride: [stride, stride],
      padding: [padding, padding],
      dilation,
      depthwise: true,
    },
  }
}

const pointwise = (name: string, channels: number) => conv(name, channels, [1, 1], [1, 1])

type Chain = (channels: number, stride: number) => Layer[]

const pooling =
  (mode: layers.Pool, kernel: number): Chain =>
  (_channels, stride) => [{ kind: "pool", mode, kernel, stride }]

const square =
  (k: number): Chain =>
  (c, s) => [reluLayer, conv("op.1", c, [k, k], [s, s]), norm("op.2")]

/** 1 x k first, then k x 1; one BatchNorm at the end. */
const cross =
  (k: number): Chain =>
  (c, s) => [reluLayer, conv("1", c, [1, k], [1, s]), conv("2", c, [k, 1], [s, 1]), norm("3")]

const dilated =
  (k: number): Chain =>
  (c, s) => [reluLayer, depthwise("op.1", c, k, s, 2), pointwise("op.2", c), norm("op.3")]

const separable =
  (k: number): Chain =>
  (c, s) => [
    ...[reluLayer, depthwise("op.1", c, k, s, 1), pointwise("op.2", c), norm("op.3")],
    ...[reluLayer, depthwise("op.5", c, k, 1, 1), pointwise("op.6", c), norm("op.7")],
  ]

export const chains: Record<string, Chain> = {
  none: (_c, stride) => [{ kind: "zero", stride }],
  skip_connect: (_c, s) => (s === 1 ? [] : [reluLayer, { kind: "halves" }, norm("bn")]),
  avg_pool_3x3: pooling("avg", 3),
  max_pool_3x3: pooling("max", 3),
  max_pool_5x5: pooling("max", 5),
  max_pool_7x7: pooling("max", 7),
  conv_1x1: square(1),
  conv_3x3: square(3),
  conv_3x1_1x3: cross(3),
  conv_7x1_1x7: cross(7),
  sep_conv_3x3: separable(3),
  sep_conv_5x5: separable(5),
  sep_conv_7x7: separable(7),
  dil_conv_3x3: dilated(3),
  dil_conv_5x5: dilated(5),
}

export type ReferenceRequest = Pick<
  OperationRequest,
  | "op"
  | "channels"
  | "height"
  | "width"
  | "batch"
  | "stride"
  | "affine"
  | "training"
  | "searchPools"
  | "x"
  | "dy"
  | "parameters"
>

/** The layers of an operation; in search, a pool is followed by BatchNorm (Sequential: the pool is 0, it is 1). */
function chainOf(request: Pick<ReferenceRequest, "op" | "channels" | "stride" | "searchPools">): Layer[] {
  const { op, channels, stride, searchPools } = request
  const chain = chains[op]
  if (!chain) throw new Error(`Expected an entry of test/reference/operations.ts for ${op} but received none`)
  const list = chain(channels, stride)
  return list[0]?.kind === "pool" && searchPools ? [...list, norm("1")] : list
}

/** Runs an operation forward and backward. Running statistics that are not given start at 0 and 1. */
export function referenceOperation(request: ReferenceRequest): OperationResult {
  return referenceOffKinks(request, 0)!
}

/** The same, or null where a value other than 0 that enters a ReLU behind other layers lies nearer to 0 than `nearest`. */
export function referenceOffKinks(request: ReferenceRequest, nearest: number): OperationResult | null {
  const { channels, batch, height, width, affine, training = true, parameters } = request
  const given = new Map(parameters.map((p) => [p.name, p.data]))
  const find = (name: string) => {
    const data = given.get(name)
    if (!data) throw new Error(`Expected a tensor for ${name} but received none`)
    return data
  }
  const dw: NamedTensor[] = []
  const buffers: NamedTensor[] = []
  const vector = (name: string, data: Float64Array): NamedTensor => ({ name, shape: [data.length], data })

  let y: FeatureMap = featureMap(batch, channels, height, width, request.x)
  const backward: ((dy: FeatureMap) => FeatureMap)[] = []
  for (const layer of chainOf(request)) {
    const x = y
    switch (layer.kind) {
      case "relu":
        if (backward.length > 0 && x.data.some((v) => v !== 0 && Math.abs(v) < nearest)) return null
        y = layers.relu(x)
        backward.push((dy) => layers.reluBackward(dy, x))
        break
      case "zero":
        y = featureMap(batch, channels, Math.ceil(height / layer.stride), Math.ceil(width / layer.stride))
        backward.push(() => featureMap(batch, channels, height, width))
        break
      case "pool":
        y = layers.pool(x, layer.mode, layer.kernel, layer.stride)
        backward.push((dy) => layers.poolBackward(dy, x, layer.mode, layer.kernel, layer.stride))
        break
      case "conv": {
        const { name, shape } = layer
        const w = find(`${name}.weight`)
        y = layers.conv(x, w, shape)
        backward.push((dy) => {
          const { dx, dw: data } = layers.convBackward(dy, x, w, shape)
          const filter = [shape.channels, shape.depthwise ? 1 : x.channels, ...shape.kernel]
          dw.push({ name: `${name}.weight`, shape: filter, data })
          return dx
        })
        break
      }
      case "halves":
        y = halves(x, find("conv_1.weight"), find("conv_2.weight"))
        backward.push((dy) => halvesBackward(dy, x, find("conv_1.weight"), find("conv_2.weight"), dw))
        break
      case "norm": {
        const { name } = layer
        const state: layers.Norm = {
          runningMean: given.get(`${name}.running_mean`) ?? new Float64Array(channels),
          runningVar: given.get(`${name}.running_var`) ?? new Float64Array(channels).fill(1),
          ...(affine ? { weight: find(`${name}.weight`), bias: find(`${name}.bias`) } : {}),
        }
        const result = layers.batchNorm(x, state, training)
        y = result.y
        buffers.push(vector(`${name}.running_mean`, result.after.runningMean))
        buffers.push(vector(`${name}.running_var`, result.after.runningVar))
        backward.push((dy) => {
          const { dx, dweight, dbias } = layers.batchNormBackward(dy, state, training, result.saved)
          if (affine) dw.push(vector(`${name}.weight`, dweight), vector(`${name}.bias`, dbias))
          return dx
        })
      }
    }
  }
  let dx = featureMap(batch, channels, y.height, y.width, request.dy)
  for (const step of backward.reverse()) dx = step(dx)
  const yShape = [batch, channels, y.height, y.width]
  return { yShape, y: y.data, dx: dx.data, probe: dot(request.dy, y.data), dw, buffers }
}

// The factorized reduction's two 1x1 convolutions of stride 2, the second one pixel further; concatenated.
const halfShape = (channels: number): layers.ConvShape => ({
  ...{ channels, kernel: [1, 1], stride: [2, 2], padding: [0, 0], dilation: 1, depthwise: false },
})

/** The map from its second row and column on, zeros beyond its edge: PyTorch takes even maps alone, and needs none. */
function shifted(x: FeatureMap): FeatureMap {
  const part = featureMap(x.batch, x.channels, x.height, x.width)
  eachShifted(x, part, (from, to) => (part.data[to] = x.data[from]!))
  return part
}

function eachShifted(x: FeatureMap, part: FeatureMap, visit: (whole: number, part: number) => void): void {
  for (let n = 0; n < x.batch; n++)
    for (let c = 0; c < x.channels; c++)
      for (let a = 1; a < x.height; a++)
        for (let b = 1; b < x.width; b++)
          visit(plane(x, n, c) + a * x.width + b, plane(part, n, c) + (a - 1) * part.width + b - 1)
}

function halves(x: FeatureMap, w1: Float64Array, w2: Float64Array): FeatureMap {
  const shape = halfShape(x.channels / 2)
  const parts = [layers.conv(x, w1, shape), layers.conv(shifted(x), w2, shape)] as const
  const y = featureMap(x.batch, x.channels, parts[0].height, parts[0].width)
  eachHalf(y, parts, (half, from, to, size) => y.data.set(half.data.subarray(from, from + size), to))
  return y
}

function halvesBackward(
  dy: FeatureMap,
  x: FeatureMap,
  w1: Float64Array,
  w2: Float64Array,
  dw: NamedTensor[],
): FeatureMap {
  const channels = x.channels / 2
  const half = () => featureMap(x.batch, channels, dy.height, dy.width)
  const parts = [half(), half()] as const
  eachHalf(dy, parts, (part, to, from, size) => part.data.set(dy.data.subarray(from, from + size), to))
  const first = layers.convBackward(parts[0], x, w1, halfShape(channels))
  const part = shifted(x)
  const second = layers.convBackward(parts[1], part, w2, halfShape(channels))
  eachShifted(x, part, (whole, inner) => (first.dx.data[whole]! += second.dx.data[inner]!))
  dw.push({ name: "conv_1.weight", shape: [channels, x.channels, 1, 1], data: first.dw })
  dw.push({ name: "conv_2.weight", shape: [channels, x.channels, 1, 1], data: second.dw })
  return first.dx
}

function eachHalf(
  whole: FeatureMap,
  parts: readonly [FeatureMap, FeatureMap],
  visit: (half: FeatureMap, inHalf: number, inWhole: number, size: number) => void,
): void {
  for (let n = 0; n < whole.batch; n++)
    parts.forEach((half, h) =>
      visit(
        half,
        plane(half, n, 0),
        plane(whole, n, h * half.channels),
        half.channels * half.height * half.width,
      ),
    )
}

/** Names and shapes of an operation's parameters and running statistics. */
export function parameterShapes(
  request: Pick<ReferenceRequest, "op" | "channels" | "stride" | "affine" | "searchPools">,
): { name: string; shape: number[] }[] {
  const { channels, affine } = request
  const vectors = (name: string, parts: string[]) =>
    parts.map((p) => ({ name: `${name}.${p}`, shape: [channels] }))
  return chainOf(request).flatMap((layer) => {
    switch (layer.kind) {
      case "conv": {
        const { channels: out, depthwise, kernel } = layer.shape
        return [{ name: `${layer.name}.weight`, shape: [out, depthwise ? 1 : channels, ...kernel] }]
      }
      case "halves":
        return ["conv_1.weight", "conv_2.weight"].map((name) => ({
          name,
          shape: [channels / 2, channels, 1, 1],
        }))
      case "norm":
        return vectors(layer.name, [...(affine ? ["weight", "bias"] : []), "running_mean", "running_var"])
      default:
        return []
    }
  })
}
