// The addon's C++ sources, one list for both builds: `node scripts/native-sources.mjs [--engine]` prints them, paths
// relative to the package. --engine leaves the binding out (what the test driver links). New folders go here.
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const trees = ["native/core", "native/ops", "native/net", "native/data", "native/backends/cpu"]

/** Paths with forward slashes, sorted: a build is the same whatever the file system's order. */
export function nativeSources({ binding = true } = {}) {
  const folders = binding ? [...trees, "native/binding"] : trees
  const nested = folders.flatMap((folder) => list(folder, { recursive: true }))
  return [...nested, ...list("native/backends", { recursive: false })].sort()
}

function list(folder, options) {
  const names = readdirSync(join(root, folder), options)
  return names
    .filter((name) => name.endsWith(".cpp"))
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  console.log(nativeSources({ binding: !process.argv.includes("--engine") }).join("\n"))
