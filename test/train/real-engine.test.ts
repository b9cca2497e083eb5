// Searches on the real engine through the command line: killed and resumed, on 1, 2 and 3 threads, interrupted.
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"

const main = new URL("../../dist/cli/main.js", import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), "nasp-real-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const size = ["--space", "darts7-split", "--batch", "12", "--channels", "4", "--layers", "3", "--seed", "5"]

function nasp(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8" })
  expect(stderr).not.toMatch(/^\s+at /m)
  expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" })
  return stdout
}

/** Exit code or signal. `act` gets the child. */
function child(
  args: string[],
  act: (kill: (signal: NodeJS.Signals) => void) => void,
): Promise<number | string> {
  return new Promise((resolve) => {
    const process_ = spawn(process.execPath, [main, ...args], { stdio: "ignore" })
    process_.on("exit", (code, signal) => resolve(code ?? signal ?? "gone"))
    act((signal) => process_.kill(signal))
  })
}

/** Weights, alpha, genotypes and checkpoints by their hashes. */
function bytesOf(run: string): Record<string, string> {
  const names = readdirSync(run, { recursive: true, encoding: "utf8" }).filter((n) =>
    /safetensors$|genotype/.test(n),
  )
  const hash = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(run, name)))
      .digest("hex")
  return Object.fromEntries(names.sort().map((name) => [name, hash(name)]))
}

/** Resolves when the run folder has a line that matches in its events. */
async function event(run: string, pattern: RegExp): Promise<void> {
  const file = join(run, "events.jsonl")
  for (let i = 0; i < 3000; i++) {
    if (existsSync(file) && pattern.test(readFileSync(file, "utf8"))) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`${file} has no ${String(pattern)}`)
}

describe("on the real engine", () => {
  const steps = ["--steps", "40", "--checkpoint-every", "7"]

  it("killed at several moments and resumed, ends in the bytes of a run never stopped", async () => {
    const [whole, killed] = [join(folder, "whole"), join(folder, "killed")]
    nasp("search", ...size, ...steps, "--out", whole)
    let args = ["search", ...size, ...steps, "--out", killed]
    for (const step of [2, 11, 26]) {
      const seen = event(killed, new RegExp(`"step":${step},`))
      const end = await child(args, (kill) => void seen.then(() => kill("SIGKILL")))
      expect(end).toBe("SIGKILL")
      args = ["search", "--resume", killed]
    }
    nasp(...args)
    expect(bytesOf(killed)).toEqual(bytesOf(whole))
    expect(nasp(...args)).toContain("this run is finished: 40 steps")
  })

  it("gives the same bytes on 1, 2 and 3 threads", () => {
    const runs = [1, 2, 3].map((threads) => {
      const run = join(folder, `threads-${threads}`)
      nasp("search", ...size, "--steps", "4", "--batch", "20", "--threads", String(threads), "--out", run)
      return bytesOf(run)
    })
    expect(Object.keys(runs[0]!)).toContain("weights.safetensors")
    expect(runs[1]).toEqual(runs[0])
    expect(runs[2]).toEqual(runs[0])
  })

  it("interrupted by SIGINT, finishes the step, saves and exits with 130", async () => {
    const run = join(folder, "interrupted")
    const seen = event(run, /"step":3,/)
    const end = await child(
      ["search", ...size, "--steps", "5000", "--out", run],
      (kill) => void seen.then(() => kill("SIGINT")),
    )
    expect(end).toBe(130)
    expect(readdirSync(join(run, "checkpoints"))).toHaveLength(1)
    expect(readFileSync(join(run, "events.jsonl"), "utf8")).toMatch(/"type":"stopped".*\n$/)
    expect(existsSync(join(run, "lock"))).toBe(false)
  })
})
