// node scripts/mutate-kernels.mjs [file.cuh ...]: tests that can fail. Deletes each __syncthreads() of the CUDA kernels in turn,
// then turns each += into -= (in a file without one, the first < into >), builds the emulation with that one change, and
// runs test/cuda/updates.test.ts and the golden files of test/fixtures on it, which must notice. Survivors are listed and
// make it fail, but for those that `explained` names. Needs `npm run build:cuda -- --emulation` and `npm run build`; takes
// up to a minute a change.
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { buildOf, emulationObjects, linkEmulation, root } from "./emulation-build.mjs"

const cuda = "native/backends/cuda"
const build = buildOf("mutate-kernels")
const { product, emulation } = emulationObjects()
const others = [...product, ...emulation.filter((name) => !name.endsWith("/kernels.cpp.o"))]

const named = process.argv.slice(2)
const files = [
  "kernel.h",
  ...readdirSync(join(root, cuda)).filter((name) => name.endsWith(".cuh") && name !== "launch.cuh"),
].filter((name) => named.length === 0 || named.includes(name))
const folder = mkdtempSync(join(tmpdir(), "nasp-mutants-"))
cpSync(join(root, "native"), join(folder, "native"), { recursive: true })
const library = join(folder, "mutant.so")

/** Survivors that are no gap: line of a file, as it reads. */
const explained = {}

/** Whether the tests pass on the kernels as they lie in `folder`. */
function passes() {
  const source = join(folder, cuda, "emulation", "kernels.cpp")
  const object = join(folder, "kernels.o")
  const compile = spawnSync("g++", ["-std=c++20", "-O1", "-fPIC", "-w", "-c", source, "-o", object], {
    stdio: "inherit",
  })
  if (compile.status !== 0) throw new Error("a change does not compile")
  linkEmulation(build, library, [object, ...others])
  const env = { ...process.env, NASP_CUDA_EMULATION: library }
  const options = { cwd: root, env, stdio: "ignore", timeout: 300_000 }
  const suite = ["node_modules/vitest/vitest.mjs", "run", "test/cuda/updates.test.ts"]
  if (spawnSync(process.execPath, suite, options).status !== 0) return false
  const golden = readdirSync(join(root, "test/fixtures")).filter((name) =>
    /^(op|nasp-step)-.*\.safetensors$/.test(name),
  )
  const verify = spawnSync(
    process.execPath,
    [
      ...["dist/cli/main.js", "verify", "--own-inputs", "--quiet", "--device", "cuda-emulated"],
      ...golden.map((name) => `test/fixtures/${name}`),
    ],
    options,
  )
  return verify.status === 0
}

if (!passes()) {
  console.error("mutate-kernels: the golden files do not pass on the kernels as they are")
  process.exit(1)
}
const survivors = []
let tried = 0
for (const file of files) {
  const path = join(folder, cuda, file)
  const text = readFileSync(path, "utf8")
  const sums = [...text.matchAll(/ \+= /g)]
  for (const [places, replacement] of [
    [[...text.matchAll(/__syncthreads\(\);/g)], ";"],
    sums.length > 0 ? [sums, " -= "] : [[...text.matchAll(/ < /g)].slice(0, 1), " > "],
  ]) {
    for (const { index, 0: found } of places) {
      const line = text.slice(0, index).split("\n").length
      const reads = text.split("\n")[line - 1].trim()
      writeFileSync(path, text.slice(0, index) + replacement + text.slice(index + found.length))
      const survived = passes()
      tried++
      const why = explained[`${file}: ${reads}`]
      if (survived && !why) survivors.push(`${file}:${line}`)
      console.log(
        `${survived ? "SURVIVED" : "noticed "} ${file}:${line} ${found.trim()} -> ${replacement.trim()} ${why ?? ""}`,
      )
    }
  }
  writeFileSync(path, text)
}
rmSync(folder, { recursive: true })
console.log(`${tried} changes, ${survivors.length} not noticed`)
process.exit(survivors.length === 0 ? 0 : 1)
