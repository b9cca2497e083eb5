// The addon's C++ sources for the build without CMake (binding.gyp), one a line, relative to the package: all of native/
// but the test driver and the CUDA backend, which is a library of its own. CMakeLists.txt goes by the same rule.
import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"

const names = readdirSync(fileURLToPath(new URL("../native", import.meta.url)), { recursive: true })
const sources = names
  .map((name) => `native/${name.replaceAll("\\", "/")}`)
  .filter((name) => name.endsWith(".cpp") && !/^native\/(driver|backends\/cuda)\//.test(name))
// Sorted: a build is the same whatever the file system's order.
console.log(sources.sort().join("\n"))
