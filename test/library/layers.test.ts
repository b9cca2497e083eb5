/** scripts/check-layers.mjs on small trees: what it catches in `src/`, and what it lets be. */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, expect, test } from "vitest"

const script = fileURLToPath(new URL("../../scripts/check-layers.mjs", import.meta.url))
let root = ""
beforeEach(() => (root = mkdtempSync(join(tmpdir(), "nasp-layers-"))))
afterEach(() => rmSync(root, { recursive: true }))

const tree = {
  "native/core/a.h": "",
  "src/read-file.ts": 'import { readFileSync } from "node:fs"',
  "src/cost-file.ts": 'import { readRegularFile } from "./read-file.js"',
  "src/train/loop.ts": "",
}

/** What is said of `src/methods/m.ts` with this text. */
function said(text: string): string {
  for (const [name, content] of Object.entries({ ...tree, "src/methods/m.ts": text })) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), content)
  }
  return spawnSync(process.execPath, [script, root], { encoding: "utf8" }).stderr
}

const touches = "src/methods/m.ts touches the file system: src/methods/m.ts > "
test.each([
  ['import { readFileSync } from "node:fs"', `${touches}node:fs`],
  ['const { readFile } = await import("fs/promises")', `${touches}fs/promises`],
  ['import { readRegularFile } from "../read-file.js"', `${touches}src/read-file.ts > node:fs`],
  ['import { readCost } from "../cost-file.js"', `${touches}src/cost-file.ts > src/read-file.ts > node:fs`],
  ['export type A = 1\nawait import("../read-file.js")', `${touches}src/read-file.ts > node:fs`],
  ['import { runLoop } from "../train/loop.js"', "src/methods/m.ts imports src/train/loop.ts"],
  ['const loop = await import("../train/loop.js")', "src/methods/m.ts imports src/train/loop.ts"],
  ['import "../train/loop.js"', "src/methods/m.ts imports src/train/loop.ts"],
  ['import type {\n  A,\n} from "../read-file.js"', ""],
])("%s", (text, wrong) => {
  expect(said(text).trim()).toBe(wrong)
})
