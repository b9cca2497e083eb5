// After tsc: the command can be started as a program (npm does this for packages it installs, not for a clone).
import { chmodSync, existsSync } from "node:fs"

const main = new URL("../dist/cli/main.js", import.meta.url)
if (existsSync(main)) chmodSync(main, 0o755)
