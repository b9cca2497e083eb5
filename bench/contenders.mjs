// What the comparisons share: their options, one contender as a process of its own, medians, and where results go.
import { spawnSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { loadNative, NaspError } from "../dist/index.js"

const here = dirname(fileURLToPath(import.meta.url))

/** PyTorch's allocator as it runs best here: huge pages, and no memory given back between steps. */
const tunables = [
  "glibc.malloc.hugetlb=1",
  "glibc.malloc.mmap_threshold=33554432",
  "glibc.malloc.trim_threshold=17179869184",
  "glibc.malloc.top_pad=268435456",
].join(":")

/**
 * @param results file name of the results without .json: --out's default
 * @param own options of this comparison, as parseArgs takes them
 */
export function optionsOf(results, own) {
  const options = {
    rounds: { type: "string", default: "3" },
    out: { type: "string", default: join(here, "results", `${results}.json`) },
    ...own,
  }
  const values = parsed(options)
  for (const name of ["rounds", "repeats", "warmup"]) {
    const least = name === "warmup" ? 0 : 1
    const isFit = Number.isInteger(Number(values[name])) && Number(values[name]) >= least
    if (values[name] !== undefined && !isFit) refuse(name, `an integer from ${least}`, values[name])
  }
  return values
}

function parsed(options) {
  try {
    return parseArgs({ options }).values
  } catch (error) {
    throw new Failure(error.message, 2)
  }
}

/** What ends a comparison with one line: 2 for its options, 1 for a contender. */
class Failure extends Error {
  constructor(message, status) {
    super(message)
    this.status = status
  }
}

// Thrown, not exited from: what a script does in `finally` is done.
process.on("uncaughtException", (error) => {
  const says = error instanceof Failure || error instanceof NaspError
  console.error(says ? `error: ${error.message}` : error)
  process.exit(error.status ?? 1)
})

/** Ends the comparison: an option that cannot be. */
export function refuse(name, expected, received) {
  throw new Failure(`Expected ${expected} for ${name} but received ${received}`, 2)
}

/** Options of a comparison with PyTorch: both sides get the same numbers of threads and of runs to warm up. */
export function twinOptionsOf(results, own) {
  const threads = String(loadNative().info().threads)
  return optionsOf(results, {
    python: { type: "string", default: "python3" },
    batch: { type: "string", default: "64" },
    threads: { type: "string", default: threads }, // what this process may use: PyTorch does not ask for quotas
    warmup: { type: "string", default: "2" },
    ...own,
  })
}

/** Those of `names` that are set, as command-line arguments. */
export function flags(values, names) {
  return names.flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]]))
}

/** `nasp bench ...`, as it runs. @returns the JSON values that it prints, one a line */
export function nasp(args) {
  return run(process.execPath, [join(here, "..", "dist", "cli", "main.js"), "bench", ...args, "--json"])
}

/** A twin of bench/, with the allocator tuned. @returns the JSON values that it prints, one a line */
export function twin(python, script, args) {
  return run(python, [join(here, script), ...args, "--json"], { GLIBC_TUNABLES: tunables })
}

/** A process. @returns the JSON values that it prints, one a line */
export function run(command, args, environment = {}) {
  const { status, error, stdout } = spawnSync(command, args, {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 26,
  })
  if (status !== 0)
    throw new Failure(`${command} ${args.join(" ")}: ${error?.message ?? `ended with ${status}`}`, 1)
  return stdout
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
}

export function median(list) {
  const sorted = [...list].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2
}

/** Leaves the results, the options that made them beside them, and says where. */
export function writeResults({ python: _python, out, ...options }, results) {
  const file = resolve(out)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify({ options, ...results }, null, 2)}\n`)
  console.log(`written: ${out}`)
}
