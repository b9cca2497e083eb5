/** `nasp verify` as a command: what it prints, where, and its exit codes. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterAll, expect, test } from "vitest"

import { loadNative } from "../../src/native.js"
import { encodeSafetensors, readSafetensors } from "../../src/safetensors.js"

const root = join(dirname(fileURLToPath(import.meta.url)), "../..")
const folder = join(root, "test/fixtures")
const fixtures = readdirSync(folder)
  .filter((n) => n.endsWith(".safetensors"))
  .map((n) => join(folder, n))
const scratch = mkdtempSync(join(tmpdir(), "nasp-verify-"))
afterAll(() => rmSync(scratch, { recursive: true }))

const shared = join(process.env.NASP_SHARED ?? join(root, "../shared"), "golden")

function verify(...args: string[]) {
  return verifyUnder({}, ...args)
}

function verifyUnder(env: Record<string, string>, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), "verify", ...args],
    {
      encoding: "utf8",
      env: { ...process.env, ...env },
    },
  )
  return { status, stdout, stderr }
}

test.each(["f32", "f64"])("the fixtures pass, %s", (precision) => {
  const { status, stdout, stderr } = verify("--precision", precision, ...fixtures)
  expect(stderr).toBe("")
  expect(stdout).toContain("weight_step.grad.stem.0.weight")
  expect(stdout).toContain(`${fixtures.length} of ${fixtures.length} files passed`)
  expect(status).toBe(0)
})

test("a wrong value fails, and the other files are still verified", () => {
  const source = fixtures.find((f) => f.includes("skip_connect"))!
  const { metadata, tensors } = readSafetensors(source)
  tensors.get("dw.conv_2.weight")!.data[0]! = 9
  const changed = join(scratch, "changed.safetensors")
  writeFileSync(changed, encodeSafetensors(tensors.values(), metadata))
  const { status, stdout } = verify("--quiet", changed, source)
  expect(stdout).toMatch(/dw\.conv_2\.weight {2}FAILED/)
  expect(stdout).toContain("1 of 2 files passed")
  expect(status).toBe(1)
})

test.skipIf(!existsSync(shared)).each(loadNative().info().available)(
  "every shared file of these kinds passes, %s (skipped without NASP_SHARED or ../shared)",
  (isa) => {
    const names = readdirSync(shared).filter((n) => /^(op|nasp-step|nasp-trace)-.*\.safetensors$/.test(n))
    const files = names.map((n) => join(shared, n))
    const { status, stdout } = verifyUnder({ NASP_ISA: isa }, "--quiet", ...files)
    expect(stdout).toContain(`${files.length} of ${files.length} files passed (f32)`)
    expect(stdout).not.toContain("FAILED")
    expect(status).toBe(0)
  },
)

test("values wrong by 1e-3 fail in float32, on nearby inputs as well", () => {
  const source = fixtures.find((f) => f.includes("nasp-step-nasp12"))!
  const { metadata, tensors } = readSafetensors(source)
  const gradient = tensors.get("alpha_step.grad.normal")!.data as Float32Array
  gradient.forEach((g, i) => (gradient[i] = g * 1.001))
  const changed = join(scratch, "wrong.safetensors")
  writeFileSync(changed, encodeSafetensors(tensors.values(), metadata))
  const { status, stdout } = verify("--quiet", changed)
  expect(stdout).toMatch(/alpha_step\.grad\.normal .*on nearby inputs {2}FAILED/)
  expect(stdout).toContain("not met on nearby inputs either (12 tries)")
  expect(stdout).toContain("0 of 1 files passed")
  expect(status).toBe(1)
})

test("a bad file is one line, exit code 1", () => {
  const bad = join(scratch, "bad.safetensors")
  writeFileSync(bad, "not safetensors at all")
  const { status, stderr } = verify(bad)
  expect(stderr.trim().split("\n")).toHaveLength(1)
  expect(stderr).toContain(bad)
  expect(status).toBe(1)
})

test.each([[["--precision", "f16", "x"]], [[]]])("bad usage %j is exit code 2", (args) => {
  expect(verify(...args).status).toBe(2)
})
