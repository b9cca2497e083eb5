/**
 * The slow specification of the layers: loops in double precision, every sum in plain order, zero padding.
 * Forward and backward are neighbours; `dx` is the gradient of `x`. Definitions as in PyTorch.
 */
import { featureMap, plane, type FeatureMap } from "./map.js"

/** [down, across] */
export type Pair = readonly [number, number]

export interface ConvShape {
  /** Output channels. */
  channels: number
  kernel: Pair
  stride: Pair
  padding: Pair
  dilation: number
  /** One filter a channel (groups = channels). */
  depthwise: boolean
}

function outputSize(size: number, kernel: number, stride: number, padding: number, dilation: number): number {
  return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
}

/** Calls visit(output index, input index, weight index) for every product of the convolution. */
function eachProduct(
  x: FeatureMap,
  y: FeatureMap,
  { kernel, stride, padding, dilation, depthwise }: ConvShape,
  visit: (o: number, i: number, w: number) => void,
): void {
  const inputs = depthwise ? 1 : x.channels // a filter's input channels
  for (let n = 0; n < x.batch; n++)
    for (let co = 0; co < y.channels; co++)
      for (let k = 0; k < inputs; k++) {
        const from = plane(x, n, depthwise ? co : k)
        for (let a = 0; a < y.height; a++)
          for (let b = 0; b < y.width; b++) {
            const o = plane(y, n, co) + a * y.width + b
            for (let i = 0; i < kernel[0]; i++) {
              const row = a * stride[0] - padding[0] + i * dilation
              if (row < 0 || row >= x.height) continue
              for (let j = 0; j < kernel[1]; j++) {
                const column = b * stride[1] - padding[1] + j * dilation
                if (column < 0 || column >= x.width) continue
                visit(o, from + row * x.width + column, ((co * inputs + k) * kernel[0] + i) * kernel[1] + j)
              }
            }
          }
      }
}

/** w: (O, I, kh, kw), I = 1 if depthwise. */
export function conv(x: FeatureMap, w: Float64Array, shape: ConvShape): FeatureMap {
  const { channels, kernel, stride, padding, dilation } = shape
  const height = outputSize(x.height, kernel[0], stride[0], padding[0], dilation)
  const width = outputSize(x.width, kernel[1], stride[1], padding[1], dilation)
  const y = featureMap(x.batch, channels, height, width)
  eachProduct(x, y, shape, (o, i, k) => {
    y.data[o]! += x.data[i]! * w[k]!
  })
  return y
}

export function convBackward(
  dy: FeatureMap,
  x: FeatureMap,
  w: Float64Array,
  shape: ConvShape,
): { dx: FeatureMap; dw: Float64Array } {
  const dx = featureMap(x.batch, x.channels, x.height, x.width)
  const dw = new Float64Array(w.length)
  eachProduct(x, dy, shape, (o, i, k) => {
    dx.data[i]! += dy.data[o]! * w[k]!
    dw[k]! += dy.data[o]! * x.data[i]!
  })
  return { dx, dw }
}

export function relu(x: FeatureMap): FeatureMap {
  return { ...x, data: x.data.map((v) => (v > 0 ? v : 0)) }
}

/** Nothing passes at exactly 0. */
export function reluBackward(dy: FeatureMap, x: FeatureMap): FeatureMap {
  return { ...x, data: dy.data.map((g, i) => (x.data[i]! > 0 ? g : 0)) }
}

/** BatchNorm's state: weight and bias where it is affine. */
export interface Norm {
  weight?: Float64Array
  bias?: Float64Array
  runningMean: Float64Array
  runningVar: Float64Array
}

export interface NormSaved {
  /** (x - mean) / sqrt(var + eps) */
  normalised: FeatureMap
  /** 1 / sqrt(var + eps), one a channel. */
  scale: Float64Array
}

const eps = 1e-5
const momentum = 0.1

/**
 * Training: the batch's mean and biased variance; the running statistics move by the momentum, with the unbiased
 * variance. Evaluation: the running statistics. Two passes over x, so the variance does not cancel.
 */
export function batchNorm(
  x: FeatureMap,
  norm: Norm,
  training: boolean,
): { y: FeatureMap; after: Norm; saved: NormSaved } {
  const area = x.height * x.width
  const count = x.batch * area
  const y = featureMap(x.batch, x.channels, x.height, x.width)
  const normalised = featureMap(x.batch, x.channels, x.height, x.width)
  const scale = new Float64Array(x.channels)
  const after = { ...norm, runningMean: norm.runningMean.slice(), runningVar: norm.runningVar.slice() }
  for (let c = 0; c < x.channels; c++) {
    let mean = norm.runningMean[c]!
    let variance = norm.runningVar[c]!
    if (training) {
      mean = sumChannel(x, c, (v) => v) / count
      const squares = sumChannel(x, c, (v) => (v - mean) ** 2)
      variance = squares / count
      after.runningMean[c] = (1 - momentum) * norm.runningMean[c]! + momentum * mean
      after.runningVar[c] = (1 - momentum) * norm.runningVar[c]! + (momentum * squares) / (count - 1)
    }
    scale[c] = 1 / Math.sqrt(variance + eps)
    for (let n = 0; n < x.batch; n++)
      for (let i = plane(x, n, c); i < plane(x, n, c) + area; i++) {
        normalised.data[i] = (x.data[i]! - mean) * scale[c]!
        y.data[i] = normalised.data[i]! * (norm.weight?.[c] ?? 1) + (norm.bias?.[c] ?? 0)
      }
  }
  return { y, after, saved: { normalised, scale } }
}

export function batchNormBackward(
  dy: FeatureMap,
  norm: Norm,
  training: boolean,
  { normalised, scale }: NormSaved,
): { dx: FeatureMap; dweight: Float64Array; dbias: Float64Array } {
  const area = dy.height * dy.width
  const count = dy.batch * area
  const dx = featureMap(dy.batch, dy.channels, dy.height, dy.width)
  const dweight = new Float64Array(dy.channels)
  const dbias = new Float64Array(dy.channels)
  for (let c = 0; c < dy.channels; c++) {
    dbias[c] = sumChannel(dy, c, (g) => g)
    dweight[c] = sumChannel(dy, c, (g, i) => g * normalised.data[i]!)
    const factor = scale[c]! * (norm.weight?.[c] ?? 1)
    for (let n = 0; n < dy.batch; n++)
      for (let i = plane(dy, n, c); i < plane(dy, n, c) + area; i++) {
        const centred = dy.data[i]! - (dbias[c]! + normalised.data[i]! * dweight[c]!) / count
        dx.data[i] = factor * (training ? centred : dy.data[i]!)
      }
  }
  return { dx, dweight, dbias }
}

function sumChannel(map: FeatureMap, c: number, term: (value: number, index: number) => number): number {
  const area = map.height * map.width
  let sum = 0
  for (let n = 0; n < map.batch; n++)
    for (let i = plane(map, n, c); i < plane(map, n, c) + area; i++) sum += term(map.data[i]!, i)
  return sum
}

/** Calls visit(output index, input indices of the window, padding left out, row major). */
function eachWindow(
  x: FeatureMap,
  y: FeatureMap,
  kernel: number,
  stride: number,
  visit: (o: number, window: number[]) => void,
): void {
  const padding = (kernel - 1) / 2
  for (let n = 0; n < x.batch; n++)
    for (let c = 0; c < x.channels; c++)
      for (let a = 0; a < y.height; a++)
        for (let b = 0; b < y.width; b++) {
          const window: number[] = []
          for (let row = a * stride - padding; row < a * stride - padding + kernel; row++)
            for (let column = b * stride - padding; column < b * stride - padding + kernel; column++)
              if (row >= 0 && row < x.height && column >= 0 && column < x.width)
                window.push(plane(x, n, c) + row * x.width + column)
          visit(plane(y, n, c) + a * y.width + b, window)
        }
}

export type Pool = "max" | "avg"

/** Odd kernel, padding (kernel - 1) / 2. The average is over the pixels of the map alone. */
export function pool(x: FeatureMap, mode: Pool, kernel: number, stride: number): FeatureMap {
  const padding = (kernel - 1) / 2
  const [height, width] = [x.height, x.width].map((s) => outputSize(s, kernel, stride, padding, 1)) as [
    number,
    number,
  ]
  const y = featureMap(x.batch, x.channels, height, width)
  eachWindow(x, y, kernel, stride, (o, window) => {
    const values = window.map((i) => x.data[i]!)
    y.data[o] = mode === "max" ? Math.max(...values) : values.reduce((a, b) => a + b, 0) / values.length
  })
  return y
}

/** Of equal maxima the first in row-major order takes the gradient, of several NaN the last: PyTorch's rule. */
export function poolBackward(
  dy: FeatureMap,
  x: FeatureMap,
  mode: Pool,
  kernel: number,
  stride: number,
): FeatureMap {
  const dx = featureMap(x.batch, x.channels, x.height, x.width)
  eachWindow(x, dy, kernel, stride, (o, window) => {
    if (mode === "max") {
      const largest = Math.max(...window.map((i) => x.data[i]!))
      const winner = Number.isNaN(largest)
        ? window.filter((i) => Number.isNaN(x.data[i])).at(-1)
        : window.find((i) => x.data[i] === largest)
      dx.data[winner!]! += dy.data[o]!
    } else {
      for (const i of window) dx.data[i]! += dy.data[o]! / window.length
    }
  })
  return dx
}
