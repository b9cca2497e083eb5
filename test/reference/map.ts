/** A batch of feature maps, (N, C, H, W), row major, in double precision; and the numbers that tests draw. */

export interface FeatureMap {
  batch: number
  channels: number
  height: number
  width: number
  data: Float64Array
}

export function featureMap(
  batch: number,
  channels: number,
  height: number,
  width: number,
  data: Float64Array = new Float64Array(batch * channels * height * width),
): FeatureMap {
  const size = batch * channels * height * width
  if (data.length !== size) throw new Error(`Expected ${size} values for a map but received ${data.length}`)
  return { batch, channels, height, width, data }
}

/** The index of image n, channel c's first element: a plane of height * width follows. */
export function plane(map: FeatureMap, n: number, c: number): number {
  return (n * map.channels + c) * map.height * map.width
}

export interface Random {
  /** [0, 1) */
  uniform(): number
  /** Standard normal. */
  normal(): number
  /** n normals that float32 holds exactly, so that both precisions compute with the same numbers. */
  normals(n: number, scale?: number): Float64Array
}

/** mulberry32; the seed may be any text. */
export function random(seed: string): Random {
  let state = 2166136261
  for (const letter of seed) state = Math.imul(state ^ letter.charCodeAt(0), 16777619)
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
  const normals = (n: number, scale = 1) =>
    Float64Array.from({ length: n }, () => Math.fround(scale * normal()))
  return { uniform, normal, normals }
}

/** The inner product of two arrays of one length. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
