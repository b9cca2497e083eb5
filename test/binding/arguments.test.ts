/** Whatever JavaScript hands in, an error comes out and the process lives. */
import { expect, test } from "vitest"

import { NaspError } from "../../src/errors.js"
import type { OperationPass } from "../../src/native-operation.js"
import { addon, alphaUpdate, discrete, loadBatch, makeSession, weightUpdate } from "../net/sessions.js"

type Loose = Record<string, (...given: unknown[]) => unknown>
const options = { ...makeSession("nasp12").options }
const data = {
  ...{ images: new Uint8Array(2 * 3 * 8 * 8), labels: new Uint8Array(2), channels: 3, height: 8, width: 8 },
  ...{ mean: [0, 0, 0], std: [1, 1, 1] },
}
const dataset = new addon.Dataset(data)
const augment = { pad: 1, flip: true, cutout: 0, seed: 1, counter: 0 }
const session = makeSession("nasp12", { precision: "f32" })
session.discretise(discrete)
const loose = session as unknown as Loose
const Session = addon.Session as unknown as new (given: unknown) => unknown
const Dataset = addon.Dataset as unknown as new (given: unknown) => unknown

function moved(): Uint32Array {
  const array = new Uint32Array(2)
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}

test.each<[string, () => unknown, RegExp]>([
  ["no options", () => new Session(undefined), /Expected an object for options but received undefined/],
  ["a fraction", () => new Session({ ...options, channels: 1.5 }), /for channels but received 1.5/],
  ["NaN", () => new Session({ ...options, layers: NaN }), /for layers but received NaN/],
  ["a negative number", () => new Session({ ...options, seed: -1 }), /for seed but received -1/],
  ["a huge number", () => new Session({ ...options, batch: 1e300 }), /for batch but received 1e\+300/],
  ["no operations", () => new Session({ ...options, normal: [] }), /at least one operation for normal/],
  [
    "a number as operation",
    () => new Session({ ...options, reduce: [3] }),
    /a string for reduce\[0\] but received 3/,
  ],
  [
    "a precision",
    () => new Session({ ...options, precision: "f16" }),
    /"f32", "f64" for precision but received "f16"/,
  ],
  [
    "a misspelled field",
    () => new Session({ ...options, partialChannel: 4 }),
    /the fields channels, layers, .*, partialChannels, .* of options but received "partialChannel"$/,
  ],
  [
    "a field that is undefined",
    () => new Session({ ...options, other: undefined, channels: 0 }),
    /for channels/,
  ],
  ["a truthy flag", () => new Session({ ...options, dense: 1 }), /true or false for dense but received 1/],
  [
    "a missing field",
    () => new Session({ ...options, threads: undefined }),
    /for threads but received undefined/,
  ],
  [
    "short images",
    () => new Dataset({ ...data, images: new Uint8Array(5) }),
    /bytes for images but received 5 bytes/,
  ],
  [
    "float images",
    () => new Dataset({ ...data, images: new Float32Array(384) }),
    /a Uint8Array for images but received a Float32Array/,
  ],
  [
    "no images",
    () => new Dataset({ ...data, images: new Uint8Array(0), labels: new Uint8Array(0) }),
    /at least one image/,
  ],
  ["std below 0", () => new Dataset({ ...data, std: [1, -1e-9, 1] }), /above 0 for std but received -1e-09$/],
  ["a short mean", () => new Dataset({ ...data, mean: [0] }), /one value a channel for mean/],
  [
    "a foreign data set",
    () => loose.queue!({ count: 2 }, new Uint32Array(1), augment),
    /Expected a Dataset for dataset/,
  ],
  [
    "a session as data set",
    () => loose.queue!(session, new Uint32Array(1), augment),
    /Expected a Dataset for dataset/,
  ],
  [
    "a prototype's child",
    () => loose.queue!(Object.create(dataset), new Uint32Array(1), augment),
    /Expected a Dataset/,
  ],
  [
    "an index too large",
    () => session.queue(dataset, Uint32Array.of(0, 2), augment),
    /indices\[1\] but received 2/,
  ],
  [
    "too many indices",
    () => session.queue(dataset, new Uint32Array(6), augment),
    /1 to 5 images for a batch but received 6/,
  ],
  ["a moved buffer", () => session.queue(dataset, moved(), augment), /for a batch but received 0/],
  [
    "signed indices",
    () => loose.queue!(dataset, new Int32Array(1), augment),
    /a Uint32Array for indices but received an Int32Array|a Int32Array/,
  ],
  [
    "an augment field",
    () => loose.queue!(dataset, new Uint32Array(1), { ...augment, pad: -1 }),
    /augment.pad but received -1/,
  ],
  [
    "doubles into floats",
    () => session.write("alphas_normal", new Float64Array(112)),
    /a Float32Array for data but received a Float64Array/,
  ],
  [
    "a short tensor",
    () => session.write("alphas_normal", new Float32Array(3)),
    /112 values for data of alphas_normal but received 3/,
  ],
  [
    "a short batch",
    () => session.load(new Float32Array(5), new Int32Array(1)),
    /192 values for x but received 5/,
  ],
  [
    "a class too many",
    () => session.load(new Float32Array(192), Int32Array.of(4)),
    /targets\[0\] but received 4/,
  ],
  [
    "an epsilon just above 1",
    () => session.discretise({ ...discrete, epsilon: 1 + 1e-9 }),
    /0 to 1 for epsilon but received 1\.000000001$/,
  ],
  [
    "a field too many",
    () => session.updateAlpha({ ...alphaUpdate, discretise: { ...discrete, tau: 1 } } as typeof alphaUpdate),
    /the fields value, edges, epsilon, counter of discretise but received "tau"$/,
  ],
  ["a rate just below 0", () => session.skipDropout(-1e-9, 0), /for rate but received -1e-09$/],
  [
    "an average that nothing enters",
    () => session.updateAlpha({ ...alphaUpdate, beta1: 1 }),
    /0 to below 1 for beta1 but received 1$/,
  ],
  [
    "costs of too few operations",
    () => session.updateAlpha({ ...alphaUpdate, costNormal: [1] }),
    /none or 8 values for the cost of alphas_normal but received 1$/,
  ],
  [
    "images of another size",
    () => session.queue(new addon.Dataset({ ...data, height: 4, width: 16 }), new Uint32Array(1), augment),
    /images of 3 x 8 x 8 but received 3 x 4 x 16/,
  ],
  ["an operation", () => addon.operationCost("conv_9x9", 4, 8, 1), /conv_9x9/],
  [
    "a size beyond the engine's",
    () => new Session({ ...options, layers: 2000 }),
    /a whole number from 3 to 1000 for layers but received 2000/,
  ],
  ["a size below it", () => new Session({ ...options, imageSize: 3 }), /from 4 to 4096 for imageSize/],
  ["too few layers anew", () => session.rebuild(2, 0), /a whole number from 3 to 1000 for layers/],
  [
    "an endless step count",
    () => session.write("adam.step", Float32Array.of(Infinity)),
    /for adam.step but received inf/,
  ],
  [
    "a negative step count",
    () => session.write("adam.step", Float32Array.of(-1)),
    /a whole number from 0 .* for adam.step but received -1/,
  ],
  ["half a step", () => session.write("adam.step", Float32Array.of(1.5)), /for adam.step but received 1.5/],
  ["no step count", () => session.write("adam.step", Float32Array.of(NaN)), /for adam.step/],
  ["an isa", () => new Session({ ...options, isa: "mmx" }), /for isa but received mmx/],
])("%s is refused", (_, call, message) => {
  expect(call).toThrow(message)
  expect(call).toThrow(NaspError)
})

test("an unknown tensor", () => {
  expect(() => session.read("stem")).toThrow(expect.objectContaining({ code: "ERR_NASP_UNKNOWN_TENSOR" }))
})

test("weights are counted beyond 2^31, and so many are not run", async () => {
  expect(addon.operationCost("conv_1x1", 65536, 8, 1)).toEqual({
    ...{ parameters: 65536 ** 2, multiplyAdds: 65536 ** 2 * 64 },
  })
  expect(addon.operationCost("conv_3x3", 16384, 8, 1).parameters).toBe(9 * 16384 ** 2)
  expect(addon.operationCost("conv_7x1_1x7", 65536, 8, 2).parameters).toBe(14 * 65536 ** 2)
  const request = { op: "conv_1x1", channels: 65536, height: 1, width: 1, batch: 1, stride: 1 as const }
  const timed = addon.timeOperation({ ...request, affine: false, precision: "f32" }, "forward", 1)
  await expect(timed).rejects.toMatchObject({ code: "ERR_NASP_SHAPE" })
})

test("BatchNorm is timed, but is no operation", async () => {
  const request = { op: "batch_norm", channels: 4, height: 8, width: 8, batch: 2, stride: 1 as const }
  const timed = (stride: 1 | 2, pass: OperationPass) =>
    addon.timeOperation({ ...request, stride, affine: false, precision: "f32" }, pass, 1)
  expect(await timed(1, "backward")).toEqual([expect.any(Number)])
  await expect(timed(1, "probe")).rejects.toMatchObject({ code: "ERR_NASP_ARGUMENT" })
  await expect(timed(2, "forward")).rejects.toMatchObject({ code: "ERR_NASP_SHAPE" })
  const tensors = { x: new Float64Array(512), dy: new Float64Array(512), parameters: [] }
  expect(() => addon.runOperation({ ...request, ...tensors, affine: false, precision: "f32" })).toThrow(
    /for operation but received batch_norm/,
  )
})

test("a step's bad arguments reject", async () => {
  const codes = { code: "ERR_NASP_ARGUMENT" }
  await expect(loose.evaluate!("x")).rejects.toMatchObject(codes)
  await expect(loose.weightStep!(1)).rejects.toMatchObject(codes)
  await expect(loose.weightStep!(1, { ...weightUpdate, lr: NaN })).rejects.toMatchObject(codes)
})

test("a receiver of another kind", () => {
  for (const type of [addon.Session, addon.Dataset]) {
    const prototype = (type as unknown as { prototype: object }).prototype
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name === "constructor") continue
      const { value, get, set } = Object.getOwnPropertyDescriptor(prototype, name)!
      expect([get, set], `${name} is no accessor: V8 checks receivers of methods alone`).toEqual([
        undefined,
        undefined,
      ])
      for (const self of [dataset, {}, null, Object.create(session) as object])
        expect(() => (value as () => void).call(self), name).toThrow(TypeError)
    }
  }
  for (const self of [dataset, {}])
    expect(Reflect.get((addon.Session as unknown as { prototype: object }).prototype, "options", self)).toBe(
      undefined,
    )
  expect(() => (addon.Session as unknown as () => void)()).toThrow(/without 'new'/)
})

test("options that act while they are read", async () => {
  const victim = makeSession("nasp12", { precision: "f32" })
  victim.discretise(discrete)
  const ticket = loadBatch(victim, 0)
  const trap = {
    ...weightUpdate,
    get lr() {
      victim.dispose()
      return 1
    },
  }
  await expect(victim.weightStep(ticket, trap)).rejects.toMatchObject({ code: "ERR_NASP_DISPOSED" })
  const thrower = Object.defineProperty({ ...options }, "layers", { get: () => fault() })
  expect(() => new Session(thrower)).toThrow("from a getter")
})

test("anything at all, anywhere", async () => {
  const garbage = [
    ...[
      undefined,
      null,
      true,
      -1,
      0,
      1,
      2.5,
      NaN,
      Infinity,
      -1e308,
      2 ** 53,
      10n,
      "",
      "alphas_normal",
      Symbol("s"),
    ],
    ...[[], [1, "x"], new Array(2 ** 32 - 1), {}, () => 1, new Uint32Array(2), new Float32Array(3), moved()],
    ...[
      new Float64Array(192),
      new BigInt64Array(1),
      new DataView(new ArrayBuffer(4)),
      session,
      dataset,
      augment,
    ],
    ...[
      new Proxy({}, { get: () => fault() }),
      discrete,
      weightUpdate,
      Object.create(null),
      new Date(),
      data,
      options,
    ],
  ]
  let state = 1
  const pick = () => garbage[(state = (state * 48271) % 2147483647) % garbage.length]
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(session)).filter(
    (name) => !["constructor", "dispose"].includes(name),
  )
  const functions = [
    "operationCost",
    "operationTensors",
    "runOperation",
    "timeOperation",
    "permutation",
    "normals",
  ]
  for (let i = 0; i < 4000; i++) {
    const onSession = i % 2 === 0
    const names = onSession ? methods : functions
    const target = (onSession ? session : addon) as unknown as Loose
    try {
      await target[names[(i >> 1) % names.length]!]!(pick(), pick(), pick(), pick(), pick())
    } catch (error) {
      expect(error).toBeInstanceOf(Error)
    }
    if (i % 50 === 0)
      for (const type of [Session, Dataset])
        try {
          new type(pick())
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
  }
  expect(() => addon.setErrorClass(3 as never)).toThrow(/Expected a class for type but received 3/)
})

function fault(): never {
  throw new RangeError("from a getter")
}
