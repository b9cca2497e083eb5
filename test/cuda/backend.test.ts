/**
 * The whole CUDA backend: the case table, golden files, a search. On the CPU, over doubles of CUDA's libraries (docs/cuda.md),
 * which says nothing about a GPU; `npm run build:cuda -- --emulation` builds what that needs. `npm run test:gpu` runs the same
 * on a card (NASP_TEST_DEVICE=cuda).
 */
import { execFileSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"

import { generateTextures } from "../../src/data/generated.js"
import type { Place } from "../../src/device.js"
import { tolerances, verifyFile } from "../../src/golden/index.js"
import { meets } from "../../src/golden/nearby.js"
import { search, type SearchEvent } from "../../src/index.js"
import { operationCases } from "../ops/cases.js"
import { compare, sameBits } from "../ops/compare.js"
import { device, isBuilt, isEmulated, native, root, there } from "./device.js"

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url))
const cases = isBuilt ? operationCases(native) : []

describe.skipIf(!isBuilt)(device, () => {
  test.each(cases.map((c, i) => [c.name, c, i] as const))("%s", (_name, { draw, tolerance }, i) => {
    const { request, expected } = draw()
    const result = there.runOperation({ ...request, precision: "f32" })
    compare(result, expected, request.dy, tolerance, device)
    // Another launch takes its threads in another order: the bits must not depend on it.
    if (i % 8 === 0) sameBits(there.runOperation({ ...request, precision: "f32" }), result, "again")
  })

  test("inputs past what squares hold show in the variance", () => {
    const { draw } = cases.find(({ op }) => op === "conv_1x1")!
    const { request } = draw()
    request.x.fill(Infinity)
    const { buffers } = there.runOperation({ ...request, precision: "f32" })
    const { data } = buffers.find(({ name }) => name.endsWith("running_var"))!
    expect([...data].some(Number.isFinite)).toBe(false)
  })

  test.each(readdirSync(fixtures).filter((name) => name.endsWith(".safetensors")))(
    "%s",
    { timeout: 600_000 },
    async (name) => {
      const { comparisons } = await verifyFile(there, fixtures + name, "f32")
      expect(comparisons.filter((c) => !meets(c, tolerances.f32))).toEqual([])
    },
  )

  test("a search finds the CPU's losses", async () => {
    const [expected, found] = [await losses("cpu"), await losses(device)]
    expect(found.length).toBe(expected.length)
    expected.forEach((loss, i) => expect(Math.abs(found[i]! - loss)).toBeLessThan(1e-4 * Math.abs(loss)))
  })

  test.skipIf(!isEmulated)(
    "a kernel that fails ends its session with a code, and the process goes on",
    () => {
      const script = `
      import { onDevice } from "./dist/device.js"
      import { loadNative } from "./dist/native.js"
      const there = onDevice(loadNative(), "cuda-emulated")
      const net = { channels: 2, layers: 3, classes: 2, imageSize: 8, imageChannels: 3, batch: 2 }
      const ops = { normal: ["conv_1x1"], reduce: ["conv_1x1"], precision: "f32", isa: "", threads: 1 }
      const session = new there.Session({ ...net, ...ops, dense: false, seed: 0 })
      const step = () => session.evaluate(session.load(new Float32Array(2 * 3 * 64), Int32Array.of(0, 1)))
      const codes = []
      for (let i = 0; i < 2; i++) await step().catch((error) => codes.push(error.code, error.message))
      try {
        session.combine("start", { weights: 1 })
      } catch (error) {
        codes.push(error.code, error.message)
      }
      session.dispose()
      console.log(JSON.stringify(codes))`
      const env = { ...process.env, NASP_EMULATION_FAILING_LAUNCH: "5" }
      const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: root, env })
      const [code, message, ...later] = JSON.parse(out.toString()) as string[]
      expect(code).toBe("ERR_NASP_INTERNAL")
      expect(message).toMatch(/^CUDA failed: .*this session is at its end$/)
      expect(later).toEqual([code, message, code, message])
    },
  )

  test.skipIf(!isEmulated)("a card that the library has no code for is refused in one line", () => {
    const script = `
      import { onDevice } from "./dist/device.js"
      import { loadNative } from "./dist/native.js"
      const there = onDevice(loadNative(), "cuda-emulated")
      const net = { channels: 2, layers: 3, classes: 2, imageSize: 8, imageChannels: 3, batch: 2 }
      const ops = { normal: ["conv_1x1"], reduce: ["conv_1x1"], precision: "f32", isa: "", threads: 1 }
      try {
        new there.Session({ ...net, ...ops, dense: false, seed: 0 })
      } catch (error) {
        console.log(error.code, error.message)
      }`
    const env = { ...process.env, NASP_EMULATION_CAPABILITY: "7" }
    const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: root, env })
    expect(out.toString()).toMatch(
      /^ERR_NASP_UNSUPPORTED No CUDA device can be used: .* has compute capability 7\.0, .*8\.0 or newer.*\n$/,
    )
  })

  test("float64 is refused in one line", () => {
    expect(() => there.runOperation({ ...cases[0]!.draw().request, precision: "f64" })).toThrow(
      `Expected f32 for precision with device ${device} but received f64`,
    )
  })

  test("a net that does not fit the device says how much it asked for, and what would fit", () => {
    const open = (channels: number, batch: number) => () =>
      new there.Session({
        ...{ channels, layers: 3, classes: 10, imageSize: 2048, imageChannels: 3, batch },
        ...{ normal: ["conv_3x3"], reduce: ["conv_3x3"], precision: "f32", isa: "", threads: 0 },
        ...{ dense: false, seed: 0 },
      })
    const asked = "asks for \\d+ MiB of device memory and \\d+ MiB are free:"
    expect(open(16, 256)).toThrow(new RegExp(`${asked} a batch of [1-9]\\d* would fit, not one of 256$`))
    expect(open(512, 1)).toThrow(new RegExp(`${asked} no batch fits$`))
  })

  test("BatchNorm by itself is timed on the CPU alone", async () => {
    const shape = { op: "batch_norm", channels: 4, height: 8, width: 8, batch: 2, stride: 1 } as const
    await expect(
      there.timeOperation({ ...shape, affine: false, precision: "f32" }, "forward", 1),
    ).rejects.toThrow("Expected the CPU for batch_norm but received cuda")
  })

  test("what a machine reaches is the CPU's alone", () => {
    expect(() => native.machineBounds(device, 1)).toThrow(
      /Expected an instruction set for isa but received cuda/,
    )
  })
})

/** Of the first steps of a small search. */
async function losses(device: Place): Promise<number[]> {
  const data = generateTextures(16, 7)
  const run = search({ data, device, channels: 2, layers: 3, batch: 2, steps: 2, seed: 3 })
  const events: SearchEvent[] = []
  for await (const event of run) events.push(event)
  await run.result()
  return events.flatMap((e) => (e.type === "step" ? [e.loss, e.alpha_loss!, e.gradient_norm] : []))
}
