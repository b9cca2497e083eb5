// What the public functions answer to what their types rule out: one NaspError that names the argument.
import { describe, expect, it, vi } from "vitest"

import {
  canonicalOperation,
  decodeSafetensors,
  drawGenotype,
  encodeSafetensors,
  findDataSource,
  generateTextures,
  genotypeFromJson,
  genotypeFromText,
  genotypeToJson,
  genotypeToText,
  NaspError,
  readSafetensors,
  search,
  searchedGenotype,
  softmaxGenotype,
  spaces,
  tensor,
} from "../../src/index.js"
import { fakeAddon } from "../train/fake-native.js"

vi.mock("../../src/native.js", async (original) => ({
  ...(await original<object>()),
  loadNative: () => fakeAddon,
}))

type Call = (value: never) => unknown

const space = spaces[0]!
const matrix = (columns: number) => new Float64Array(14 * columns)
const alpha = { normal: matrix(space.normal.length), reduce: matrix(space.reduce.length) }
const one = { name: "a", shape: [1], dtype: "F32", data: new Float32Array(1) }

/** What a template literal, or String, cannot make a text of. */
const unprintable: unknown[] = [
  Symbol("s"),
  Object.assign(Object.create(null) as object, { a: {} }),
  [Symbol("s")],
  {
    toString() {
      throw new Error("its own")
    },
  },
]

const refused: [string, Call, unknown[], RegExp][] = [
  ["search", search, [null, 3, "", [], () => 1], /^Expected an object for options but received/],
  ["search", (options) => search({ options }), [null, 3, "", []], /an object for options but received/],
  ["search", (signal) => search({ signal }), [3, null, {}], /an AbortSignal for signal but received/],
  ["search", (out) => search({ out }), ["a\0b", { parent: "a\0b", name: "n" }], /a path without NUL for out/],
  [
    "search",
    (name) => search({ out: { parent: "a", name: name as string } }),
    ["../b", "b/c", "b\\c", "..", "."],
    /a name without \/ and \\, not \. or \.\. for out\.name but received/,
  ],
  [
    "search",
    (out) => search({ out }),
    [{}, { parent: "" }, { parent: "a" }, []],
    /a folder for out(\.parent|\.name)? but received/,
  ],
  ["stop", (how) => search().stop(how), [null, 3], /an object for options but received/],
  ["stop", (evaluated) => search().stop({ evaluated }), [null, 3], /true or false for evaluated/],
  [
    "decodeSafetensors",
    (bytes) => decodeSafetensors(bytes, "x"),
    [3, null, "text"],
    /a Uint8Array for bytes/,
  ],
  [
    "decodeSafetensors",
    (source) => decodeSafetensors(new Uint8Array(3), source),
    [null, 3, ...unprintable],
    /^Expected a string for source but received/,
  ],
  [
    "decodeSafetensors",
    () => decodeSafetensors(new Uint8Array(3)),
    [undefined],
    /^what was given is not a whole safetensors file: it has 3 bytes/,
  ],
  ["readSafetensors", readSafetensors, [null, 3, ...unprintable], /^Expected a string for file but received/],
  ["genotypeFromText", genotypeFromText, [null, 3, ...unprintable], /^Expected a string for text but rec/],
  ["genotypeFromJson", genotypeFromJson, [null, 3, ...unprintable], /^Expected a string for text but rec/],
  [
    "load",
    (folder) => findDataSource("cifar10").load(folder),
    [undefined, null, "", 3, ...unprintable],
    /^Expected the folder of cifar10's files \(--data-dir\) for folder but received/,
  ],
  ["search", (epochs) => search({ epochs }), unprintable, /^Expected an integer .* for epochs but received/],
  ["search", (data) => search({ data }), [Symbol("s"), 5n], /^Expected .* for data but received/],
  ["search", (method) => search({ method }), unprintable, /^Expected a name for method but received/],
  ["search", (cost) => search({ options: { cost } }), unprintable, /for cost but received/],
  ["encodeSafetensors", encodeSafetensors, [null, 3, {}], /a list of tensors for tensors but received/],
  [
    "encodeSafetensors",
    (metadata) => encodeSafetensors([], metadata),
    [null, 3],
    /an object for metadata but received/,
  ],
  [
    "encodeSafetensors",
    (note) => encodeSafetensors([], { note }),
    [null, 3, undefined],
    /a string for metadata.note but received/,
  ],
  ["a tensor", (value) => encodeSafetensors([value]), [null, 3], /an object for a tensor but received/],
  [
    "a tensor",
    (name) => encodeSafetensors([{ ...one, name, dtype: "F32" }]),
    [null, 3, undefined],
    /a string for a tensor's name but received/,
  ],
  [
    "a tensor",
    (shape) => encodeSafetensors([{ ...one, shape, dtype: "F32" }]),
    [null, 1, [-1], ["1"]],
    /a list of sizes for the shape of a but received/,
  ],
  [
    "a tensor",
    (dtype) => encodeSafetensors([{ ...one, dtype }]),
    [null, "F16", "toString"],
    /F32, F64, I32, I64 or U8 for the dtype of a but received/,
  ],
  [
    "a tensor",
    (data) => encodeSafetensors([{ ...one, data, dtype: "F32" }]),
    [null, [1], new Float64Array(1)],
    /1 values of F32 for a but received/,
  ],
  ["tensor", (shape) => tensor("a", shape, one.data), [null, 3], /a list of sizes for the shape of a/],
  ["tensor", (data) => tensor("a", [1], data), [null, [1]], /a typed array of .* for a but received/],
  ["genotypeToJson", genotypeToJson, [null, 3, {}], /^Expected a genotype but/],
  ["genotypeToText", genotypeToText, [null, 3, {}], /^Expected a genotype but/],
  ["drawGenotype", drawGenotype, [null, 3, {}], /^Expected a genotype but/],
  ["softmaxGenotype", (of) => softmaxGenotype(of, alpha), [null, 3], /an object for space but received/],
  [
    "searchedGenotype",
    (normal) => searchedGenotype({ ...space, normal }, alpha, alpha),
    [null, 3, [], [3]],
    /a list of operations for space.normal but received/,
  ],
  ["softmaxGenotype", (of) => softmaxGenotype(space, of), [null, 3], /an object for alpha but received/],
  [
    "searchedGenotype",
    (normal) => searchedGenotype(space, { ...alpha, normal }, alpha),
    [null, [], matrix(3), matrix(8).fill(NaN), new Array(14 * space.normal.length), { length: 1e12 }],
    /finite numbers \(14, 8\) for selected.normal but received/,
  ],
  [
    "softmaxGenotype",
    (normal) => softmaxGenotype(space, { ...alpha, normal }),
    [matrix(8).fill(NaN), matrix(8).fill(Infinity)],
    /112 finite numbers \(14, 8\) for alpha.normal but received/,
  ],
  ["canonicalOperation", canonicalOperation, [null, 3], /one of none, .* for an operation but received/],
  [
    "generateTextures",
    (count) => generateTextures(count, 1),
    [-1, 0, 0.5, 1e12, Infinity, NaN],
    /an integer from 1 to 1000000 for count but received/,
  ],
  ["generateTextures", (seed) => generateTextures(1, seed), [0.5, NaN, "x"], /an integer for seed/],
]

describe("what is refused", () => {
  it.each(
    refused.flatMap(([name, call, values, message]) => values.map((v) => [name, v, call, message] as const)),
  )("%s: %o", (_, value, call, message) => {
    let error: unknown
    try {
      call(value as never)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(NaspError)
    expect((error as NaspError).message).toMatch(message)
  })
})
