/** What is left of a session when memory is wanting: it says so, and goes on. */
import { existsSync, readFileSync } from "node:fs"

import { expect, test } from "vitest"

import type { NativeSession } from "../../src/native.js"
import { addon, alphaUpdate, discrete } from "../net/sessions.js"

/** Images so large, and so many of them, that 1000 cells ask for more than there are addresses; 3 do not. */
function huge(): NativeSession {
  return new addon.Session({
    ...{ channels: 1, layers: 3, classes: 2, imageSize: 2048, imageChannels: 1, batch: 32768 },
    ...{ normal: ["none"], reduce: ["none"], precision: "f64", isa: "", threads: 1, dense: false, seed: 0 },
  })
}

test("a rebuild that fails leaves a session that can be rebuilt", () => {
  const session = huge()
  try {
    const before = session.options
    expect(() => session.rebuild(1000, 1)).toThrow(
      expect.objectContaining({ code: "ERR_NASP_OUT_OF_MEMORY" }),
    )
    expect(session.options).toEqual(before)
    const gone = { code: "ERR_NASP_DISPOSED" }
    const alpha = new Float64Array(14)
    for (const call of [
      () => session.tensors(),
      () => session.read("alphas_normal"),
      () => session.read("adam.step"),
      () => session.write("alphas_normal", alpha),
      () => session.write("adam.step", Float64Array.of(1)),
      () => session.discretise(discrete),
      () => session.setMixture("normal", alpha, new Uint8Array(14)),
      () => session.setBypass("normal", alpha),
      () => session.combine("kept", { weights: 1 }),
      () => session.norm("weights"),
      () => session.updateAlpha(alphaUpdate),
    ])
      expect(call).toThrow(expect.objectContaining(gone))
    expect(session.memory().peakActivations).toBe(0)
    session.cancel()
    session.rebuild(4, 1)
    expect(session.options).toEqual({ ...before, layers: 4, seed: 1 })
    expect(session.read("alphas_normal")).toHaveLength(14)
  } finally {
    session.dispose()
  }
})

// Where the system promises any memory, the batch's would be taken.
const overcommit = "/proc/sys/vm/overcommit_memory"
const promises = !existsSync(overcommit) || readFileSync(overcommit, "utf8").trim() === "1"

test.skipIf(promises)("a batch that there is no memory for keeps no ticket", () => {
  const session = huge()
  try {
    const image = new Float64Array(2048 * 2048)
    for (let i = 0; i < 9; i++)
      expect(() => session.load(image, new Int32Array(1)), `batch ${i}`).toThrow(
        expect.objectContaining({ code: "ERR_NASP_OUT_OF_MEMORY" }),
      )
  } finally {
    session.dispose()
  }
})

test("more logits than a step could hold are refused, not asked of the system", () => {
  const options = { channels: 1, layers: 3, classes: 65536, imageSize: 8, imageChannels: 1, batch: 2048 }
  const space = { normal: ["none"], reduce: ["none"] }
  expect(
    () =>
      new addon.Session({
        ...{ ...options, ...space, precision: "f32", isa: "", threads: 1, dense: false, seed: 0 },
      }),
  ).toThrow(/at most 67108864 for batch times classes but received 134217728/)
})
