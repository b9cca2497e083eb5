/**
 * A step on the device: nothing is waited for but its result, nothing is allocated, launches follow the selection. The
 * emulation refuses what a step must not do, and is shown to.
 */
import { execFileSync } from "node:child_process"
import { describe, expect, test } from "vitest"

import { type NativeSession } from "../../src/native.js"
import { findSpace } from "../../src/spaces/index.js"
import { alphaUpdate, discrete, drawAlphas, loadBatch, weightUpdate } from "../net/sessions.js"
import { device, isBuilt, isEmulated, root, there } from "./device.js"

const space = findSpace("nasp12")

describe.skipIf(!isBuilt)(device, () => {
  test("one wait a call, and the same launches again", { timeout: 600_000 }, async () => {
    const session = open()
    try {
      drawAlphas(session, "alphas")
      session.discretise(discrete)
      const calls = {
        architecture: () => session.architectureGradient(loadBatch(session, 0)),
        alpha: () => session.updateAlpha({ ...alphaUpdate, lr: 0 }),
        weights: () => session.weightStep(loadBatch(session, 1), weightUpdate),
        evaluation: () => session.evaluate(loadBatch(session, 2)),
      }
      const counted = async (call: () => unknown) => {
        const before = session.deviceCounts()!
        await call()
        const after = session.deviceCounts()!
        return { launches: after.launches - before.launches, waits: after.waits - before.waits }
      }
      const first: Record<string, { launches: number }> = {}
      for (let round = 0; round < 3; round++) {
        for (const [name, call] of Object.entries(calls)) {
          const counts = await counted(call)
          // The first steps plan and reserve before they begin.
          if (round > 0) expect(counts.waits, name).toBe(1)
          if (round === 1) first[name] = counts
          if (round === 2) expect(counts.launches, name).toBe(first[name]!.launches)
        }
      }
      expect(first.alpha!.launches).toBe(1)
      expect(first.evaluation!.launches).toBeLessThan(first.weights!.launches)
      expect(first.weights!.launches).toBeLessThan(first.architecture!.launches)
    } finally {
      session.dispose()
    }
  })

  test("an operation that is not selected is not launched", { timeout: 600_000 }, async () => {
    const session = open()
    try {
      const launches = async (edges: "two" | "all") => {
        session.discretise({ ...discrete, edges })
        await session.weightStep(loadBatch(session, 0), weightUpdate)
        const before = session.deviceCounts()!.launches
        await session.weightStep(loadBatch(session, 0), weightUpdate)
        return session.deviceCounts()!.launches - before
      }
      drawAlphas(session, "alphas")
      // 8 edges of 14 a cell.
      const [two, all] = [await launches("two"), await launches("all")]
      expect(two).toBeLessThan(0.75 * all)
    } finally {
      session.dispose()
    }
  })

  test.skipIf(!isEmulated).each([
    ["wait", "a wait inside a step"],
    ["allocate", "an allocation inside a step"],
  ])("the emulation refuses a step that does what it must not: %s", (misbehaviour, complaint) => {
    const script = `
      import { onDevice } from "./dist/device.js"
      import { loadNative } from "./dist/native.js"
      const there = onDevice(loadNative(), "cuda-emulated")
      const net = { channels: 2, layers: 3, classes: 2, imageSize: 8, imageChannels: 3, batch: 2 }
      const ops = { normal: ["conv_1x1"], reduce: ["conv_1x1"], precision: "f32", isa: "", threads: 1 }
      const session = new there.Session({ ...net, ...ops, dense: false, seed: 0 })
      await session
        .evaluate(session.load(new Float32Array(2 * 3 * 64), Int32Array.of(0, 1)))
        .catch((error) => console.log(error.code))
      session.dispose()`
    const env = { ...process.env, NASP_EMULATION_MISBEHAVIOUR: misbehaviour }
    const node = [process.execPath, ["--input-type=module", "-e", `${script}`]] as const
    const out = execFileSync("sh", ["-c", '"$0" "$@" 2>&1', node[0], ...node[1]], { cwd: root, env })
    expect(out.toString()).toContain(`cuda-emulated: ${complaint}`)
    expect(out.toString()).toContain("ERR_NASP_INTERNAL")
  })
})

function open(): NativeSession {
  return new there.Session({
    ...{ channels: 4, layers: 3, classes: 4, imageSize: 8, imageChannels: 3, batch: 3 },
    ...{ normal: [...space.normal], reduce: [...space.reduce], precision: "f32", isa: "", threads: 1 },
    ...{ dense: false, seed: 1 },
  })
}
