/** What the package exports: a name that comes or goes is a change of the public API, and is made here too. */
import { readFileSync } from "node:fs"

import { expect, test } from "vitest"

test("the values of src/index.ts", async () => {
  expect(Object.keys(await import("../../src/index.js")).sort()).toEqual([
    "NaspError",
    "canonicalOperation",
    "dataSources",
    "decodeSafetensors",
    "drawGenotype",
    "encodeSafetensors",
    "findDataSource",
    "findSpace",
    "generateTextures",
    "genotypeFromJson",
    "genotypeFromText",
    "genotypeToJson",
    "genotypeToText",
    "loadNative",
    "methods",
    "readSafetensors",
    "search",
    "searchFields",
    "searchedGenotype",
    "softmaxGenotype",
    "spaces",
    "tensor",
    "use",
  ])
})

test("the package's doors: its index with types, its package.json, and the command", () => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8")
  const { exports, bin, type } = JSON.parse(text) as Record<string, unknown>
  expect(exports).toEqual({
    ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
    "./package.json": "./package.json",
  })
  expect(bin).toEqual({ nasp: "dist/cli/main.js" })
  expect(type).toBe("module")
})
