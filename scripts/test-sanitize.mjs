// npm run test:sanitize: the native test driver (native/driver) under AddressSanitizer and UBSan (every operation, a search)
// and under ThreadSanitizer (a search). The first build takes minutes; later ones compile what changed.
import { execFileSync, spawnSync } from "node:child_process"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const suites = [
  { folder: "sanitize-address", sanitizers: "address,undefined", commands: ["ops", "search"] },
  { folder: "sanitize-thread", sanitizers: "thread", commands: ["search"] },
]

if (spawnSync("cmake", ["--version"], { stdio: "ignore" }).status !== 0) {
  console.error("test:sanitize needs CMake in PATH")
  process.exit(1)
}
for (const { folder, sanitizers, commands } of suites) {
  const build = join(root, "build", folder)
  const jobs = String(availableParallelism())
  execFileSync("cmake", ["-S", root, "-B", build, `-DNASP_SANITIZE=${sanitizers}`], { stdio: "ignore" })
  execFileSync("cmake", ["--build", build, "--parallel", jobs], { stdio: "inherit" })
  for (const command of commands) {
    console.log(`driver ${command} under ${sanitizers}`)
    const { status, signal } = spawnSync(join(build, "driver"), [command], { stdio: "inherit" })
    if (status !== 0) {
      console.error(`driver ${command} under ${sanitizers}: ${signal ?? `exit code ${status}`}`)
      process.exit(1)
    }
  }
}
