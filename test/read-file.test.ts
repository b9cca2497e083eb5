// Files that are none: a device or a pipe may have no end, so nothing of it is read. /dev/null stands for all of them.
import { mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

import { readCost } from "../src/cost-file.js"
import { cifar10 } from "../src/data/cifar10.js"
import { readSafetensors } from "../src/safetensors.js"
import { readRunEvents, readRunRecord } from "../src/train/run-folder.js"

let folder = ""
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "nasp-devices-"))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(process.platform === "win32")("a device is not read", () => {
  it.each<[string, string, (file: string) => unknown, string]>([
    ["costs", "cost.json", readCost, "ERR_NASP_ARGUMENT"],
    ["safetensors", "alpha.safetensors", readSafetensors, "ERR_NASP_IO"],
    ["CIFAR-10's records", "data_batch_1.bin", () => cifar10.load(folder), "ERR_NASP_DATA"],
    ["a run's configuration", "config.json", () => readRunRecord(folder), "ERR_NASP_RUN_FOLDER"],
    ["a run's events", "events.jsonl", () => readRunEvents(folder), "ERR_NASP_IO"],
  ])("as %s", (_, name, read, code) => {
    const file = join(folder, name)
    symlinkSync("/dev/null", file)
    const refused = expect.objectContaining({
      code,
      message: expect.stringContaining(`${file} is no regular file`),
    })
    expect(() => read(file)).toThrow(refused)
  })
})
