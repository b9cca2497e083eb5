// node scripts/plan-table.mjs: builds and runs native/backends/cuda/tools/plan_table.cpp, cuDNN's plans for every convolution of
// every space on cards that are not there. Needs a build by `npm run build:cuda`.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const build = fileURLToPath(new URL("../build/cmake", import.meta.url))
if (!existsSync(join(build, "CMakeCache.txt"))) {
  console.error("plan-table: no build/cmake: run `npm run build:cuda` first")
  process.exit(1)
}
const { status } = spawnSync("cmake", ["--build", build, "--target", "nasp_plan_table"], {
  stdio: ["ignore", "ignore", "inherit"],
})
if (status !== 0) process.exit(1)
process.exit(spawnSync(join(build, "nasp_plan_table"), { stdio: "inherit" }).status ?? 1)
