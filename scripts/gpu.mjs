// npm run test:gpu, npm run bench:gpu: what is to be run on a real card, within eight minutes. Never run on one yet.
//
//   test   the suite of test/cuda on device cuda, compute-sanitizer on golden files where it is installed, and cuDNN's
//          properties of the card (for native/backends/cuda/device_properties.h)
//   bench  `nasp bench ops` and `nasp bench step` on device cuda
//
// Needs `npm run build:cuda` and `npm run build`. Everything printed and measured is left in build/gpu.
import { spawnSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const out = join(root, "build", "gpu")
const end = Date.now() + 8 * 60_000
const nasp = [process.execPath, "dist/cli/main.js"]
const results = []

function run(name, [command, ...args], env = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    ...{ cwd: root, encoding: "utf8", maxBuffer: 1 << 28, timeout: Math.max(1000, end - Date.now()) },
    env: { ...process.env, ...env },
  })
  writeFileSync(join(out, `${name}.txt`), `${stdout}${stderr}`)
  results.push({ name, passed: status === 0, missing: error?.code === "ENOENT" })
  console.log(`${status === 0 ? "ok     " : error?.code === "ENOENT" ? "absent " : "FAILED "} ${name}`)
  return stdout
}

const doctor = spawnSync(nasp[0], [...nasp.slice(1), "doctor", "--json"], { cwd: root, encoding: "utf8" })
const { cuda } = JSON.parse(doctor.stdout)
if (cuda.device === null) {
  console.error(`gpu: ${cuda.absence}`)
  process.exit(1)
}
mkdirSync(out, { recursive: true })
console.log(`${cuda.device}; ${cuda.libraries}`)
const golden = [
  "test/fixtures/op-sep_conv_5x5-s2-c5-n3-affine.safetensors",
  "test/fixtures/op-conv_3x1_1x3-s1-c6-n20.safetensors",
]
if (process.argv[2] === "bench") {
  run("bench-ops", [...nasp, "bench", "ops", "--device", "cuda", "--json"])
  run("bench-step", [...nasp, "bench", "step", "--device", "cuda", "--json"])
} else {
  run("suite", ["npx", "vitest", "run", "test/cuda/backend.test.ts"], { NASP_TEST_DEVICE: "cuda" })
  for (const tool of ["memcheck", "racecheck", "synccheck", "initcheck"]) {
    const verify = [...nasp, "verify", "--device", "cuda", ...golden]
    run(tool, ["compute-sanitizer", "--tool", tool, "--error-exitcode", "1", ...verify])
  }
  run("target", ["cmake", "--build", "build/cmake", "--target", "nasp_plan_table"])
  run("device-properties", ["build/cmake/nasp_plan_table", "--this-card"])
}
writeFileSync(join(out, `${process.argv[2] ?? "test"}.json`), JSON.stringify({ cuda, results }, null, 2))
process.exit(results.every((r) => r.passed || r.missing) ? 0 : 1)
