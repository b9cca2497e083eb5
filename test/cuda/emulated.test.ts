/**
 * The whole CUDA backend on the CPU, over doubles of CUDA's libraries (docs/cuda.md): the case table, golden files, a search.
 * Nothing here says that it works on a GPU. `npm run build:cuda -- --emulation` builds what this needs.
 */
import { existsSync, readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"

import { generateTextures } from "../../src/data/generated.js"
import { onDevice } from "../../src/device.js"
import { tolerances, verifyFile } from "../../src/golden/index.js"
import { meets } from "../../src/golden/nearby.js"
import { loadNative } from "../../src/native.js"
import { search, type SearchEvent } from "../../src/index.js"
import { operationCases } from "../ops/cases.js"
import { compare, sameBits } from "../ops/compare.js"
import { referenceOperation } from "../reference/operations.js"

const library = fileURLToPath(new URL("../../build/emulation/nasp_cuda_emu.so", import.meta.url))
const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url))
const native = loadNative()
const emulated = onDevice(native, "cuda-emulated")
const cases = existsSync(library) ? operationCases(native) : []

if (!existsSync(library))
  console.log("skipped: build/emulation has no nasp_cuda_emu.so (build:cuda -- --emulation)")

describe.skipIf(!existsSync(library))("cuda-emulated", () => {
  test.each(cases.map((c, i) => [c.name, c, i] as const))("%s", (_name, { request, tolerance }, i) => {
    const result = emulated.runOperation({ ...request, precision: "f32" })
    compare(result, referenceOperation(request), request.dy, tolerance, "cuda-emulated")
    // Another launch takes its threads in another order: the bits must not depend on it.
    if (i % 8 === 0) sameBits(emulated.runOperation({ ...request, precision: "f32" }), result, "again")
  })

  test.each(readdirSync(fixtures).filter((name) => name.endsWith(".safetensors")))("%s", async (name) => {
    const { comparisons } = await verifyFile(emulated, fixtures + name, "f32")
    expect(comparisons.filter((c) => !meets(c, tolerances.f32))).toEqual([])
  })

  test("a search finds the CPU's losses", async () => {
    const [onCpu, onEmulation] = [await losses("cpu"), await losses("cuda-emulated")]
    expect(onEmulation.length).toBe(onCpu.length)
    onCpu.forEach((loss, i) => expect(Math.abs(onEmulation[i]! - loss)).toBeLessThan(1e-4 * Math.abs(loss)))
  })

  test("float64 is refused in one line", () => {
    expect(() => emulated.runOperation({ ...cases[0]!.request, precision: "f64" })).toThrow(
      "Expected f32 for precision with device cuda-emulated but received f64",
    )
  })

  test("a net that does not fit the device says how much it asked for", () => {
    const open = () =>
      new emulated.Session({
        ...{ channels: 16, layers: 3, classes: 10, imageSize: 2048, imageChannels: 3, batch: 256 },
        ...{ normal: ["conv_3x3"], reduce: ["conv_3x3"], precision: "f32", isa: "", threads: 0 },
        ...{ dense: false, seed: 0 },
      })
    expect(open).toThrow(
      /asks for \d+ MiB of device memory and \d+ MiB are free: a batch of \d+ would fit, not one/,
    )
  })
})

/** Of the first steps of a small search. */
async function losses(device: "cpu" | "cuda-emulated"): Promise<number[]> {
  const data = generateTextures(16, 7)
  const run = search({ data, device, channels: 2, layers: 3, batch: 2, steps: 2, seed: 3 })
  const events: SearchEvent[] = []
  for await (const event of run) events.push(event)
  await run.result()
  return events.flatMap((e) => (e.type === "step" ? [e.loss, e.alpha_loss, e.gradient_norm] : []))
}
