// `nasp reproduce` where things go wrong: places that cannot be written, signals, runs that diverge. Needs dist (npm run build).
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"

const main = new URL("../../dist/cli/main.js", import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), "nasp-cli-reproduce-"))
const at = (name: string) => join(folder, name)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const size = "--batch 32 --channels 4 --layers 3"
const words = (call: string) => [main, "reproduce", ...`${call} ${size}`.split(" ")]

function nasp(call: string): { status: number | null; stdout: string; stderr: string } {
  const how = { encoding: "utf8", cwd: folder, timeout: 110_000, killSignal: "SIGKILL" } as const
  return spawnSync(process.execPath, words(call), how)
}

describe("a folder that cannot be written", () => {
  writeFileSync(at("file"), "")

  it.each([
    "table6 --batches 1 --spaces darts7 --out file",
    "table6 --batches 1 --spaces darts7 --out file/below",
    "table6 --spaces darts7 --budget 1 --out file",
    "figure3 --budget 1 --out file",
  ])("%s: refused before anything is measured", (call) => {
    const { status, stdout, stderr } = nasp(call)
    expect(stderr).toMatch(/^nasp: Could not write file.*: a part of the path is no folder \(ENOTDIR\)\n$/)
    expect([status, stdout]).toEqual([1, ""])
  })

  it("of a later space: refused before the first one's is made", () => {
    mkdirSync(at("later"))
    writeFileSync(at("later/nasp12"), "")
    const taken = nasp("table6 --spaces darts7,nasp12 --sides nasp --seeds 1 --budget 1 --out later")
    expect(taken.stderr).toMatch(/^nasp: Could not write later\/nasp12: a part of the path is no folder.*\n$/)
    expect([taken.status, taken.stdout, existsSync(at("later/darts7/runs"))]).toEqual([1, "", false])

    const call = "table6 --batches 1 --sides nasp --seeds 1 --budget 1 --out other --spaces"
    expect(nasp(`${call} nasp12`).status).toBe(0)
    const other = nasp(`${call} darts7,nasp12 --lr 0.1`)
    expect(other.stderr).toMatch(
      /^nasp: Expected 0.025, as the run in other\/nasp12.* for lr but received 0.1\n$/,
    )
    expect([other.status, other.stdout, existsSync(at("other/darts7"))]).toEqual([2, "", false])
  })

  it("as it turns out at the end leaves the table on stdout", () => {
    mkdirSync(at("taken/table6.json"), { recursive: true })
    const { status, stdout, stderr } = nasp("table6 --batches 1 --spaces darts7 --sides nasp --out taken")
    expect(stderr).toMatch(/^nasp: Could not write taken\/table6\.json/m)
    expect(stdout).toMatch(/^darts7 .* NASP +here/m)
    expect(status).toBe(1)
  })
})

describe("the folder of the runs", () => {
  it("is said at the start, once, and made for nothing that is refused", () => {
    const call = "table6 --batches 1 --spaces darts7,nasp12 --sides nasp --seeds 1 --budget 1"
    const { status, stderr } = nasp(call)
    expect(status).toBe(0)
    expect(stderr).toMatch(/^runs in reproduce\/table6-1\n/)
    expect(stderr.match(/^runs in/gm)).toHaveLength(1)
    expect(nasp("figure3 --sides nope --out refused").status).toBe(2)
    expect(existsSync(at("refused"))).toBe(false)
  })

  it("is said by a second signal as well", async () => {
    const child = spawn(process.execPath, words("figure3 --sides nasp --budget 1h --out stopped"), {
      cwd: folder,
    })
    let told = ""
    child.stderr.on("data", (data) => {
      const isFirst = told === ""
      told += String(data)
      if (isFirst) for (const signal of ["SIGINT", "SIGTERM"] as const) child.kill(signal)
    })
    const code = await new Promise((done) => child.on("close", done))
    expect(told).toMatch(
      /^runs in stopped\n[^]*once more stops at once\n[^]*stopped at once; the same command with --out stopped goes on\n$/,
    )
    expect([130, 143]).toContain(code) // which of the two comes first is the system's
  })
})

describe("runs that come to nothing", () => {
  it("is an error where all of them diverge, and told under --quiet as well", () => {
    const call = "figure3 --sides nasp,pa --seeds 1 --lr 1e30 --budget 40 --quiet --out diverged"
    const { status, stdout, stderr } = nasp(call)
    expect(stderr).toMatch(/^warning: nasp, seed 0: .*diverged.*\nwarning: pa, seed 0: .*diverged.*\n/)
    expect(stderr).toMatch(/\nnasp: Nothing can be drawn: of 2 runs none came to the end of an epoch/)
    expect([status, stdout]).toEqual([1, ""])
    expect(existsSync(at("diverged/runs/nasp-seed0/config.json"))).toBe(true)

    // Section 4.5 draws no DARTS, which came to something.
    expect(nasp("figure3 --sides darts --seeds 1 --budget 1 --out darts").status).toBe(0)
    const from = [main, "reproduce", "section4.5", "--from", "diverged", "darts", "--out", "drawn"]
    const drawn = spawnSync(process.execPath, from, { encoding: "utf8", cwd: folder })
    expect(drawn.stderr).toMatch(/^nasp: Nothing can be drawn: of 2 runs none came to the end of an epoch/)
    expect([drawn.status, drawn.stdout, existsSync(at("drawn"))]).toEqual([1, "", false])
  })
})
