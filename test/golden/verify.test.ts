/** `nasp verify` over the project's own files, and over the shared ones where they are. */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterAll, describe, expect, test } from "vitest"

import { worst } from "../../src/golden/compare.js"
import { tolerances, verifyFile } from "../../src/golden/index.js"
import { meets } from "../../src/golden/nearby.js"
import { loadNative, type Precision } from "../../src/native.js"
import { encodeSafetensors, readSafetensors } from "../../src/safetensors.js"

const addon = loadNative()
const root = join(dirname(fileURLToPath(import.meta.url)), "../..")
const fixtures = goldenFiles(join(root, "test/fixtures"), /^/)
const shared = join(process.env.NASP_SHARED ?? join(root, "../shared"), "golden")
const scratch = mkdtempSync(join(tmpdir(), "nasp-verify-"))
afterAll(() => rmSync(scratch, { recursive: true }))

async function largestError(path: string, precision: Precision): Promise<number> {
  return worst((await verifyFile(addon, path, precision)).comparisons).error
}

/** Tensors that fail, in float32 on nearby inputs as well. */
async function failures(path: string, precision: Precision): Promise<string[]> {
  const { comparisons } = await verifyFile(addon, path, precision)
  return comparisons.filter((c) => !meets(c, tolerances[precision])).map((c) => c.name)
}

describe.each(["f32", "f64"] as const)("%s", (precision) => {
  test.each(fixtures)("%s", async (path) => {
    expect(await largestError(path, precision)).toBeLessThanOrEqual(tolerances[precision])
  })

  test.skipIf(!existsSync(shared))(
    "shared golden files, some (skipped without NASP_SHARED or ../shared)",
    async () => {
      const files = goldenFiles(shared, /^(op-.*-s[12]-c6-n35|nasp-(step|trace)-.*)\.safetensors$/)
      expect(files.length).toBeGreaterThan(20)
      for (const path of files) {
        expect(await failures(path, precision), path).toEqual([])
      }
    },
  )
})

test("one changed value fails", async () => {
  const source = fixtures.find((f) => f.includes("nasp-step"))!
  const { metadata, tensors } = readSafetensors(source)
  tensors.get("alpha_step.grad.reduce")!.data[17]! = 0.5
  const path = join(scratch, "changed.safetensors")
  writeFileSync(path, encodeSafetensors(tensors.values(), metadata))
  const { comparisons } = await verifyFile(addon, path, "f64")
  const failed = comparisons.filter((c) => !(c.error <= tolerances.f64)).map((c) => c.name)
  expect(failed).toEqual(["alpha_step.grad.reduce"])
})

describe("a file that cannot be verified is named, with the reason", () => {
  const source = fixtures.find((f) => f.includes("op-max_pool"))!
  const changed = (name: string, golden: Record<string, unknown>, drop = "") => {
    const { metadata, tensors } = readSafetensors(source)
    tensors.delete(drop)
    const text = JSON.stringify({ ...JSON.parse(metadata.golden!), ...golden })
    const path = join(scratch, `${name}.safetensors`)
    writeFileSync(path, encodeSafetensors(tensors.values(), { golden: text }))
    return path
  }
  const refused = async (path: string, reason: RegExp) => {
    const error = await verifyFile(addon, path, "f32").then(
      () => undefined,
      (e: Error) => e,
    )
    expect(error?.message).toMatch(reason)
    expect(error?.message).toContain(path)
    expect(error?.message).not.toContain("\n")
  }

  test("absent", () => refused(join(scratch, "absent.safetensors"), /Could not read/))

  test("truncated", async () => {
    const path = join(scratch, "truncated.safetensors")
    copyFileSync(source, path)
    truncateSync(path, readFileSync(source).length - 100)
    await refused(path, /safetensors/)
  })

  test("without metadata", async () => {
    const path = join(scratch, "bare.safetensors")
    writeFileSync(path, encodeSafetensors(readSafetensors(source).tensors.values()))
    await refused(path, /metadata/)
  })

  test("of another kind", () =>
    refused(changed("kind", { kind: "rnn-nasp-step" }), /rnn-nasp-step.*not supported yet/))
  test("a field of the wrong type", () =>
    refused(changed("stride", { C: "five" }), /for C but received five/))
  test("another shape than said", () => refused(changed("shape", { C: 7 }), /shape.* for x/))
  test("a given tensor missing", () => refused(changed("missing", {}, "dy"), /dy is missing/))
})

function goldenFiles(folder: string, names: RegExp): string[] {
  const files = readdirSync(folder).filter((n) => n.endsWith(".safetensors") && names.test(n))
  return files.map((n) => join(folder, n))
}
