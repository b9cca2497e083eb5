// Part of npm run lint and, with --fix, of npm run format: the native sources as clang-format 14 lays them out. Other
// versions lay out some lines otherwise: without that one nothing is checked.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const { stdout } = spawnSync("clang-format", ["--version"], { encoding: "utf8" })
if (!/version 14\./.test(stdout ?? "")) {
  console.log("no clang-format 14: the layout of the native sources is not checked")
} else {
  const list = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "native"], {
    cwd: root,
    encoding: "utf8",
  })
  if (list.status !== 0) throw new Error(`git ls-files: ${list.stderr ?? list.error?.message}`)
  const sources = list.stdout
    .split("\n")
    .filter((file) => /\.(cpp|h|inc|inl|cu|cuh)$/.test(file) && existsSync(join(root, file)))
  const how = process.argv.includes("--fix") ? ["-i"] : ["--dry-run", "-Werror"]
  const { status } = spawnSync("clang-format", [...how, ...sources], { cwd: root, stdio: "inherit" })
  process.exitCode = status ?? 1
  if (status === 0) console.log(`${sources.length} native sources are laid out as clang-format 14 does`)
}
