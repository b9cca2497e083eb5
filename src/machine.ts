/** What a figure was measured on, beside what the engine says of itself. */
import { cpus } from "node:os"

export function cpuName(): string {
  return cpus()[0]?.model.trim() ?? process.arch
}
