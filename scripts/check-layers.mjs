// npm run check:layers: who may include whom. Native: core <- ops <- backends/backend.h <- backends/{cpu,cuda,host}; net
// sees only backends/backend.h, device.h, registry.h, step_functions.h and workspace.h; only backends/{cuda,host}
// step_entries.h; only binding includes napi.h; only backends/cuda CUDA's headers.
// TypeScript: only native.ts loads the addon; methods and spaces touch no file system, nor does what they import (types
// aside); a folder of src imports those that its row names, and the files of src itself.
//   check-layers.mjs [root]   default: this repository
import { readFileSync, readdirSync } from "node:fs"
import { join, posix } from "node:path"
import { fileURLToPath } from "node:url"

const root = process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url))
const core = /^native\/core\//
const seam = /^native\/backends\/(backend|device|registry|step_functions|workspace)\.h$/
const entries = /^native\/backends\/step_entries\.h$/
const ops = /^native\/ops\//
const data = /^native\/data\//

// The first row that a file's path matches says what it may include of native/, its own folder always.
const layers = [
  [core, []],
  [ops, [core]],
  [data, [core]],
  [/^native\/backends\/registry\.cpp$/, [core, ops, seam, /^native\/backends\/(cpu|cuda)\/[^/]*\.h$/]],
  [/^native\/backends\/cuda_library\.cpp$/, [core, /^native\/backends\/cuda\/table\.h$/]],
  [/^native\/backends\/cuda\/(emulation|tools)\//, [core, ops, seam, /^native\/backends\/cuda\/[^/]*$/]],
  [/^native\/backends\/cuda\/kernel\.h$/, [/^native\/backends\/cuda\/emulation\/kernel_words\.h$/]],
  [/^native\/backends\/cpu\//, [core, ops, seam]],
  [/^native\/backends\/(cuda|host)\//, [core, ops, seam, entries]],
  [/^native\/backends\//, [core, ops]],
  [/^native\/net\//, [core, ops, data, seam]],
  [
    /^native\/(binding|driver)\//,
    [core, ops, data, /^native\/net\//, /^native\/backends\/(registry|machine_bounds|cuda_library)\.h$/],
  ],
]
// Folders of src, and which of the others each imports.
const rooms = {
  "": ["data", "methods", "spaces", "train"],
  data: [],
  spaces: [],
  methods: ["data", "spaces"],
  train: ["data", "methods", "spaces"],
  golden: ["methods", "spaces"],
  bench: ["data", "methods", "spaces", "train"],
  reproduce: ["bench", "data", "methods", "spaces", "train"],
  "reproduce/chart": [],
  cli: ["bench", "data", "golden", "methods", "reproduce", "spaces", "train"],
}
const texts = [
  [/^native\/(?!binding\/)/, /#include\s*[<"]napi/, "includes napi.h"],
  [/^native\/(?!backends\/cuda\/)/, /#include\s*<(cuda|cudnn|cublas)/, "includes a CUDA header"],
  [/^src\/(?!native\.ts$)/, /node-gyp-build|build\/Release|\.node["'`]/, "loads the addon"],
]

const files = ["native", "src"].flatMap((tree) =>
  readdirSync(join(root, tree), { recursive: true })
    .map((name) => `${tree}/${name.replaceAll("\\", "/")}`)
    .filter((name) => /\.(cpp|h|inc|inl|cu|cuh|ts)$/.test(name)),
)
const textOf = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]))

// What a file of src imports, statically or not: files by their paths, modules by their names.
function importsOf(file, text = textOf.get(file) ?? "") {
  return [...text.matchAll(/\b(?:from|import|require)\s*\(?\s*["'`]([^"'`]+)["'`]/g)].map(([, name]) =>
    name.startsWith(".") ? posix.join(posix.dirname(file), name).replace(/\.js$/, ".ts") : name,
  )
}

// The way from a file to the file system, or null.
function wayToFiles(file, seen = new Set()) {
  if (/^(node:)?fs(\/promises)?$/.test(file)) return [file]
  if (seen.has(file)) return null
  seen.add(file)
  const text = textOf.get(file)?.replace(/\b(import|export) type\b[^"=]*\bfrom\s*"[^"]*"/g, "")
  for (const name of importsOf(file, text)) {
    const way = wayToFiles(name, seen)
    if (way) return [file, ...way]
  }
  return null
}

const wrongs = []
for (const [file, text] of textOf) {
  for (const [where, pattern, what] of texts)
    if (where.test(file) && pattern.test(text)) wrongs.push(`${file} ${what}`)
  if (file.startsWith("src/")) {
    const room = posix.dirname(file).slice("src/".length)
    const allowed = rooms[room]
    if (!allowed) wrongs.push(`${file} lies in a folder that no row names`)
    for (const name of importsOf(file).filter((name) => textOf.has(name))) {
      const other = posix.dirname(name).slice("src/".length)
      if (other !== "" && other !== room && !other.startsWith(`${room}/`) && !allowed?.includes(other))
        wrongs.push(`${file} imports ${name}`)
    }
    const way = /^src\/(methods|spaces)\//.test(file) && wayToFiles(file)
    if (way) wrongs.push(`${file} touches the file system: ${way.join(" > ")}`)
    continue
  }
  const layer = layers.find(([where]) => where.test(file))
  if (!layer) {
    wrongs.push(`${file} lies in a folder that no row names`)
    continue
  }
  for (const [, name] of text.matchAll(/^\s*#\s*include\s*"([^"]+)"/gm)) {
    const included = posix.join(posix.dirname(file), name)
    const own = posix.dirname(included) === posix.dirname(file)
    if (!own && included.startsWith("native/") && !layer[1].some((allowed) => allowed.test(included)))
      wrongs.push(`${file} includes ${included}`)
  }
}
for (const wrong of wrongs) console.error(wrong)
console.log(`${files.length} files, ${wrongs.length} against the layers`)
process.exit(wrongs.length === 0 ? 0 : 1)
