/**
 * The case table: every operation of the engine's list, at both strides, over sizes that are awkward on purpose.
 * A new operation needs its entry in test/reference/operations.ts and nothing here.
 */
import type { NamedTensor, NativeAddon, OperationRequest, OperationResult } from "../../src/native.js"
import { random, type Random } from "../reference/map.js"
import { referenceOffKinks } from "../reference/operations.js"

export type CaseRequest = Omit<OperationRequest, "precision">

export interface Case {
  name: string
  op: string
  /** Draws the numbers and works out what is expected of them: only for a test that runs. */
  draw(): { request: CaseRequest; expected: OperationResult }
  /** Largest error in float32, relative to the tensor's largest magnitude; why it is not 1e-4 is said below. */
  tolerance: number
}

interface Size {
  batch: number
  channels: number
  height: number
  width: number
  strides?: (1 | 2)[]
  ops?: string[]
}

// Lanes are 4, 8 or 16 images; tiles are a few channels; pieces are bands of rows.
const sizes: Size[] = [
  { batch: 3, channels: 5, height: 6, width: 6 }, // fills no block
  { batch: 5, channels: 7, height: 4, width: 4 }, // smaller than the reach of 7x7 and of dilated 5x5
  { batch: 35, channels: 6, height: 8, width: 8 }, // several blocks and a remainder
  { batch: 20, channels: 6, height: 5, width: 7 }, // odd, not square
  { batch: 16, channels: 17, height: 3, width: 9 }, // one block exactly; one channel beyond the tiles
  { batch: 6, channels: 8, height: 2, width: 2 }, // smaller than the reach of every kernel
  { batch: 9, channels: 6, height: 1, width: 1, strides: [1] },
  { batch: 2, channels: 4, height: 18, width: 12 }, // rows that are no multiple of 4
  { batch: 2, channels: 16, height: 12, width: 64 }, // several pieces of work an image
  { batch: 1, channels: 40, height: 10, width: 8 }, // one image
  { batch: 18, channels: 20, height: 8, width: 12 }, // Winograd's tiles, more than one group of its outputs
  { batch: 5, channels: 34, height: 8, width: 8 }, // and those of a row and of a column, strided too
  { batch: 6, channels: 16, height: 4, width: 4 }, // fewer tiles than a group
  ...[19, 21, 22].map((channels) => ({
    ...{ batch: 3, channels, height: 8, width: 8, strides: [1 as const] }, // groups of 1, 2 and 3 at the end
    ops: ["conv_3x3", "conv_7x1_1x7"],
  })),
  { batch: 2, channels: 72, height: 4, width: 16 }, // a row and its taps in blocks
  {
    ...{ batch: 2, channels: 72, height: 4, width: 64, strides: [2] }, // blocks where columns have no tap
    ops: ["conv_1x1", "skip_connect"],
  },
  {
    ...{ batch: 9, channels: 18, height: 48, width: 16, strides: [2] }, // and several pieces of an image
    ops: ["conv_7x1_1x7", "conv_3x3", "conv_3x1_1x3"],
  },
  {
    ...{ batch: 12, channels: 20, height: 48, width: 24, strides: [1] }, // larger than the caches are taken for
    ops: ["max_pool_3x3", "conv_1x1", "conv_3x3", "sep_conv_3x3"],
  },
  {
    ...{ batch: 2, channels: 40, height: 36, width: 24 }, // rings over pieces of more rows than the caches are taken for
    ops: ["sep_conv_3x3", "sep_conv_7x7", "dil_conv_5x5"],
  },
]
const small = sizes.slice(0, 2)
const plain = 1e-4
/** How near an inner ReLU's input may be to 0. */
const kink = 1e-5

/** x as drawn, or made special after drawing. */
interface Special {
  name: string
  change(request: CaseRequest, draw: Random): void
  tolerance: number
}

const specials: Special[] = [
  {
    // The values themselves are rounded at 100 sigma, float32's 6e-8 of it, and convolutions add several of them.
    ...{ name: "mean = 100 sigma", tolerance: 1e-3 },
    change: ({ x, batch, channels, height, width }) => {
      const area = height * width
      for (let n = 0; n < batch; n++)
        for (let i = n * channels * area; i < (n * channels + 1) * area; i++) x[i] = Math.fround(100 + x[i]!)
    },
  },
  {
    // 1 / sqrt(eps) = 316 multiplies what rounding leaves of a constant.
    ...{ name: "sigma = 0", tolerance: 1e-3 },
    change: ({ x, batch, channels, height, width, parameters }) => {
      const area = height * width
      for (let n = 0; n < batch; n++) x.fill(Math.fround(0.7), n * channels * area, (n * channels + 1) * area)
      // Every dense filter bank's first filter is 0, so BatchNorm's input has a constant channel too.
      for (const { shape, data } of parameters) {
        if (shape.length === 4 && shape[1]! > 1) data.fill(0, 0, data.length / shape[0]!)
      }
    },
  },
  {
    // Three values only: many equal maxima, and zeros on ReLU's kink.
    ...{ name: "ties", tolerance: plain },
    change: ({ x }, draw) => x.forEach((_, i) => (x[i] = Math.floor(3 * draw.uniform()) - 1)),
  },
]

/** All cases of all operations that the addon lists. */
export function operationCases(addon: NativeAddon): Case[] {
  const cases: Case[] = []
  for (const { name: op } of addon.operations()) {
    const pool = op.includes("pool")
    for (const stride of [1, 2] as const) {
      const of = (size: Size) => fit(size, op, stride)
      const fitting = sizes.filter(
        (s) => (s.strides?.includes(stride) ?? true) && (s.ops?.includes(op) ?? true),
      )
      for (const size of fitting) {
        cases.push(makeCase(addon, op, stride, of(size), {}))
        if (pool) cases.push(makeCase(addon, op, stride, of(size), { searchPools: true }))
        else cases.push(makeCase(addon, op, stride, of(size), { affine: true }))
      }
      for (const size of small) {
        cases.push(makeCase(addon, op, stride, of(size), { training: false, searchPools: pool }))
        if (!pool) cases.push(makeCase(addon, op, stride, of(size), { training: false, affine: true }))
      }
      for (const special of specials) {
        cases.push(
          makeCase(addon, op, stride, of({ ...sizes[3]!, batch: 18 }), { searchPools: pool, special }),
        )
      }
    }
  }
  return cases
}

/** The factorized reduction needs even channels. */
function fit(size: Size, op: string, stride: number): Size {
  if (op !== "skip_connect" || stride === 1) return size
  return { ...size, channels: size.channels + (size.channels % 2) }
}

interface Variant {
  affine?: boolean
  training?: boolean
  searchPools?: boolean
  special?: Special
}

export function makeCase(
  addon: NativeAddon,
  op: string,
  stride: 1 | 2,
  { batch, channels, height, width }: Size,
  { affine = false, training = true, searchPools = false, special }: Variant,
): Case {
  const words = [op, `stride ${stride}`, `${batch}x${channels}x${height}x${width}`]
  if (affine) words.push("affine")
  if (searchPools) words.push("in search")
  if (!training) words.push("evaluation")
  if (special) words.push(special.name)
  const name = words.join(", ")
  const drawRequest = (attempt: number): CaseRequest => {
    const draw = random(`${name} ${attempt}`)
    const request: CaseRequest = {
      ...{ op, stride, batch, channels, height, width, affine, training, searchPools },
      x: draw.normals(batch * channels * height * width),
      dy: draw.normals(batch * channels * Math.ceil(height / stride) * Math.ceil(width / stride)),
      parameters: addon
        .operationTensors(op, channels, stride, affine, searchPools)
        .map(({ name, shape }) => ({ name, shape, data: drawTensor(name, shape, draw) })),
    }
    special?.change(request, draw)
    return request
  }
  // A value that rounding moves across an inner ReLU's kink changes gradients by whole terms: take other numbers.
  const draw = () => {
    for (let attempt = 0; ; attempt++) {
      const request = drawRequest(attempt)
      const expected = referenceOffKinks(request, kink)
      if (expected) return { request, expected }
    }
  }
  return { name, op, draw, tolerance: special?.tolerance ?? plain }
}

/** Filters at 1 / sqrt(fan in); scales around 1; running variances positive. */
function drawTensor(name: string, shape: number[], draw: Random): NamedTensor["data"] {
  const size = shape.reduce((a, b) => a * b, 1)
  if (shape.length === 4) return draw.normals(size, Math.sqrt(shape[0]! / size))
  const values = draw.normals(size, 0.3)
  if (name.endsWith("weight")) return values.map((v) => Math.fround(1 + v))
  if (name.endsWith("running_var")) return values.map((v) => Math.fround(0.5 + v * v))
  return values
}
