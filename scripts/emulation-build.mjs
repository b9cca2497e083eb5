// What scripts that build the CUDA emulation anew (with a sanitizer, with a change) know of the build that is there.
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("..", import.meta.url))
const cmake = join(root, "build", "cmake")

/** Paths of the build with CUDA; ends the process, in `who`'s name, where there is none. */
export function buildOf(who) {
  const cache = join(cmake, "CMakeCache.txt")
  const text = existsSync(cache) ? readFileSync(cache, "utf8") : ""
  const cached = (name) => new RegExp(`^${name}:[A-Z]+=(.*)$`, "m").exec(text)?.[1]
  const nvcc = cached("CMAKE_CUDA_COMPILER")
  const cudnn = cached("CUDNN_LIBRARY")
  if (!nvcc || !cudnn || cudnn.endsWith("NOTFOUND")) {
    console.error(`${who}: no CUDA in build/cmake: run \`npm run build:cuda -- --emulation\` first`)
    process.exit(1)
  }
  const toolkit = cached("CUDAToolkit_BIN_DIR")
  const includes = [cached("CUDNN_INCLUDE_DIR"), cached("CUBLAS_INCLUDE_DIR")]
  if (toolkit) includes.push(join(dirname(toolkit), "include"))
  return { nvcc, cudnn, cublas: cached("CUBLAS_LIBRARY"), includes }
}

/** Object files: the product's own, and the emulation's beside them. */
export function emulationObjects() {
  const cuda = "native/backends/cuda"
  return {
    product: objects("nasp_cuda_objects", cuda),
    emulation: objects("nasp_cuda_emu", `${cuda}/emulation`),
  }
}

function objects(target, folder) {
  const path = join(cmake, "CMakeFiles", `${target}.dir`, folder)
  if (!existsSync(path)) return []
  return readdirSync(path)
    .filter((name) => name.endsWith(".o"))
    .map((name) => join(path, name))
}

export function linkEmulation({ cudnn }, library, parts, flags = []) {
  const rpath = `-Wl,-rpath,${dirname(cudnn)}`
  const { status } = spawnSync("g++", ["-shared", ...flags, "-o", library, ...parts, cudnn, rpath, "-ldl"], {
    stdio: "inherit",
  })
  if (status !== 0) throw new Error(`${library} could not be linked`)
}
