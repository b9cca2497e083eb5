/**
 * What is built and what is packed: the addon has no CUDA dependency, nasp_cuda.so holds code for every card that it
 * promises, the package holds no emulation, and where no card can be used, commands say so in one line. Needs dist.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"

import { native, root } from "./device.js"

const addon = join(root, "build/Release/nasp.node")
const library = join(root, "build/Release/nasp_cuda.so")
const tools = spawnSync("ldd", ["--version"]).status === 0

if (!tools) console.log("skipped: there is no ldd to read what the addon is linked to")
test.skipIf(!tools)("the addon names no CUDA library", () => {
  expect(execFileSync("ldd", [addon]).toString()).not.toMatch(/cuda|cudnn|cublas/i)
})

if (!existsSync(library)) console.log("skipped: build/Release has no nasp_cuda.so (npm run build:cuda)")
test.skipIf(!existsSync(library))("nasp_cuda.so: code for sm_80 and sm_90, and PTX, of every kernel", () => {
  const { status, stdout } = spawnSync(process.execPath, ["scripts/device-code.mjs"], {
    cwd: root,
    encoding: "utf8",
  })
  expect(stdout).toMatch(/sm_80 in (\d+) of \1 .*\n.*sm_90 in \1 of \1 .*\n.*PTX of sm_90 in \1 of \1 /)
  expect(status).toBe(0)
})

test("the package holds the CUDA backend and no emulation", () => {
  const args = ["pack", "--dry-run", "--json", "--ignore-scripts"]
  const [{ files }] = JSON.parse(execFileSync("npm", args, { cwd: root, stdio: "pipe" }).toString()) as [
    { files: { path: string }[] },
  ]
  const paths = files.map(({ path }) => path)
  expect(paths).toContain("native/backends/cuda/kernel.h")
  expect(paths.filter((path) => path.includes("emulation") || path.endsWith("_emu.so"))).toEqual([])
})

describe.skipIf(native.cudaStatus().device !== null)("without a card", () => {
  const { absence } = native.cudaStatus()
  const nasp = (...args: string[]) => {
    const cwd = mkdtempSync(join(tmpdir(), "nasp-no-card-"))
    const main = join(root, "dist/cli/main.js")
    const found = spawnSync(process.execPath, [main, ...args], { cwd, encoding: "utf8" })
    rmSync(cwd, { recursive: true })
    return found
  }

  test.each(["bench ops", "bench step", "search --out r"])(
    "nasp %s --device cuda says what is missing",
    (call) => {
      const { status, stderr } = nasp(...call.split(" "), "--device", "cuda")
      expect({ status, stderr }).toEqual({ status: 1, stderr: `nasp: ${absence}\n` })
    },
  )

  test("--device auto takes the CPU and says so once", () => {
    const small = ["--steps", "2", "--batch", "4", "--channels", "2", "--layers", "3", "--out", "r"]
    const { status, stdout, stderr } = nasp("search", ...small, "--device", "auto")
    expect(status).toBe(0)
    expect(`${stdout}${stderr}`.split(`device auto takes the CPU: ${absence}`)).toHaveLength(2)
  })

  test("nasp doctor says why there is none", () => {
    expect(nasp("doctor").stdout).toContain(`none: ${absence}`)
  })
})
