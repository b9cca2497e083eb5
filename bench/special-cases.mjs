#!/usr/bin/env node
// What each special case of the CPU's kernels is worth on this machine: the engine as it is beside one built without the case,
// both in one process, in turn. For every case the smallest times of the rounds, and the ratio without / with: above 1, it pays.
//
//   node bench/special-cases.mjs [--case NAME [--add]] [--rounds 5] [--repeats 8] [--out bench/results/special-cases.json]
//
// --add puts the case among those that the file has of this machine; each says on which instruction set it was measured.
// A case is taken out by edits of the sources (special-cases.json beside this script), in a copy of them in a temporary folder; a build
// takes half a minute. Operations run on one thread at batch 64; iterations of NASP (nasp12), and with every operation propagated
// (dense, darts7), on all threads, with one random selection, batch 64, 16 channels and 8 cells.
import { execFileSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { performance } from "node:perf_hooks"
import { fileURLToPath } from "node:url"
import { describeMachine, machineLine } from "../dist/bench/machine.js"
import { randomAlpha } from "../dist/bench/selection.js"
import { findSpace, loadNative } from "../dist/index.js"
import { optionsOf, refuse, writeResults } from "./contenders.mjs"

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, "..")
const require = createRequire(import.meta.url)
const values = optionsOf("special-cases", {
  rounds: { type: "string", default: "5" },
  repeats: { type: "string", default: "8" },
  case: { type: "string" },
  add: { type: "boolean", default: false },
})
const [rounds, repeats] = [Number(values.rounds), Number(values.repeats)]
const all = JSON.parse(readFileSync(join(here, "special-cases.json"), "utf8"))
const cases = all.filter(({ name }) => values.case === undefined || name === values.case)
if (cases.length === 0) refuse("case", `one of ${all.map(({ name }) => name).join(", ")}`, values.case)

const earlier = values.add ? read(values.out) : { results: [] }

const folder = mkdtempSync(join(tmpdir(), "nasp-special-cases-"))
const source = (file) => join(folder, "native", file)

/** What an earlier run has written; before anything is measured, so that nothing measured is lost. */
function read(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"))
  } catch (error) {
    return refuse("add", "results of an earlier run in --out", `${file} (${error.message})`)
  }
}

function prepare() {
  for (const part of ["native", "cmake", "CMakeLists.txt", "package.json"])
    cpSync(join(root, part), join(folder, part), { recursive: true })
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
  const cmakeJs = join(dirname(require.resolve("cmake-js/package.json")), "bin", "cmake-js")
  const out = join(folder, "build", "cmake")
  quietly(process.execPath, [cmakeJs, "configure", "--directory", folder, "--out", out])
}

/** The engine as the copy's sources say, as an addon of its own. */
function build(name) {
  quietly("cmake", ["--build", join(folder, "build", "cmake"), "--parallel"])
  const file = join(folder, `${name}.node`)
  cpSync(join(folder, "build", "Release", "nasp.node"), file)
  return require(file)
}

function quietly(command, args) {
  execFileSync(command, args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] })
}

/** The sources without a case; what undoes that. */
function takeOut({ name, edits }) {
  const before = edits.map(({ file }) => [source(file), readFileSync(source(file), "utf8")])
  for (const { file, from, to } of edits) {
    const text = readFileSync(source(file), "utf8")
    if (text.split(from).length !== 2) refuse(`case ${name}`, `one place in ${file} that reads`, from)
    writeFileSync(source(file), text.replace(from, to))
  }
  return () => before.reverse().forEach(([file, text]) => writeFileSync(file, text))
}

async function operation(addon, [op, pass, channels, size, stride]) {
  const request = { op, channels, height: size, width: size, stride, batch: 64, threads: 1 }
  const fixed = { affine: false, searchPools: true, precision: "f32" }
  return Math.min(...(await addon.timeOperation({ ...request, ...fixed }, pass, repeats)))
}

const nets = {
  nasp: { space: findSpace("nasp12"), dense: false },
  dense: { space: findSpace("darts7"), dense: true },
}
const weights = { lr: 0, momentum: 0, weightDecay: 0, clip: 5, unselected: "skipped", apply: true }

function openNet(addon, { space, dense }) {
  const session = new addon.Session({
    ...{ channels: 16, layers: 8, classes: 10, imageSize: 32, imageChannels: 3, batch: 64, threads: 0 },
    ...{ normal: [...space.normal], reduce: [...space.reduce], precision: "f32", isa: "", dense, seed: 0 },
  })
  const alpha = randomAlpha(space, 0)
  for (const type of ["normal", "reduce"]) session.write(`alphas_${type}`, alpha[type])
  session.discretise({ value: "one", edges: "two", epsilon: 0, counter: 0 })
  const x = Float32Array.from(addon.normals(0, 0, 64 * 3 * 32 * 32))
  const targets = Int32Array.from({ length: 64 }, (_, i) => i % 10)
  return { session, load: () => session.load(x, targets) }
}

async function iteration({ session, load }) {
  const start = performance.now()
  await session.architectureGradient(load())
  await session.weightStep(load(), weights)
  return (performance.now() - start) / 1000
}

/** Smallest times of all rounds, of the two sides' `time`. */
async function inTurn(sides, time) {
  const best = sides.map(() => Infinity)
  for (let round = 0; round < rounds; round++) {
    for (const i of round % 2 ? [1, 0] : [0, 1]) best[i] = Math.min(best[i], await time(sides[i]))
  }
  return { with: best[0], without: best[1], ratio: best[1] / best[0] }
}

async function measure(addons, { operations = [], iterations = [] }) {
  const rows = []
  for (const shape of operations)
    rows.push({ of: shape.join(" "), ...(await inTurn(addons, (addon) => operation(addon, shape))) })
  for (const method of iterations) {
    const open = addons.map((addon) => openNet(addon, nets[method]))
    try {
      for (const net of open) await iteration(net)
      rows.push({ of: `iteration ${method}`, ...(await inTurn(open, iteration)) })
    } finally {
      for (const { session } of open) session.dispose()
    }
  }
  return rows
}

const native = loadNative()
const machine = describeMachine(native, 0)
console.log(machineLine(machine))
const results = []
try {
  prepare()
  const whole = build("whole")
  for (const special of cases) {
    const undo = takeOut(special)
    const without = build(special.name)
    undo()
    const rows = await measure([whole, without], special)
    const { name, what, edits } = special
    results.push({ name, what, file: edits[0].file, isa: machine.isa, rows })
    console.log(`${special.name}: ${special.what}`)
    for (const { of, ratio, ...row } of rows) {
      const ms = (seconds) => (seconds * 1e3).toFixed(3).padStart(9)
      console.log(`  ${of.padEnd(36)} ${ms(row.with)} ms, without ${ms(row.without)}  x ${ratio.toFixed(2)}`)
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
const { add: _add, ...options } = values
const others = earlier.results.map((result) => ({ isa: earlier.machine.isa, ...result }))
const measured = new Map([...others, ...results].map((result) => [result.name, result]))
writeResults(options, { machine, results: all.flatMap(({ name }) => measured.get(name) ?? []) })
