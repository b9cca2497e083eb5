// node scripts/test-emulation-sanitized.mjs: the CUDA kernels under AddressSanitizer: the emulation (docs/cuda.md), compiled with
// it and with its fibers announced to it, on the golden files of test/fixtures. Needs `npm run build:cuda -- --emulation`
// and `npm run build`.
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

import { buildOf, emulationObjects, linkEmulation, root } from "./emulation-build.mjs"

const build = buildOf("test-emulation-sanitized")
const folder = mkdtempSync(join(tmpdir(), "nasp-sanitized-"))
const flags = ["-std=c++20", "-O1", "-g1", "-fPIC", "-fsanitize=address", "-fno-omit-frame-pointer"]
const sources = join(root, "native/backends/cuda/emulation")
const objects = readdirSync(sources)
  .filter((name) => name.endsWith(".cpp"))
  .map((name) => {
    const object = join(folder, `${name}.o`)
    const includes = build.includes.flatMap((path) => ["-isystem", path])
    const { status } = spawnSync("g++", [...flags, ...includes, "-c", join(sources, name), "-o", object], {
      stdio: "inherit",
    })
    if (status !== 0) process.exit(1)
    return object
  })
const library = join(folder, "nasp_cuda_emu.so")
linkEmulation(build, library, [...emulationObjects().product, ...objects], ["-fsanitize=address"])
const runtime = spawnSync("g++", ["-print-file-name=libasan.so"], { encoding: "utf8" }).stdout.trim()
const golden = readdirSync(join(root, "test/fixtures")).filter((name) => name.endsWith(".safetensors"))
const { status } = spawnSync(
  process.execPath,
  [
    "dist/cli/main.js",
    "verify",
    "--quiet",
    "--device",
    "cuda-emulated",
    ...golden.map((n) => `test/fixtures/${n}`),
  ],
  {
    cwd: root,
    stdio: "inherit",
    env: {
      ...process.env,
      NASP_CUDA_EMULATION: library,
      LD_PRELOAD: runtime,
      ASAN_OPTIONS: "detect_leaks=0", // Node's own
      // AddressSanitizer's dlopen does not know where cuDNN's own libraries lie.
      LD_LIBRARY_PATH: [dirname(build.cudnn), dirname(build.cublas)].join(":"),
    },
  },
)
rmSync(folder, { recursive: true })
process.exit(status ?? 1)
