/** An engine that gets no memory says so, even where there is none for the error's own text. */
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterAll, expect, test } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "nasp-memory-"))
afterAll(() => rmSync(folder, { recursive: true }))

// From the NASP_TEST_FAIL_FROMth on, what the addon asks for is refused: by itself or through the standard library.
const refusing = `
#include <dlfcn.h>
#include <execinfo.h>
#include <cstdlib>
#include <cstring>
#include <new>
static thread_local int asking = 0, count = 0;
static bool refused() {
  const char* from = asking ? nullptr : getenv("NASP_TEST_FAIL_FROM");
  if (!from) return false;
  void* frames[12];
  asking = 1;
  const int n = backtrace(frames, 12);
  bool ours = false;
  for (int i = 0; i < n; i++) {
    Dl_info info;
    if (!dladdr(frames[i], &info) || strstr(info.dli_fname, "libstdc++") || strstr(info.dli_fname, "refusing.so"))
      continue;
    ours = strstr(info.dli_fname, "nasp.node");
    break;
  }
  asking = 0;
  return ours && ++count >= atoi(from);
}
void* operator new(std::size_t n) {
  void* p = refused() ? nullptr : malloc(n ? n : 1);
  if (!p) throw std::bad_alloc();
  return p;
}
void operator delete(void* p) noexcept { free(p); }
void operator delete(void* p, std::size_t) noexcept { free(p); }
`

const body = `
const addon = require("node-gyp-build")(process.cwd())
process.env.NASP_TEST_FAIL_FROM = process.argv[1]
try {
  addon.operationCost("x".repeat(900), 4, 4, 1) // a message that has to be copied
} catch (error) {
  delete process.env.NASP_TEST_FAIL_FROM
  console.log(error.code)
}`

/** The code of the addon's error, or the signal that ends the process, where allocations fail from one on. */
function codeFrom(first: number): string {
  const env = { ...process.env, LD_PRELOAD: join(folder, "refusing.so") }
  const { stdout, signal } = spawnSync(process.execPath, ["-e", body, `${first}`], {
    ...{ cwd: root, env, encoding: "utf8" },
  })
  return signal ?? stdout.trim()
}

function prepared(): boolean {
  if (process.platform !== "linux") return false
  try {
    writeFileSync(join(folder, "refusing.cpp"), refusing)
    execFileSync("c++", ["-shared", "-fPIC", "-O1", "refusing.cpp", "-o", "refusing.so", "-ldl"], {
      cwd: folder,
    })
    return codeFrom(1) !== "ERR_NASP_ARGUMENT" // a Node that brings its own operator new does not notice
  } catch {
    return false
  }
}

test.skipIf(!prepared())("whichever allocation fails first", () => {
  const codes: string[] = []
  while (codes.at(-1) !== "ERR_NASP_ARGUMENT" && codes.length < 60) codes.push(codeFrom(codes.length + 1))
  expect(new Set(codes)).toEqual(new Set(["ERR_NASP_OUT_OF_MEMORY", "ERR_NASP_ARGUMENT"]))
})
