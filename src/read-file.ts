/** Files as this package reads them. */
import { readFileSync, statSync } from "node:fs"

/** @throws Error also for what is no regular file: a device or a pipe may have no end */
export function readRegularFile(file: string): Buffer {
  if (!statSync(file).isFile()) throw new Error(`${file} is no regular file`)
  return readFileSync(file)
}
