// npm run build:cuda [-- --emulation]: the addon with its CUDA backend, which must be there (docs/cuda.md says where CUDA and
// cuDNN are looked for); --emulation: also the backend that runs on the CPU, for tests. Fails where the library lacks
// device code.
import { spawnSync } from "node:child_process"
import { dirname, join } from "node:path"
import { createRequire } from "node:module"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"

import { showDeviceCode } from "./device-code.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const cmakeJs = join(
  dirname(createRequire(import.meta.url).resolve("cmake-js/package.json")),
  "bin",
  "cmake-js",
)
const out = join(root, "build", "cmake")
const emulation = process.argv.includes("--emulation") ? "ON" : "OFF"
const python = process.env.NASP_PYTHON ? [`--CDNASP_PYTHON=${process.env.NASP_PYTHON}`] : []
const options = ["--CDNASP_CUDA=ON", `--CDNASP_CUDA_EMULATION=${emulation}`, ...python]
const place = ["--directory", root, "--out", out]

for (const args of [
  ["configure", ...place, ...options],
  ["build", ...place, ...options, "--parallel", String(availableParallelism())],
]) {
  const { status } = spawnSync(process.execPath, [cmakeJs, ...args], { cwd: root, stdio: "inherit" })
  if (status !== 0) process.exit(status ?? 1)
}
process.exit(showDeviceCode(join(root, "build", "Release", "nasp_cuda.so")) ? 0 : 1)
