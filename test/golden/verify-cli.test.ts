/** `nasp verify` as a command: what it prints, where, and its exit codes. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterAll, expect, test } from "vitest"

import { encodeSafetensors, readSafetensors } from "../../src/safetensors.js"

const root = join(dirname(fileURLToPath(import.meta.url)), "../..")
const folder = join(root, "test/fixtures")
const fixtures = readdirSync(folder)
  .filter((n) => n.endsWith(".safetensors"))
  .map((n) => join(folder, n))
const scratch = mkdtempSync(join(tmpdir(), "nasp-verify-"))
afterAll(() => rmSync(scratch, { recursive: true }))

function verify(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), "verify", ...args],
    {
      encoding: "utf8",
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
