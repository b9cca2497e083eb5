/** bench/special-cases.json: what it takes out of the kernels is there to be taken out, and measured by something. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { describe, expect, test } from "vitest"

import { loadNative } from "../../src/native.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

interface SpecialCase {
  name: string
  what: string
  edits: { file: string; from: string; to: string }[]
  operations: [op: string, pass: string, channels: number, size: number, stride: number][]
  iterations: string[]
}
const cases = JSON.parse(readFileSync(join(root, "bench/special-cases.json"), "utf8")) as SpecialCase[]
const known = new Set(
  loadNative()
    .operations()
    .map((o) => o.name),
)

test("each has a name of its own", () => {
  expect(cases.length).toBeGreaterThan(0)
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
})

describe.each(cases)("$name", ({ edits, operations, iterations }) => {
  test.each(edits)("an edit of $file finds its place, once", ({ file, from, to }) => {
    expect(to).not.toBe(from)
    expect(readFileSync(join(root, "native", file), "utf8").split(from)).toHaveLength(2)
  })
  test("is measured by operations or iterations that there are", () => {
    expect(operations.length + iterations.length).toBeGreaterThan(0)
    for (const [op, pass] of operations) {
      expect(known).toContain(op)
      expect(["forward", "probe", "backward", "both"]).toContain(pass)
    }
    for (const net of iterations) expect(["nasp", "dense"]).toContain(net)
  })
})
