// Commands run as users run them: quickstart, the benches, doctor, signals, an addon that is not there. Needs dist.
import { spawn, spawnSync } from "node:child_process"
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
const main = join(root, "dist/cli/main.js")
const folder = mkdtempSync(join(tmpdir(), "nasp-commands-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const at = (name: string) => join(folder, name)
const small = ["--batch", "4", "--channels", "4", "--layers", "3", "--space", "darts7-split"]

function nasp(args: string[], env: Record<string, string> = {}) {
  const found = spawnSync(process.execPath, [main, ...args], {
    encoding: "utf8",
    cwd: folder,
    timeout: 100_000,
    env: { ...process.env, ...env },
  })
  expect(found.stderr).not.toMatch(/^\s+at /m)
  return found
}
const objects = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe("nasp", () => {
  it("quickstart searches, says how well, and what to run next", () => {
    const { status, stdout } = nasp(["quickstart"])
    expect(status).toBe(0)
    const accuracy = Number(/^validation accuracy ([\d.]+) %, chance 10.0 %$/m.exec(stdout)?.[1])
    expect(accuracy).toBeGreaterThan(20)
    expect(stdout).toContain("normal cell")
    const [, run] = /cat (\S+)\/genotype.json/.exec(stdout)!
    expect(JSON.parse(readFileSync(join(folder, run!, "genotype.json"), "utf8"))).toHaveProperty("normal")
  })

  it("bench ops times every pass at the shapes asked for", () => {
    const once = ["--batch", "2", "--repeats", "1", "--warmup", "0", "--json"]
    const rows = objects(nasp(["bench", "ops", "--op", "conv 1x1", "--channels", "16", ...once]).stdout)
    expect(rows.map((r) => [r.op, r.stride, r.pass])).toEqual(
      [1, 2].flatMap((stride) =>
        ["forward", "probe", "backward", "both"].map((pass) => ["conv_1x1", stride, pass]),
      ),
    )
    for (const row of rows) {
      expect(row).toMatchObject({ channels: 16, size: 32, batch: 2 })
      expect(row.share).toBeGreaterThan(0)
      // 16 * 16 multiply-adds a pixel and image, once a forward and a probe, twice a backward, three times both
      const times = { forward: 1, probe: 1, backward: 2, both: 3 }[row.pass as string]!
      const flops = 2 * 2 * 256 * (32 / Number(row.stride)) ** 2 * times
      expect((row.gflops as number) * 1e9).toBeCloseTo(flops / ((row.ms as number) / 1e3), -4)
    }
  })

  it("bench ops counts two tensors a pass where nothing but an activation passes through", () => {
    const once = ["--batch", "2", "--repeats", "1", "--warmup", "0", "--json", "--size", "8"]
    const rows = ["batch_norm", "skip_connect"].flatMap((op) =>
      objects(nasp(["bench", "ops", "--op", op, ...once]).stdout),
    )
    expect(rows.map((r) => [r.op, r.stride, r.pass].join(" "))).toEqual([
      ...["batch_norm 1 forward", "batch_norm 1 backward"],
      ...["forward", "probe", "backward"].map((pass) => `skip_connect 1 ${pass}`),
      ...["forward", "probe", "backward", "both"].map((pass) => `skip_connect 2 ${pass}`),
    ])
    for (const { stride, gbps, ms } of rows)
      if (stride === 1)
        expect((gbps as number) * 1e9 * (ms as number)).toBeCloseTo(2 * 4 * 64 * 64 * 2 * 1e3, -1)
  })

  it("bench step and bench methods time each method's iteration", () => {
    const tiny = [
      "--batch",
      "2",
      "--channels",
      "8",
      "--layers",
      "3",
      "--size",
      "8",
      "--repeats",
      "2",
      "--warmup",
      "0",
    ]
    const space = ["--space", "darts7-split"]
    const rows = objects(nasp(["bench", "methods", ...tiny, ...space, "--json"]).stdout)
    expect(rows.map((r) => r.method)).toEqual(
      "nasp lazy-pa pa darts darts snas asap gdas enas random pc-darts pdarts".split(" "),
    )
    for (const { seconds, spread } of rows as {
      seconds: Record<string, number>
      spread: Record<string, number[]>
    }[]) {
      expect(seconds.alpha_forward! + seconds.alpha_backward!).toBeLessThanOrEqual(seconds.alpha! * 1.001)
      expect(seconds.weight_forward! + seconds.weight_backward!).toBeLessThan(seconds.weight!)
      expect(spread.total![0]).toBeLessThanOrEqual(seconds.total!)
    }
    expect(rows[0]).not.toHaveProperty("peak_bytes") // it would be the process's, of all methods so far
    // asap with nothing pruned yet: all its operations run
    const [asap] = objects(nasp(["bench", "step", "--method", "asap", ...tiny, ...space, "--json"]).stdout)
    const kept = Object.values((asap!.selection as { normal: Record<string, number> }).normal)
    expect(kept).toEqual([14, 14, 14, 14, 14])
  })

  it("doctor says what was built, as JSON too", () => {
    const [doctor] = objects(nasp(["doctor", "--json"]).stdout)
    const { engine } = doctor as { engine: { available: string[]; chosen: string } }
    expect(engine.available).toContain("baseline")
    expect(engine.available).toContain(engine.chosen)
    const forced = nasp(["doctor"], { NASP_ISA: "baseline" })
    expect(forced.stdout).toMatch(/chosen: baseline \(NASP_ISA=baseline\)/)
    // with a device or without: its library is not opened for what it says of the CPU
    const device = nasp(["doctor"], { NASP_ISA: "cuda" })
    expect(device).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(
        /chosen: cuda \(NASP_ISA=cuda\)\n(.*not on this machine: .*\n)?bf16 probes +no/,
      ),
    })
  })

  it("refuses an instruction set that there is not", () => {
    expect(nasp(["search", "--steps", "1", ...small], { NASP_ISA: "mmx" })).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^nasp: Expected one of .*baseline for NASP_ISA but received mmx\n$/),
    })
  })

  it("says what to do where the addon is not built", () => {
    const copy = at("unbuilt")
    mkdirSync(copy)
    for (const name of ["dist", "package.json"])
      cpSync(join(root, name), join(copy, name), { recursive: true })
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
    const { status, stderr } = spawnSync(process.execPath, [join(copy, "dist/cli/main.js"), "doctor"], {
      encoding: "utf8",
    })
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /^nasp: The native addon of nasp could not be loaded on .*\n[^]*npm run build:native/,
    )
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})

/** Sends signals to a search once its steps run; more of them when the one before has been answered. */
function signalled(
  out: string,
  signals: readonly NodeJS.Signals[],
): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(
    process.execPath,
    [main, "search", ...small, "--steps", "100000", "--out", out, "--json"],
    { cwd: folder },
  )
  const left = [...signals]
  let stderr = ""
  const send = () => {
    const signal = left.shift()
    if (signal) child.kill(signal)
  }
  child.stdout.on("data", () => left.length === signals.length && send())
  child.stderr.on("data", (text: Buffer) => {
    stderr += String(text)
    if (String(text).includes("once more stops at once")) send()
  })
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stderr })))
}

/** Five steps more than were told. */
function goneOn(run: string) {
  const told = objects(readFileSync(at(`${run}/events.jsonl`), "utf8")).map((event) => event.step as number)
  return nasp(["search", "--resume", run, "--steps", String(Math.max(...told) + 5), "--quiet"])
}

describe("a search that is told to stop", () => {
  it.skipIf(!existsSync("/dev/full"))("saves where its output finds no room, with 1", () => {
    const full = openSync("/dev/full", "w")
    const { status, stderr } = spawnSync(
      process.execPath,
      [main, "search", ...small, "--steps", "100000", "--out", "full", "--json"],
      { encoding: "utf8", cwd: folder, timeout: 100_000, stdio: ["ignore", full, "pipe"] },
    )
    closeSync(full)
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /^nasp: ENOSPC.*\nstopped after step \d+; go on with: nasp search --resume full\n$/,
    )
    expect(goneOn("full").status).toBe(0)
  })

  it("saves and exits with 143 on SIGTERM", async () => {
    const { code, stderr } = await signalled("term", ["SIGTERM"])
    expect(code).toBe(143)
    expect(stderr).toMatch(/stopped after step \d+; go on with: nasp search --resume term/)
    expect(readdirSync(at("term/checkpoints"))).toHaveLength(1)
    expect(goneOn("term").status).toBe(0)
  })

  it("saves and exits with 129 on SIGHUP, of which a closing terminal sends several", async () => {
    const { code, stderr } = await signalled("hup", ["SIGHUP", "SIGHUP"])
    expect(code).toBe(129)
    expect(stderr).toMatch(/stopped after step \d+; go on with: nasp search --resume hup/)
    expect(existsSync(at("hup/lock"))).toBe(false)
    expect(goneOn("hup").status).toBe(0)
  })

  it("stops at once on a second SIGINT, with 130, and can be gone on with", async () => {
    const { code, stderr } = await signalled("int", ["SIGINT", "SIGINT"])
    expect(code).toBe(130)
    // Where the step ended before the second signal came, it was saved all the same.
    expect(stderr).toMatch(
      /stopped (at once; the last checkpoint stays|after step \d+); go on with: nasp search --resume int/,
    )
    expect(existsSync(at("int/lock"))).toBe(false)
    expect(goneOn("int").status).toBe(0)
  })
})
