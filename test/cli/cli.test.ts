// The command line: what is refused and with which exit code, and what good calls print. Needs dist (npm run build).
import { spawn, spawnSync } from "node:child_process"
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

import { genotypeFromJson, genotypeFromText } from "../../src/genotype.js"
import { decodeSafetensors } from "../../src/safetensors.js"

const main = new URL("../../dist/cli/main.js", import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), "nasp-cli-"))
const at = (name: string) => join(folder, name)
const small = ["--batch", "16", "--channels", "4", "--layers", "3", "--space", "darts7-split"]

function nasp(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const how = { encoding: "utf8", cwd: folder, timeout: 60_000, killSignal: "SIGKILL" } as const
  return spawnSync(process.execPath, [main, ...args], how)
}

beforeAll(() => {
  mkdirSync(at("images/cat"), { recursive: true })
  mkdirSync(at("foreign"))
  writeFileSync(at("foreign/data_batch_1.bin"), Buffer.alloc(5000, 200))
  writeFileSync(at("cost.json"), '{"toaster": 1}')
  writeFileSync(at("twice.json"), '{"sep3": 1, "sep_conv_3x3": 2}')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const refused: [string, number, RegExp][] = [
  ["search --data cifar10 --data-dir foreign --out r", 1, /data_batch_1.bin has 5000 bytes/],
  ["search --data cifar10 --data-dir none --out r", 1, /none does not exist/],
  ["search --data cifar10 --out r", 2, /dataDir/],
  ["search --data images --out r", 2, /folders of images are not read/],
  ["search --space nope --out r", 2, /for space but received nope/],
  ["search --method nope --out r", 2, /for method but received nope/],
  ["search --epochs -1 --out r", 2, /for epochs but received -1/],
  ["search --epochs 1e9999 --out r", 2, /for epochs but received 1e9999/],
  ["search --batch abc --out r", 2, /for batch but received abc/],
  ["search --batch 0 --out r", 2, /for batch but received 0/],
  ["search --channels 0 --out r", 2, /for channels but received 0/],
  ["search --layers 1000000 --out r", 2, /for layers but received 1000000/],
  ["search --threads 0 --out r", 2, /for threads but received 0/],
  ["search --eta -1 --out r", 2, /for eta but received -1/],
  ["search --cost none.json --out r", 2, /for cost but received none.json/],
  ["search --cost cost.json --out r", 2, /for an operation but received toaster/],
  ["search --cost twice.json --out r", 2, /one cost of sep_conv_3x3 for cost but received a second one/],
  [
    "search --method pc-darts --channels 6 --out r",
    2,
    /a number that partialChannels \(4\) divides for channels but received 6/,
  ],
  [
    "search --device cuda --out r",
    1,
    /^nasp: (The cuda library is not built|The CUDA library needs|No CUDA device can be used).*$/m,
  ],
  ["search --device toaster --out r", 2, /for device but received toaster/],
  ["search --resume images", 1, /has no config.json/],
  ["search --resume none", 1, /none does not exist/],
  ["search --resume none --batch 3", 2, /beside resume/],
  ["search --epochs 1 --out ", 2, /a folder for out but received an empty string/],
  ["reproduce figure4 --epochs 1 --out ", 2, /a folder for out but received an empty string/],
  [
    "bench ops --channels 24",
    2,
    /both, or one of 16 and 32, 32 and 16 or 64 and 8 for channels and size but received 24 and 0/,
  ],
  [
    "bench step --method darts --selection f",
    2,
    /one that selects, beside selection or saveSelection for method/,
  ],
  ["bench step --method pc-darts --channels 6", 2, /channels that 4 partial channels divide but received 6/],
  ["bench ops --op none", 2, /an operation that computes something for op but received none/],
  ["bench step --layers 2", 2, /an integer from 3 to 100 for layers but received 2/],
  ["bench step --threads 0", 2, /an integer from 1 to 1024 for threads but received 0/],
  ["verify --device auto f", 2, /Expected cpu or cuda for device but received auto/],
  ["search --out images", 2, /new or empty folder for out but received images/],
  ["search --nonsense", 2, /unknown option '--nonsense'/],
  ["search stray", 2, /too many arguments/],
  ["nonsense", 2, /unknown command 'nonsense'/],
  ["bench nothing", 2, /nothing/],
]

describe("what is refused", () => {
  it.each(refused)("nasp %s -> %i", (call, code, message) => {
    const { status, stdout, stderr } = nasp(...call.split(" "))
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/^\s+at .*(file|node):/m)
    expect({ status, stdout }).toEqual({ status: code, stdout: "" })
  })

  it.skipIf(process.platform !== "linux")("a place where no folder can be made", () => {
    const { status, stderr } = nasp("search", "--steps", "1", ...small, "--out", "/proc/none/r")
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(/Could not write \/proc\/none\/r/),
    })
  })

  it.skipIf(process.platform === "win32")("a disk that is full (a limit on the size of files)", () => {
    const call = `ulimit -f 16; exec "${process.execPath}" "${main}" search --steps 3 --checkpoint-every 1 --channels 16 --batch 16 --layers 3 --out full`
    const { status, stderr } = spawnSync("bash", ["-c", call], { encoding: "utf8", cwd: folder })
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(/Could not write .*limit/),
    })
  })

  it.skipIf(process.platform === "win32")("a lock that cannot be read, or leads nowhere", () => {
    nasp("search", "--steps", "1", ...small, "--quiet", "--out", "locked")
    const before = readdirSync(at("locked"))
    const resumed = () => {
      const { status, stderr } = nasp("search", "--resume", "locked")
      expect(readdirSync(at("locked")).sort()).toEqual([...before, "lock"].sort())
      rmSync(at("locked/lock"), { recursive: true })
      return { status, stderr }
    }
    mkdirSync(at("locked/lock"))
    expect(resumed()).toEqual({
      status: 1,
      stderr: expect.stringMatching(/^nasp: Could not read .*lock is no regular file\n$/),
    })
    symlinkSync("nowhere", at("locked/lock"))
    expect(resumed()).toEqual({
      status: 1,
      stderr: expect.stringMatching(/^nasp: The run folder locked is in use .* remove locked\/lock.\n$/),
    })
  })

  it("a search that diverges", () => {
    const { status, stderr } = nasp("search", ...small, "--lr", "1e30", "--clip", "0", "--out", "diverged")
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/diverged at step \d+/) })
  })
})

describe("what is done", () => {
  it("prints events as lines of JSON and leaves a readable run folder", () => {
    const { status, stdout } = nasp("search", "--steps", "2", ...small, "--json", "--out", "good")
    expect(status).toBe(0)
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string })
    expect(events.map((e) => e.type)).toEqual(["start", "step", "step", "checkpoint", "epoch", "finished"])
    const genotype = genotypeFromJson(readFileSync(at("good/genotype.json"), "utf8"))
    expect(genotypeFromText(readFileSync(at("good/genotype.txt"), "utf8"))).toEqual(genotype)
    expect(genotype.normal).toHaveLength(8)
    const alpha = decodeSafetensors(readFileSync(at("good/alpha.safetensors")), "alpha")
    expect([...alpha.tensors.values()].map((t) => [t.name, t.shape])).toEqual([
      ["alphas_normal", [14, 5]],
      ["alphas_reduce", [14, 3]],
    ])
  })

  it("is silent with --quiet, takes the first free folder, and draws the cell otherwise", () => {
    expect(nasp("search", "--steps", "1", ...small, "--quiet")).toMatchObject({
      status: 0,
      stdout: "",
      stderr: "",
    })
    const { status, stdout } = nasp("search", "--steps", "1", ...small)
    expect(status).toBe(0)
    expect(stdout).toContain("normal cell")
    expect(stdout).toContain("runs/darts7-split-seed0-2")
  })

  it("takes two folders for two searches that begin at once", async () => {
    const call = ["search", "--steps", "1", ...small, "--seed", "9", "--quiet"]
    const one = () =>
      new Promise((resolve) => spawn(process.execPath, [main, ...call], { cwd: folder }).on("exit", resolve))
    expect(await Promise.all([one(), one()])).toEqual([0, 0])
    const runs = readdirSync(at("runs")).filter((name) => name.includes("seed9"))
    expect(runs.sort()).toEqual(["darts7-split-seed9-1", "darts7-split-seed9-2"])
  })

  it("says with --quiet what it warns of", () => {
    expect(nasp("search", "--steps", "1", ...small, "--quiet", "--device", "auto")).toMatchObject({
      status: 0,
      stdout: "",
      stderr: expect.stringMatching(/^(warning: device auto takes the CPU: .*\n)?$/),
    })
    nasp("search", "--steps", "2", ...small, "--checkpoint-every", "1", "--out", "torn")
    truncateSync(at("torn/checkpoints/step-0000000002.safetensors"), 100)
    expect(nasp("search", "--resume", "torn", "--quiet").stderr).toMatch(
      /^warning: the checkpoint .* is damaged.*\n$/,
    )
  })

  it("warns of more threads than there are CPUs", () => {
    const threads = availableParallelism() + 1
    const { stderr } = nasp("search", "--steps", "1", ...small, "--quiet", "--threads", String(threads))
    expect(stderr).toMatch(new RegExp(`^warning: ${threads} threads on \\d+ CPUs wait for each other\n$`))
  })

  it("says of a finished run that it is, as an event too", () => {
    nasp("search", "--steps", "1", ...small, "--quiet", "--out", "over")
    const { stdout } = nasp("search", "--resume", "over", "--json")
    expect(JSON.parse(stdout)).toMatchObject({
      type: "finished",
      step: 1,
      epoch: 0,
      genotype: expect.anything(),
    })
    expect(nasp("search", "--resume", "over").stdout).toContain("this run is finished: 1 steps")
  })

  it.skipIf(process.platform === "win32")("stops, saves and can go on where its readers went away", () => {
    for (const [name, pipe] of [
      ["out", "| head -1"],
      ["both", "2>&1 | head -1"],
    ] as const) {
      const call = `"${process.execPath}" "${main}" search --steps 5000 ${small.join(" ")} --json --out ${name}`
      const { stderr } = spawnSync("bash", ["-c", `${call} ${pipe}; echo "\${PIPESTATUS[0]}" >&2`], {
        encoding: "utf8",
        cwd: folder,
        timeout: 60_000,
      })
      // The second one's own words went the same way.
      expect(stderr).toMatch(name === "out" ? /^stopped after step \d+.*\n0\n$/ : /^0\n$/)
      const events = readFileSync(at(`${name}/events.jsonl`), "utf8")
        .trim()
        .split("\n")
      const last = JSON.parse(events.at(-1)!) as { type: string; step: number }
      expect(last.type).toBe("stopped")
      expect(nasp("search", "--resume", name, "--steps", String(last.step + 1), "--quiet").status).toBe(0)
    }
  })

  it("helps and says its version and what was built", () => {
    expect(nasp("--help")).toMatchObject({ status: 0, stdout: expect.stringContaining("nasp quickstart") })
    expect(nasp("search", "--help")).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("--resume RUN"),
    })
    for (const command of ["search", "verify", "bench step", "bench ops"])
      expect(nasp(...command.split(" "), "--help").stdout, command).not.toContain("emulated")
    expect(nasp("--version")).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
    expect(nasp("doctor")).toMatchObject({ status: 0, stdout: expect.stringContaining("chosen:") })
  })
})
