/** Probes in bfloat16: what they round, what they leave as it is, and where they are refused. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { describe, expect, test } from "vitest"

import { operationCases } from "../ops/cases.js"
import { random } from "../reference/map.js"
import type { NativeSession, OperationRequest } from "../../src/native.js"
import { search } from "../../src/train/search.js"
import {
  addon,
  discrete,
  iterate,
  loadBatch,
  makeSession,
  numbers,
  sameBits,
  state,
  weightUpdate,
} from "./sessions.js"

const { bf16Probes } = addon.info()
const bf16 = { precision: "f32", probePrecision: "bf16" } as const

describe("where they are refused", () => {
  test("beside double precision", () => {
    expect(() => makeSession("nasp12", { precision: "f64", probePrecision: "bf16" })).toThrow(
      /^Expected f32 for probePrecision beside f64 for precision but received bf16$/,
    )
  })
  const others = addon.info().available.filter((isa) => !/^(avx512|zen4)$/.test(isa))
  test.each([...others, "cuda"])("on %s", (isa) => {
    const refusal = `Expected f32 for probePrecision, as AVX512-BF16 is not to be had on ${isa} but received bf16`
    expect(() => makeSession("nasp12", { ...bf16, isa })).toThrow(refusal)
    const { request } = operationCases(addon)[0]!.draw()
    expect(() => addon.runOperation({ ...request, ...bf16, isa })).toThrow(refusal)
  })
  test.skipIf(bf16Probes)("on this processor", () => {
    expect(() => makeSession("nasp12", { ...bf16 })).toThrow(/AVX512-BF16 is not to be had/)
  })
})

describe.skipIf(!bf16Probes)("of an operation (skipped without AVX512-BF16)", () => {
  // Of what the sum would be if nothing cancelled. Factors are rounded to 8 bits; BatchNorm over few values makes more of it.
  const rounding = 0.004
  // A block and a remainder, odd channels and pairs of them, several pieces, Winograd's forms, blocks of channels.
  const sizes = [
    "35x6x8x8",
    "16x17x3x9",
    "5x7x4x4",
    "2x16x12x64",
    "18x20x8x12",
    "5x34x8x8",
    "3x19x8x8",
    "2x72x4x16",
  ]
  const some = operationCases(addon).filter(
    ({ op, name }) => /conv/.test(op) && sizes.some((size) => name.endsWith(size)),
  )

  test.each(some.map((c) => [c.name, c] as const))(
    "%s: the probe is near, all else has float32's bits",
    (name, { draw }) => {
      const { request, expected } = draw()
      const exact = addon.runOperation({ ...request, precision: "f32", threads: 1 })
      const { probe, ...rest } = addon.runOperation({ ...request, ...bf16, threads: 1 })
      const size = expected.y.reduce((sum, v, i) => sum + Math.abs(v * request.dy[i]!), 0)
      expect(Math.abs(probe - expected.probe)).toBeLessThanOrEqual(rounding * Math.max(size, 1e-2))
      const byWinograd = request.stride === 1 && name.endsWith("18x20x8x12")
      if (byWinograd || /conv_1x1$|sep_|dil_/.test(request.op)) expect(probe).not.toBe(exact.probe)
      expect({ ...rest, probe: exact.probe }).toEqual(exact)
      expect(addon.runOperation({ ...request, ...bf16, threads: 3 }).probe).toBe(probe)
    },
  )

  // Products whose factors bfloat16 holds as they are: pixels 0, 1, 2 and weights -1, 0, 1; sums of 49 of them are below 256.
  test.each([
    ["conv_1x1", 16, 1],
    ["conv_1x1", 35, 1],
    ["conv_1x1", 18, 2],
    ["dil_conv_3x3", 16, 1],
    ["dil_conv_3x3", 7, 2],
    ["dil_conv_5x5", 33, 1],
    ["dil_conv_5x5", 64, 2],
  ] as const)("%s of %i channels at stride %i: exact where nothing is rounded", (op, channels, stride) => {
    const draw = random(`${op} ${channels}`)
    const whole = (n: number, low: number) =>
      Float64Array.from({ length: n }, () => low + Math.floor(3 * draw.uniform()))
    const [batch, size] = [18, 10]
    const request: OperationRequest = {
      ...{ op, channels, stride, batch, height: size, width: size, affine: false, precision: "f32" },
      x: whole(batch * channels * size * size, 0),
      dy: draw.normals(batch * channels * Math.ceil(size / stride) ** 2),
      parameters: addon
        .operationTensors(op, channels, stride, false, false)
        .filter(({ group }) => group === "parameter")
        .map(({ name, shape }) => ({
          name,
          shape,
          data: whole(
            shape.reduce((a, b) => a * b, 1),
            -1,
          ),
        })),
    }
    const { y, probe } = addon.runOperation({ ...request, precision: "f64" })
    const all = y.reduce((sum, v, i) => sum + Math.abs(v * request.dy[i]!), 0)
    expect(Math.abs(addon.runOperation({ ...request, ...bf16 }).probe - probe) / all).toBeLessThan(1e-6)
  })
})

describe.skipIf(!bf16Probes)("of a net (skipped without AVX512-BF16)", () => {
  const wide = { channels: 16, batch: 20, imageSize: 16 }
  const used = async <T>(
    session: NativeSession,
    body: (session: NativeSession) => Promise<T>,
  ): Promise<T> => {
    try {
      session.discretise(discrete)
      return await body(session)
    } finally {
      session.dispose()
    }
  }
  const gradients = (session: NativeSession) =>
    ["normal", "reduce"].map((type) => ({
      gradient: numbers(session, `grad.alphas_${type}`),
      selected: numbers(session, `selected.alphas_${type}`),
    }))

  test.each(["nasp12", "nasp12-all", "darts7"])(
    "%s: a gradient as float32's but for its rounding, and that of what is selected exactly",
    async (space) => {
      const [exact, rounded] = await Promise.all(
        (["f32", "bf16"] as const).map((probePrecision) =>
          used(makeSession(space, { ...wide, precision: "f32", probePrecision }), async (session) => {
            expect(session.options.probePrecision).toBe(probePrecision)
            await session.architectureGradient(loadBatch(session, 0))
            return gradients(session)
          }),
        ),
      )
      exact!.forEach(({ gradient, selected }, i) => {
        const other = rounded![i]!.gradient
        const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, v, j) => sum + v * b[j]!, 0)
        const cosine = dot(gradient, other) / Math.sqrt(dot(gradient, gradient) * dot(other, other))
        expect(cosine).toBeGreaterThan(0.999)
        expect(cosine).toBeLessThan(1)
        expect(rounded![i]!.selected).toEqual(selected)
        const differing = gradient.filter((v, j) => v !== other[j]).length
        expect(differing).toBeGreaterThan(0)
        gradient.forEach((v, j) => {
          if (selected[j]! > 0) expect(other[j]).toBe(v)
        })
      })
    },
  )

  test("the weight step has float32's bits", async () => {
    const [exact, other] = await Promise.all(
      (["f32", "bf16"] as const).map((probePrecision) =>
        used(makeSession("nasp12", { ...wide, precision: "f32", probePrecision }), async (session) => {
          const { loss } = await session.weightStep(loadBatch(session, 0), weightUpdate)
          return { loss, tensors: state(session) }
        }),
      ),
    )
    expect(other!.loss).toBe(exact!.loss)
    for (const [name, tensor] of exact!.tensors)
      expect(sameBits(tensor, other!.tensors.get(name)!), name).toBe(true)
  })

  test("a search that goes on from a checkpoint gives the bytes of one that was never stopped", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nasp-bf16-"))
    const at = (name: string) => join(folder, name)
    try {
      const small = {
        channels: 4,
        layers: 3,
        batch: 8,
        epochs: 1,
        checkpointEvery: 2,
        probePrecision: "bf16",
      } as const
      await search({ ...small, steps: 6, out: at("whole") }).result()
      await search({ ...small, steps: 3, out: at("cut") }).result()
      await search({ resume: at("cut"), steps: 6 }).result()
      for (const file of ["alpha.safetensors", "weights.safetensors"])
        expect(readFileSync(join(at("cut"), file)).equals(readFileSync(join(at("whole"), file))), file).toBe(
          true,
        )
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test("the same bits on 1, 2 and 3 threads, step after step", async () => {
    const [one, ...others] = await Promise.all(
      [1, 2, 3].map((threads) =>
        used(makeSession("nasp12", { ...wide, ...bf16, threads }), async (session) => {
          const results = await iterate(session, 0, 3)
          return { losses: results.map((r) => r.loss), tensors: state(session) }
        }),
      ),
    )
    for (const run of others) {
      expect(run.losses).toEqual(one!.losses)
      for (const [name, tensor] of run.tensors)
        expect(sameBits(tensor, one!.tensors.get(name)!), name).toBe(true)
    }
  })
})
