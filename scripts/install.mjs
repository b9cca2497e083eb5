// Makes sure there is an addon: uses the one that is there (build/Release, or a prebuild shipped with the package)
// when it loads and is not older than the native sources, and else builds it, with cmake-js where CMake is found and
// with node-gyp (binding.gyp) where it is not. `npm install --build-from-source` always builds.
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const require = createRequire(import.meta.url)
const target = join(root, "build", "Release", "nasp.node")
const jobs = String(Math.max(1, availableParallelism()))

const say = (text) => console.log(`nasp: ${text}`)

function existing() {
  try {
    return require("node-gyp-build").resolve(root)
  } catch {
    return null
  }
}

// In a process of its own: an addon made for another machine may end the process that loads it.
function loads(file) {
  return (
    spawnSync(process.execPath, ["-e", "require(process.argv[1])", file], { stdio: "ignore" }).status === 0
  )
}

function newestSource() {
  const native = readdirSync(join(root, "native"), { recursive: true })
    .filter((name) => /\.(cpp|h|inc|cu|cuh)$/.test(name))
    .map((name) => join(root, "native", name))
  const cmake = readdirSync(join(root, "cmake")).map((name) => join(root, "cmake", name))
  const files = [...native, ...cmake, join(root, "CMakeLists.txt"), join(root, "binding.gyp")]
  return Math.max(...files.map((file) => statSync(file).mtimeMs))
}

function has(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0
}

function run(args) {
  execFileSync(process.execPath, args, { cwd: root, stdio: "inherit" })
}

function buildWithCMake() {
  const cmakeJs = join(dirname(require.resolve("cmake-js/package.json")), "bin", "cmake-js")
  const out = join(root, "build", "cmake")
  const configure = [cmakeJs, "configure", "--directory", root, "--out", out]
  try {
    run(configure)
  } catch (error) {
    if (!existsSync(join(out, "CMakeCache.txt"))) throw error
    rmSync(out, { recursive: true }) // a cache of another place or compiler
    run(configure)
  }
  run([cmakeJs, "build", "--directory", root, "--out", out, "--parallel", jobs])
}

// `configure build`, not `rebuild`: the latter deletes build/, with whatever CMake has there.
function buildWithNodeGyp() {
  const prefix = dirname(dirname(process.execPath))
  const bundled = ["lib/node_modules", "node_modules"].map((folder) =>
    join(prefix, folder, "npm/node_modules/node-gyp/bin/node-gyp.js"),
  )
  const nodeGyp = [process.env.npm_config_node_gyp, ...bundled].find((file) => file && existsSync(file))
  if (!nodeGyp) throw new Error("neither CMake nor npm's node-gyp was found")
  const headers = existsSync(join(prefix, "include/node/node_api.h")) ? [`--nodedir=${prefix}`] : []
  if (headers.length === 0) say("no headers beside the Node executable: node-gyp downloads them")
  run([nodeGyp, "configure", "build", "--release", `--jobs=${jobs}`, ...headers])
}

// An old CMake, or one whose build fails where node-gyp's may not, is no reason to go without.
function withCMakeOrNodeGyp() {
  try {
    buildWithCMake()
  } catch (error) {
    say(`the build with CMake failed (${error.message}): trying node-gyp`)
    buildWithNodeGyp()
  }
}

function main() {
  const found = existing()
  const fromSource = ["true", "1", "nasp"].includes(process.env.npm_config_build_from_source ?? "")
  if (found && !fromSource) {
    // A prebuild came with its sources: the times of unpacking say nothing.
    const stale = found.startsWith(join(root, "build")) && statSync(found).mtimeMs < newestSource()
    if (!stale && loads(found)) return say(`using ${found}`)
    say(`${found} ${stale ? "is older than its sources" : "does not load here"}: building`)
  }
  const cmake = has("cmake")
  try {
    if (cmake) withCMakeOrNodeGyp()
    else buildWithNodeGyp()
  } catch (error) {
    console.error(`nasp: the native addon was not built: ${error.message}`)
    console.error(
      `nasp: it takes a C++20 compiler (g++ >= 12 or clang >= 16) and ${cmake ? "CMake >= 3.15" : "CMake >= 3.15 (not found here), or make and Python 3 for node-gyp"}`,
    )
    console.error("nasp: then run `npm run build:native` in the package's folder")
    process.exit(1)
  }
  if (!existsSync(target) || !loads(target)) {
    console.error(`nasp: ${target} was built but does not load; \`node -e "require('${target}')"\` says why`)
    process.exit(1)
  }
  const now = new Date()
  utimesSync(target, now, now) // newer than the sources even where nothing had to be linked again
  say(`built ${target}`)
}

main()
