/**
 * Coalescing without a card: the emulation counts, for every access of a warp, the 32-byte sectors that it moves and the
 * cycles that its shared memory needs, beside the fewest possible (native/backends/cuda/emulation/traffic.h). No kernel may
 * move more than 1.1 times its ideal, on maps whose channels, or parts of them, fill sectors.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"

import { isBuilt, isEmulated, root } from "./device.js"

const once = ["--batch", "1", "--repeats", "1", "--warmup", "0"]
const limit = 1.1

interface Counts {
  requests: number
  sectors: number
  idealSectors: number
  cycles: number
  idealCycles: number
}

describe.skipIf(!isEmulated || !isBuilt)("cuda-emulated", () => {
  test.each([
    {
      args: ["ops", "--op", "sep_conv_5x5", "--channels", "64", "--size", "8"],
      among: [
        "depthwise_forward<5, 4>",
        "depthwise_data_gradient<5, 4>",
        "depthwise_data_gradient_sums<5, 4>",
        "depthwise_weight_gradient<5>",
        "move_taps",
        "normalise",
        "fold",
      ],
    },
    {
      args: ["step", "--channels", "16", "--layers", "3", "--size", "8"],
      among: [
        ...["activate<4>", "pass_gradient<4>", "node_sum<4>", "piece_moments<4>", "global_average<4>"],
        ...["pool_forward<true, 4>", "pool_forward<false, 4>", "pool_backward<4>", "add_product"],
        ...["cross_entropy", "sum_losses", "square_pieces", "sgd", "update_alpha"],
      ],
    },
    {
      args: ["step", "--method", "pc-darts", "--channels", "32", "--layers", "3", "--size", "8"],
      among: ["split_parts", "join_parts", "add_scaled<4>", "fold_gradient<4>", "node_sum<4>"],
    },
  ])("bench $args", ({ args, among }) => {
    const kernels = trafficOf("dist/cli/main.js", "bench", ...args, ...once, "--device", "cuda-emulated")
    expect(Object.keys(kernels)).toEqual(expect.arrayContaining(among))
    expectFew(kernels)
  })

  test.each([32, 64])("a batch of images of %i pixels a side from a data set's bytes", (size) => {
    const { augment } = trafficOfSession(
      { channels: 4, imageSize: size, normal: ["none"], reduce: ["none"] },
      `const images = { images: new Uint8Array(2 * 3 * ${size} * ${size}), labels: Uint8Array.of(0, 1) }
      const how = { channels: 3, height: ${size}, width: ${size}, mean: [0, 0, 0], std: [1, 1, 1] }
      const draws = { pad: 4, flip: true, cutout: 16, seed: 3, counter: 0 }
      const ticket = session.queue(new there.Dataset({ ...how, ...images }), Uint32Array.of(1, 0), draws)
      await session.evaluate(ticket, { batchStatistics: true })`,
    )
    expectFew({ augment: augment! })
  })

  test("dropout behind skips, and vectors over the weights", () => {
    const { drop, combine } = trafficOfSession(
      { channels: 16, imageSize: 8, normal: ["skip_connect"], reduce: ["skip_connect"] },
      `for (const type of ["normal", "reduce"])
        session.setMixture(type, new Float64Array(14).fill(1), new Uint8Array(14).fill(2))
      session.skipDropout(0.4, 3)
      const ticket = session.load(new Float32Array(2 * 3 * 64), Int32Array.of(0, 1))
      await session.architectureGradient(ticket)
      session.combine("moved", { weights: 1, gradient: -0.5 })`,
    )
    expectFew({ drop: drop!, combine: combine! })
  })
})

function expectFew(kernels: Record<string, Counts>): void {
  for (const [name, c] of Object.entries(kernels)) {
    expect(c.requests, name).toBeGreaterThan(0)
    expect(c.sectors / Math.max(1, c.idealSectors), `sectors of ${name}`).toBeLessThanOrEqual(limit)
    expect(c.cycles / Math.max(1, c.idealCycles), `bank conflicts of ${name}`).toBeLessThanOrEqual(limit)
  }
}

/** Of what `body` does with a session of two images. */
function trafficOfSession(net: object, body: string): Record<string, Counts> {
  const small = { layers: 3, classes: 2, imageChannels: 3, batch: 2, seed: 0, dense: false }
  const options = { ...small, ...net, precision: "f32", isa: "", threads: 1 }
  const script = `
      import { onDevice } from "./dist/device.js"
      import { loadNative } from "./dist/native.js"
      const there = onDevice(loadNative(), "cuda-emulated")
      const session = new there.Session(${JSON.stringify(options)})
      ${body}
      session.dispose()`
  return trafficOf("--input-type=module", "-e", script)
}

/** Of a run of Node on the emulation, by kernel. */
function trafficOf(...args: string[]): Record<string, Counts> {
  const folder = mkdtempSync(join(tmpdir(), "nasp-traffic-"))
  try {
    const file = join(folder, "traffic.json")
    execFileSync(process.execPath, args, {
      ...{ cwd: root, stdio: "pipe" },
      env: { ...process.env, NASP_EMULATION_TRAFFIC: file },
    })
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, Counts>
  } finally {
    rmSync(folder, { recursive: true })
  }
}
