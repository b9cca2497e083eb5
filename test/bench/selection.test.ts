import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"

import { work } from "../../src/bench/ops.js"
import {
  mixText,
  operationMix,
  randomAlpha,
  readAlphaFile,
  writeAlphaFile,
} from "../../src/bench/selection.js"
import { spread } from "../../src/bench/statistics.js"
import { edges, findSpace } from "../../src/spaces/index.js"

const folder = mkdtempSync(join(tmpdir(), "nasp-bench-test-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const space = findSpace("nasp12")

test("the random selection is the one that bench/nasp_torch.py draws from the same seed", () => {
  const { normal } = randomAlpha(space, 0)
  const k = space.normal.length
  const chosen = Array.from({ length: edges }, (_, r) => {
    const row = [...normal.subarray(r * k, (r + 1) * k)]
    return row.indexOf(Math.max(...row))
  })
  expect(chosen).toEqual([2, 1, 3, 4, 3, 1, 7, 5, 6, 4, 1, 2, 6, 4])
  expect(Math.max(...randomAlpha(space, 4000000000).normal.subarray(0, k))).toBeCloseTo(0.6551194190979004, 7)
})

test("a saved selection is read back, and refused for another space", () => {
  const file = join(folder, "alpha.safetensors")
  const alpha = randomAlpha(space, 3)
  writeAlphaFile(file, space, alpha)
  expect(readAlphaFile(file, space)).toEqual(alpha)
  expect(() => readAlphaFile(file, findSpace("darts7"))).toThrow(
    `Expected alphas_normal of shape [14, 7] (space darts7) in ${file} but received shape [14, 8]`,
  )
})

test("the mix counts kept edges", () => {
  const selected = new Float32Array(edges * 2)
  selected[1] = 1
  selected[2] = 1
  selected[5] = 1
  expect(operationMix(["a", "b"], selected)).toEqual({ a: 1, b: 2 })
  expect(mixText({ a: 1, b: 2 })).toBe("1 a, 2 b")
})

test("median, smallest and largest", () => {
  expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 })
  expect(spread([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 })
})

test("work of a pass: backward is twice a forward", () => {
  const image = { batch: 2, multiplyAdds: 10, inputs: 3, outputs: 5 }
  expect(work("forward", image)).toEqual({ flops: 40, bytes: 64 })
  expect(work("both", image)).toEqual({ flops: 120, bytes: 192 })
})
