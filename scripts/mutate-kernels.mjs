// node scripts/mutate-kernels.mjs: tests that can fail. Deletes each __syncthreads() of the CUDA kernels in turn, then turns
// each += into -=, builds the emulation with that one change, and runs the golden files of test/fixtures on it, which must
// notice. Survivors are listed and make it fail, but for those that docs/cuda.md explains. Needs `npm run build:cuda --
// --emulation` and `npm run build`; takes half a minute a change.
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { buildOf, emulationObjects, linkEmulation, root } from "./emulation-build.mjs"

const cuda = "native/backends/cuda"
const build = buildOf("mutate-kernels")
const { product, emulation } = emulationObjects()
const others = [...product, ...emulation.filter((name) => !name.endsWith("/kernels.cpp.o"))]

const files = [
  "kernel.h",
  ...readdirSync(join(root, cuda)).filter((name) => name.endsWith(".cuh") && name !== "launch.cuh"),
]
const folder = mkdtempSync(join(tmpdir(), "nasp-mutants-"))
cpSync(join(root, "native"), join(folder, "native"), { recursive: true })
const library = join(folder, "mutant.so")

/** Whether the golden files pass on the kernels as they lie in `folder`. */
function passes() {
  const source = join(folder, cuda, "emulation", "kernels.cpp")
  const object = join(folder, "kernels.o")
  const compile = spawnSync("g++", ["-std=c++20", "-O1", "-fPIC", "-w", "-c", source, "-o", object], {
    stdio: "inherit",
  })
  if (compile.status !== 0) throw new Error("a change does not compile")
  linkEmulation(build, library, [object, ...others])
  const golden = readdirSync(join(root, "test/fixtures")).filter((name) =>
    /^(op|nasp-step)-.*\.safetensors$/.test(name),
  )
  const verify = spawnSync(
    process.execPath,
    [
      ...["dist/cli/main.js", "verify", "--own-inputs", "--quiet", "--device", "cuda-emulated"],
      ...golden.map((name) => `test/fixtures/${name}`),
    ],
    { cwd: root, env: { ...process.env, NASP_CUDA_EMULATION: library }, stdio: "ignore", timeout: 300_000 },
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
  for (const [pattern, replacement] of [
    [/__syncthreads\(\);/g, ";"],
    [/ \+= /g, " -= "],
  ]) {
    for (const { index, 0: found } of text.matchAll(pattern)) {
      const line = text.slice(0, index).split("\n").length
      writeFileSync(path, text.slice(0, index) + replacement + text.slice(index + found.length))
      const survived = passes()
      tried++
      if (survived) survivors.push(`${file}:${line}`)
      console.log(
        `${survived ? "SURVIVED" : "noticed "} ${file}:${line} ${found.trim()} -> ${replacement.trim()}`,
      )
    }
  }
  writeFileSync(path, text)
}
rmSync(folder, { recursive: true })
console.log(`${tried} changes, ${survivors.length} not noticed`)
process.exit(survivors.length === 0 ? 0 : 1)
