/** A net that outgrows the machine's memory, or its control group's, gets an error; the system would end the process. */
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterAll, beforeEach, describe, expect, test } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "nasp-free-memory-"))
afterAll(() => rmSync(folder, { recursive: true }))

// What the addon reads of the system is read below NASP_TEST_ROOT.
const elsewhere = `
#include <dlfcn.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
static FILE* open_elsewhere(const char* path, const char* mode, const char* name) {
  static auto real = reinterpret_cast<FILE* (*)(const char*, const char*)>(dlsym(RTLD_NEXT, name));
  const char* root = getenv("NASP_TEST_ROOT");
  const bool system = !strcmp(path, "/proc/meminfo") || !strcmp(path, "/proc/self/cgroup") || !strncmp(path, "/sys/fs/cgroup", 14);
  return real(root && system ? (root + std::string(path)).c_str() : path, mode);
}
extern "C" FILE* fopen(const char* path, const char* mode) { return open_elsewhere(path, mode, "fopen"); }
extern "C" FILE* fopen64(const char* path, const char* mode) { return open_elsewhere(path, mode, "fopen64"); }
`

const system = join(folder, "root")
function write(file: string, text: string): void {
  const path = join(system, file)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
const meminfo = (mebibytes: number) =>
  `MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:   ${mebibytes * 1024} kB\n`

// A step of a net of about 170 MiB; one with more memory than that; and one with none but what the two have taken.
const body = `
const addon = require("node-gyp-build")(process.cwd())
const { writeFileSync } = require("node:fs")
const ops = ["skip_connect", "sep_conv_5x5", "dil_conv_5x5", "max_pool_3x3", "avg_pool_3x3", "sep_conv_3x3"]
const batch = 32
const session = new addon.Session({ channels: 8, layers: 8, classes: 10, imageSize: 32, imageChannels: 3, batch,
  normal: ops, reduce: ops, precision: "f32", isa: "", threads: 2, dense: true, seed: 0 })
const step = () => session.evaluate(session.load(new Float32Array(batch * 3072).fill(0.5), new Int32Array(batch)))
const told = () => step().then((r) => r.loss.toFixed(3), (e) => e.code + " " + e.message)
const more = process.env.NASP_TEST_ROOT + "/proc/meminfo"
;(async () => {
  console.log(await told())
  writeFileSync(more, ${JSON.stringify(meminfo(8000))})
  console.log(await told())
  writeFileSync(more, ${JSON.stringify(meminfo(1))})
  console.log(await told())
})()`

/** What the steps say, on a machine that has so much at first. */
function run(mebibytes = 8000): string[] {
  write("proc/meminfo", meminfo(mebibytes))
  const env = { ...process.env, LD_PRELOAD: join(folder, "elsewhere.so"), NASP_TEST_ROOT: system }
  const done = spawnSync(process.execPath, ["-e", body], { cwd: root, env, encoding: "utf8" })
  expect(done.stderr).toBe("")
  return done.stdout.trim().split("\n")
}

function prepared(): boolean {
  if (process.platform !== "linux") return false
  try {
    writeFileSync(join(folder, "elsewhere.cpp"), elsewhere)
    const flags = ["-shared", "-fPIC", "-O1", "elsewhere.cpp", "-o", "elsewhere.so", "-ldl"]
    execFileSync("c++", flags, { cwd: folder })
    return true
  } catch {
    return false
  }
}

describe.skipIf(!prepared())("memory that is not free is not taken", () => {
  beforeEach(() => {
    rmSync(system, { recursive: true, force: true })
    write("proc/self/cgroup", "")
  })

  test("of the machine; the session goes on when there is enough, and with what it has", () => {
    const [first, second, third] = run(16)
    expect(first).toMatch(
      /^ERR_NASP_OUT_OF_MEMORY Expected \d+ MiB more memory for activations beside \d+ MiB of them, but only 14 MiB are free; a smaller batch/,
    )
    expect(second).toMatch(/^\d\.\d{3}$/)
    expect(third).toBe(second)
  })

  const mebibyte = 2 ** 20
  test.each([
    [
      "version 1",
      "9:cpu:/\n4:memory:/a/b\n0::/\n",
      "memory/a",
      "limit_in_bytes",
      "usage_in_bytes",
      "total_inactive_file",
    ],
    ["version 2", "0::/a/b\n", "a", "max", "current", "inactive_file"],
    ["a container's own, whose path is the host's", "0::/there/c\n", "", "max", "current", "inactive_file"],
  ])("of a control group above the process's: %s", (_, groups, group, limit, usage, inactive) => {
    write("proc/self/cgroup", groups)
    const at = (name: string) => join("sys/fs/cgroup", group, `memory.${name}`)
    write(at("stat"), `cache 1\n${inactive} ${10 * mebibyte}\nactive_file 7\n`)
    write(at(limit), `${500 * mebibyte}\n`)
    write(at(usage), `${494 * mebibyte}\n`) // 500 - (494 - 10) = 16, less an eighth
    expect(run()[0]).toContain("but only 14 MiB are free")
    write(at(usage), `${100 * mebibyte}\n`)
    expect(run()[0]).toMatch(/^\d\.\d{3}$/)
  })

  test("a group without a limit has the machine's", () => {
    write("proc/self/cgroup", "0::/a\n")
    write("sys/fs/cgroup/a/memory.max", "max\n")
    write("sys/fs/cgroup/a/memory.current", `${494 * mebibyte}\n`)
    expect(run()[0]).toMatch(/^\d\.\d{3}$/)
  })
})
