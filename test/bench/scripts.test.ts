// The comparison scripts of bench/: what they refuse, and that they leave nothing behind. Needs dist (npm run build).
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "nasp-scripts-"))
afterAll(() => rmSync(folder, { recursive: true }))

test.each([
  ["compare.mjs --method pa", 2, "Expected nasp or darts for method but received pa"],
  ["compare.mjs --method darts --dense", 2, "Expected method nasp beside it for dense but received"],
  ["compare.mjs --order first", 2, "Expected method darts beside it for order but received method nasp"],
  ["compare.mjs --method darts --order third", 2, "Expected first or second for order but received third"],
  ["compare.mjs --dense --default-layout", 2, "Expected no dense beside it for default-layout"],
  ["compare.mjs --method darts --default-layout", 2, "Expected method nasp beside it for default-layout"],
  ["compare.mjs --nope", 2, "Unknown option '--nope'"],
  ["growth.mjs --rounds 0", 2, "Expected an integer from 1 for rounds but received 0"],
  [
    "special-cases.mjs --case nope",
    2,
    "Expected one of crossed, first-product, .* for case but received nope",
  ],
  ["special-cases.mjs --add --out no.json", 2, "Expected results of an earlier run in --out for add"],
  ["bf16-probes.mjs --steps 0", 2, "Expected an integer from 1 for steps but received 0"],
  ["compare-ops.mjs --op nope", 1, "bench ops .*: ended with 2"],
  ["compare.mjs --batch 0", 1, "bench step .*: ended with 2"],
])("%s -> %i, in a line", (call, code, message) => {
  const [script, ...options] = call.split(" ")
  const { status, stdout, stderr } = spawnSync(process.execPath, [join("bench", script!), ...options], {
    encoding: "utf8",
    env: { ...process.env, TMPDIR: folder },
  })
  expect([status, stdout]).toEqual([code, ""])
  expect(stderr).toMatch(new RegExp(`^error: .*${message}`, "m"))
  expect(stderr).not.toMatch(/^\s+at /m)
  expect(readdirSync(folder)).toEqual([])
})
