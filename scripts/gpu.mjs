// npm run test:gpu, npm run bench:gpu: what is to be run on a real card, within eight minutes. Never run on one yet.
//
//   test   the suite of test/cuda on device cuda, compute-sanitizer on golden files where it is installed, and cuDNN's
//          properties of the card (for native/backends/cuda/device_properties.h)
//   bench  `nasp bench ops` and `nasp bench step` on device cuda, and their PyTorch twins (bench/*.py) on the same card, by
//          the Python that NASP_TORCH names (default python3); each operation's share of the card's bound is of the peak
//          and the bandwidth that PyTorch reaches
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
  writeFileSync(join(out, `${name}.txt`), error ? String(error) : `${stdout}${stderr}`)
  results.push({ name, passed: status === 0, missing: error?.code === "ENOENT" })
  console.log(`${status === 0 ? "ok     " : error?.code === "ENOENT" ? "absent " : "FAILED "} ${name}`)
  return stdout ?? ""
}

/** JSON objects of operations, one a line. */
function rowsOf(text) {
  const lines = text.split("\n").filter((line) => line.startsWith("{"))
  return lines.map((line) => JSON.parse(line)).filter((row) => row.op !== undefined)
}

function keyOf({ op, pass, channels, size, stride }) {
  return [op, pass, channels, size, stride].join(" ")
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
  const torch = process.env.NASP_TORCH ?? "python3"
  const there = ["--device", "cuda", "--json"]
  const steps = [["nasp", "sparse"], ["darts"]].map(([method, arch]) => ({
    method,
    ours: run(`step-${method}`, [...nasp, "bench", "step", "--method", method, ...there]),
    torch: run(`step-${method}-torch`, [
      ...[torch, "bench/step.py", "--method", method, ...(arch ? ["--arch", arch] : []), ...there],
    ]),
  }))
  const ours = rowsOf(run("ops", [...nasp, "bench", "ops", ...there]))
  const peer = new Map(
    rowsOf(run("ops-torch", [torch, "bench/ops.py", ...there])).map((row) => [keyOf(row), row]),
  )
  const operations = ours.map((row) => {
    const beside = peer.get(keyOf(row))
    const share = beside ? (beside.share * beside.ms) / row.ms : null
    return { ...row, share, torch_ms: beside?.ms ?? null }
  })
  for (const { op, pass, channels, size, stride, ms, torch_ms, share } of operations)
    console.log([op, pass, channels, size, stride, ms, torch_ms, share].join("\t"))
  writeFileSync(join(out, "compared.json"), JSON.stringify({ cuda, steps, operations }, null, 2))
} else {
  run("suite", ["npx", "vitest", "run", "test/cuda"], { NASP_TEST_DEVICE: "cuda" })
  for (const tool of ["memcheck", "racecheck", "synccheck", "initcheck"]) {
    const verify = [...nasp, "verify", "--device", "cuda", ...golden]
    run(tool, ["compute-sanitizer", "--tool", tool, "--error-exitcode", "1", ...verify])
  }
  run("target", ["cmake", "--build", "build/cmake", "--target", "nasp_plan_table"])
  run("device-properties", ["build/cmake/nasp_plan_table", "--this-card"])
}
writeFileSync(join(out, `${process.argv[2] ?? "test"}.json`), JSON.stringify({ cuda, results }, null, 2))
process.exit(results.every((r) => r.passed || r.missing) ? 0 : 1)
