/** Small sessions, batches and iterations for the tests of the net. */
import {
  loadNative,
  type AlphaUpdateOptions,
  type DiscretiseOptions,
  type NativeSession,
  type NativeSessionOptions,
  type Precision,
  type StepResult,
  type Values,
  type WeightUpdateOptions,
} from "../../src/native.js"
import { findSpace } from "../../src/spaces/index.js"
import { random } from "../reference/map.js"

export const addon = loadNative()

export function values(precision: Precision, data: ArrayLike<number>): Values {
  return precision === "f32" ? Float32Array.from(data) : Float64Array.from(data)
}

/** A net of 3 cells on 8 x 8 images of 4 classes in the space `space`, its matrices drawn. */
export function makeSession(space: string, options: Partial<NativeSessionOptions> = {}): NativeSession {
  const { normal, reduce } = findSpace(space)
  const session = new addon.Session({
    ...{ channels: 2, layers: 3, classes: 4, imageSize: 8, imageChannels: 3, batch: 5 },
    ...{
      normal: [...normal],
      reduce: [...reduce],
      precision: "f64",
      isa: "",
      threads: 2,
      dense: false,
      seed: 1,
    },
    ...options,
  })
  drawAlphas(session, "alphas")
  return session
}

export function drawAlphas(session: NativeSession, seed: string): void {
  const draw = random(seed)
  for (const { name, group, shape } of session.tensors()) {
    if (group !== "alpha") continue
    const size = shape[0]! * shape[1]!
    session.write(
      name,
      values(
        session.options.precision,
        draw.normals(size, 0.1).map((v) => 0.5 + v),
      ),
    )
  }
}

/** Batch `index` of a fixed series, as a ticket. */
export function loadBatch(session: NativeSession, index: number, count = session.options.batch): number {
  const { imageChannels, imageSize, classes, precision } = session.options
  const draw = random(`batch ${index}`)
  const x = draw.normals(count * imageChannels * imageSize * imageSize)
  const targets = Int32Array.from({ length: count }, () => Math.floor(classes * draw.uniform()))
  return session.load(values(precision, x), targets)
}

export const discrete: DiscretiseOptions = { value: "one", edges: "two", epsilon: 0, counter: 0 }

/** Steps large enough for selections to change within a few iterations. */
export const alphaUpdate: AlphaUpdateOptions = {
  ...{ lr: 0.05, beta1: 0.5, beta2: 0.999, eps: 1e-8, weightDecay: 1e-3 },
  ...{ eta: 0, costNormal: [], costReduce: [], costOn: "discrete", discretise: discrete },
}

export const weightUpdate: WeightUpdateOptions = {
  ...{ lr: 0.025, momentum: 0.9, weightDecay: 3e-4, clip: 5, unselected: "skipped", apply: true },
}

/** Iterations of NASP, from first to before last; D must be there (discretise). */
export async function iterate(session: NativeSession, first: number, last: number): Promise<StepResult[]> {
  const results: StepResult[] = []
  for (let i = first; i < last; i++) {
    results.push(await session.architectureGradient(loadBatch(session, 2 * i + 1)))
    session.updateAlpha(alphaUpdate)
    results.push(await session.weightStep(loadBatch(session, 2 * i), weightUpdate))
  }
  return results
}

/** A tensor in double precision, whatever the session's. */
export function numbers(session: NativeSession, name: string): Float64Array {
  return Float64Array.from(session.read(name))
}

/** Every tensor that is state: not gradients, and not the selection, which follows from alpha. */
export function state(session: NativeSession): Map<string, Values> {
  const kept = session.tensors().filter(({ group }) => group !== "gradient" && group !== "selection")
  return new Map(kept.map(({ name }) => [name, session.read(name)]))
}

export function sameBits(a: Values, b: Values): boolean {
  const bytes = (v: Values) => Buffer.from(v.buffer, v.byteOffset, v.byteLength)
  return bytes(a).equals(bytes(b))
}
