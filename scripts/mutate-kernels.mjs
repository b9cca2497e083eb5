// node scripts/mutate-kernels.mjs [file.cuh ...]: tests that can fail. Of the CUDA kernels, each __syncthreads() is deleted in
// turn, and each += turned into -= (in a file without one, the first < into >); the tests of the emulation must notice.
// Survivors are listed and make it fail, but for those that `explained` names.
//
// Changes   are all compiled into one emulation, from a copy of the kernels, and NASP_CHANGE=<number> chooses one of them at
//           run time: `x += y` reads `x += Sign(7) <<= y` there, `a < b` reads `a < Turned(8) < b`
// Tests     the golden files of test/fixtures whose run reaches the change, the quickest first; where none notices,
//           updates.test.ts and backend.test.ts of test/cuda
//
// Needs `npm run build:cuda -- --emulation` and `npm run build`. Seconds a change, and minutes for one that survives.
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { buildOf, emulationObjects, linkEmulation, root } from "./emulation-build.mjs"

/** Survivors that are no gap: a line of a file, as it reads. */
const explained = {}

const words = `#pragma once
#include <cstdio>
#include <cstdlib>

namespace nasp::change {

struct Reached {
  bool seen[1024] = {};
  const char* file = std::getenv("NASP_CHANGES_REACHED");
  ~Reached() {
    FILE* out = file ? std::fopen(file, "w") : nullptr;
    for (int id = 0; out && id < 1024; id++) {
      if (seen[id]) std::fprintf(out, "%d\\n", id);
    }
    if (out) std::fclose(out);
  }
};
inline Reached reached;
inline const int chosen = std::getenv("NASP_CHANGE") ? std::atoi(std::getenv("NASP_CHANGE")) : -1;

inline bool is(int id) {
  reached.seen[id] = true;
  return id == chosen;
}

struct Sign {
  int id;
  explicit Sign(int i) : id(i) {}
  template <class T>
  T operator<<=(T value) const { return is(id) ? -value : value; }
};

template <class T>
struct Beside {
  bool turned;
  T left;
  template <class U>
  bool operator<(U right) const { return turned ? left > right : left < right; }
};
struct Turned {
  int id;
  explicit Turned(int i) : id(i) {}
};
template <class T>
Beside<T> operator<(T left, Turned t) { return {is(t.id), left}; }

}  // namespace nasp::change
`
const cuda = "native/backends/cuda"
const folder = mkdtempSync(join(tmpdir(), "nasp-changes-"))
const library = join(folder, "changed.so")

const changes = writeChanges(process.argv.slice(2))
buildChanged()
const golden = goldenFiles()
const survivors = []
for (const { id, file, line, reads, change } of changes) {
  const by = noticedBy(id)
  const why = by ? `by ${by}` : (explained[`${file}: ${reads}`] ?? "")
  if (!by && why === "") survivors.push(`${file}:${line}`)
  console.log(`${by ? "noticed " : "SURVIVED"} ${file}:${line} ${change} ${why}`)
}
rmSync(folder, { recursive: true })
console.log(`${changes.length} changes, ${survivors.length} neither noticed nor explained`)
process.exit(survivors.length === 0 ? 0 : 1)

/** Copies the kernels with all changes to the files `named` (none: to all), and says what they are. */
function writeChanges(named) {
  cpSync(join(root, "native"), join(folder, "native"), { recursive: true })
  const header = join(folder, cuda, "emulation", "kernel_words.h")
  writeFileSync(join(folder, cuda, "emulation", "change.h"), words)
  writeFileSync(header, readFileSync(header, "utf8").replace("#pragma once", '$&\n#include "change.h"'))
  const files = readdirSync(join(root, cuda)).filter((name) => name.endsWith(".cuh") && name !== "launch.cuh")
  const all = []
  for (const file of ["kernel.h", ...files]) {
    if (named.length > 0 && !named.includes(file)) continue
    const path = join(folder, cuda, file)
    const lines = readFileSync(path, "utf8").split("\n")
    const add = (i, change) => all.push({ id: all.length, file, line: i + 1, reads: lines[i].trim(), change })
    const hasSums = lines.some((line) => code(line).includes(" +="))
    let isTurned = hasSums
    const changed = lines.map((line, i) => {
      if (code(line) === "") return line
      let text = line.replace(/__syncthreads\(\);/g, (call) => {
        add(i, "without __syncthreads()")
        return `if (!::nasp::change::is(${all.length - 1})) ${call}`
      })
      text = text.replace(/ \+=(?= |$)/g, () => {
        add(i, "+= -> -=")
        return ` += ::nasp::change::Sign(${all.length - 1}) <<=`
      })
      if (isTurned || !text.includes(" < ")) return text
      isTurned = true
      add(i, "< -> >")
      return text.replace(" < ", ` < ::nasp::change::Turned(${all.length - 1}) < `)
    })
    writeFileSync(path, changed.join("\n"))
  }
  return all
}

/** A line without its comment; preprocessor lines are none. */
function code(line) {
  return line.trim().startsWith("#") ? "" : line.replace(/\/\/.*/, "")
}

function buildChanged() {
  const source = join(folder, cuda, "emulation", "kernels.cpp")
  const object = join(folder, "kernels.o")
  const flags = ["-std=c++20", "-O1", "-fPIC", "-w", "-c"]
  const { status } = spawnSync("g++", [...flags, source, "-o", object], { stdio: "inherit" })
  if (status !== 0) throw new Error("the changes do not compile")
  const { product, emulation } = emulationObjects()
  const others = emulation.filter((name) => !name.endsWith("/kernels.cpp.o"))
  linkEmulation(buildOf("mutate-kernels"), library, [object, ...product, ...others])
}

/** The golden files, with what they reach, the quickest first; ends the process where one fails without a change. */
function goldenFiles() {
  const names = readdirSync(join(root, "test/fixtures")).filter((name) => name.endsWith(".safetensors"))
  const files = names.map((name) => {
    const reachedFile = join(folder, "reached")
    const start = Date.now()
    if (!passesGolden(name, { NASP_CHANGES_REACHED: reachedFile })) {
      console.error(`mutate-kernels: ${name} does not pass on the kernels as they are`)
      process.exit(1)
    }
    const ids = existsSync(reachedFile) ? readFileSync(reachedFile, "utf8").split("\n") : []
    return { name, reached: new Set(ids.filter(Boolean).map(Number)), time: Date.now() - start }
  })
  return files.sort((a, b) => a.time - b.time)
}

/** The first test that fails with a change; null: none does. */
function noticedBy(id) {
  const chosen = { NASP_CHANGE: String(id) }
  const file = golden.find(({ name, reached }) => reached.has(id) && !passesGolden(name, chosen))
  if (file) return file.name
  return ["updates.test.ts", "backend.test.ts"].find((suite) => !passesSuite(suite, chosen)) ?? null
}

function passesGolden(name, env) {
  const verify = ["dist/cli/main.js", "verify", "--own-inputs", "--quiet", "--device", "cuda-emulated"]
  return passes([...verify, `test/fixtures/${name}`], env)
}

function passesSuite(file, env) {
  const suite = ["node_modules/vitest/vitest.mjs", "run", "--bail=1", "--testTimeout=1000000"]
  return passes([...suite, `test/cuda/${file}`], env)
}

function passes(args, env) {
  const { status, error } = spawnSync(process.execPath, args, {
    ...{ cwd: root, stdio: "ignore", timeout: 1_200_000 },
    env: { ...process.env, ...env, NASP_CUDA_EMULATION: library },
  })
  if (error) console.log(`${args.at(-1)}: ${error.message}`) // one that never ends has noticed, too
  return status === 0
}
