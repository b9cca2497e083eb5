// Genotypes: JSON and DARTS text there and back, the two derivations, the drawing.
import { describe, expect, it, vi } from "vitest"

import { largestOperations, sameCell, searchedGenotype, selectionOf, softmaxGenotype } from "../src/derive.js"
import { drawGenotype } from "../src/draw-genotype.js"
import {
  genotypeFromJson,
  genotypeFromText,
  genotypeToJson,
  genotypeToText,
  type Genotype,
} from "../src/genotype.js"
import { edges, rowsOfNode, type Space } from "../src/spaces/index.js"
import { canonicalOperation } from "../src/spaces/operations.js"
import { fakeAddon } from "./train/fake-native.js"

vi.mock("../src/native.js", () => ({ loadNative: () => fakeAddon }))

// xujinfan/NASP-codes, the published cell of 7.36 M parameters, in spellings as they occur there.
const published = `NASP = Genotype(
  normal=[('conv 3x1_1x3', 0), ('conv 3x3', 1), ('dil_conv_3x3', 2), ('conv 3x3', 1),
          ('dil_3x3', 2), ("conv 3x3", 0), ('skip_connect', 0), ('dil_conv_3x3', 3)], normal_concat=range(2, 6),
  reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_5x5', 1),
          ('skip_connect', 2), ('skip_connect', 3), ('skip_connect', 0), ('skip_connect', 1),], reduce_concat=[2, 3, 4, 5])`

const nasp: Genotype = {
  normal: [
    ["conv_3x1_1x3", 0],
    ["conv_3x3", 1],
    ["dil_conv_3x3", 2],
    ["conv_3x3", 1],
    ["dil_conv_3x3", 2],
    ["conv_3x3", 0],
    ["skip_connect", 0],
    ["dil_conv_3x3", 3],
  ],
  normal_concat: [2, 3, 4, 5],
  reduce: [
    ["max_pool_3x3", 0],
    ["max_pool_3x3", 1],
    ["skip_connect", 2],
    ["max_pool_5x5", 1],
    ["skip_connect", 2],
    ["skip_connect", 3],
    ["skip_connect", 0],
    ["skip_connect", 1],
  ],
  reduce_concat: [2, 3, 4, 5],
}

describe("text and JSON", () => {
  it("reads the published NASP cell", () => {
    expect(genotypeFromText(published)).toEqual(nasp)
    expect(genotypeToText(nasp)).toMatch(
      /^Genotype\(normal=\[\('conv_3x1_1x3', 0\), .*normal_concat=range\(2, 6\), reduce=\[/,
    )
  })

  it("goes there and back", () => {
    // Five nodes and loose ends, as in AmoebaNet.
    const loose: Genotype = {
      normal: [...nasp.normal, ["avg_pool_3x3", 5], ["conv_7x1_1x7", 0]],
      normal_concat: [4, 5, 6],
      reduce: [...nasp.reduce, ["none", 2], ["sep_conv_7x7", 3]],
      reduce_concat: [3, 4, 6],
    }
    for (const genotype of [nasp, loose]) {
      expect(genotypeFromText(genotypeToText(genotype))).toEqual(genotype)
      expect(genotypeFromJson(genotypeToJson(genotype))).toEqual(genotype)
    }
    expect(genotypeToText(loose)).toContain("reduce_concat=[3, 4, 6]")
  })

  it.each([
    ["text", "nothing", /no Genotype/],
    ["text", published.replace("reduce_concat", "x"), /reduce_concat is missing/],
    [
      "text",
      published.replace("('conv 3x3', 1)", "('conv 3x3', 2)"),
      /takes input 2, but node 0 has the inputs 0 to 1/,
    ],
    ["text", published.replace("('conv 3x3', 1), ", ""), /two edges a node/],
    [
      "text",
      published.replace("range(2, 6)", "range(2, 7)"),
      /normal_concat is not a list of nodes from 0 to 5/,
    ],
    ["text", published.replace("'max_pool_5x5', 1)", "'max_pool_5x5', 1"), /cannot be read|not \[operation/],
    [
      "text",
      published.replace("max_pool_5x5", "max_pool_9x9"),
      /^Expected a genotype but reduce\[3\] has the operation max_pool_9x9, which is not none, .* or dil_conv_5x5$/,
    ],
    ["JSON", "{", /Expected a genotype/],
    ["JSON", "[]", /it is not an object/],
    ["JSON", "{}", /normal is not a list/],
    ["JSON", JSON.stringify({ ...nasp, reduce_concat: [9] }), /reduce_concat/],
  ])("refuses malformed %s", (form, text, why) => {
    expect(() => (form === "JSON" ? genotypeFromJson(text) : genotypeFromText(text))).toThrow(
      expect.objectContaining({ code: "ERR_NASP_FORMAT", message: expect.stringMatching(why) }),
    )
  })

  it("knows the spellings of operations", () => {
    for (const spelling of ["sep_conv_3x3", "sep_3x3", "sep 3x3", "Sep conv 3x3", "sep-conv-3x3"]) {
      expect(canonicalOperation(spelling)).toBe("sep_conv_3x3")
    }
    expect(canonicalOperation("conv 3x1 1x3")).toBe("conv_3x1_1x3")
    expect(canonicalOperation("max 5x5")).toBe("max_pool_5x5")
    expect(["skip", "sep_3x3"].map(canonicalOperation)).toEqual(["skip_connect", "sep_conv_3x3"])
    expect(() => canonicalOperation("toaster")).toThrow(/toaster/)
  })
})

describe("derivation", () => {
  const space: Space = {
    name: "s",
    about: "",
    normal: ["none", "skip_connect", "conv_1x1"],
    reduce: ["skip_connect"],
  }
  const matrix = (fill: (row: number, column: number) => number, columns: number) =>
    Float32Array.from({ length: edges * columns }, (_, i) => fill(Math.floor(i / columns), i % columns))

  it("lays 14 rows over four nodes", () => {
    expect([0, 1, 2, 3].map(rowsOfNode)).toEqual([
      { first: 0, count: 2 },
      { first: 2, count: 3 },
      { first: 5, count: 4 },
      { first: 9, count: 5 },
    ])
  })

  it("takes the first operation and the first two edges on ties", () => {
    const alpha = { normal: matrix(() => 0.5, 3), reduce: matrix(() => 0.5, 1) }
    const softmax = softmaxGenotype(space, alpha)
    expect(softmax.normal.map(([op, input]) => `${op}@${input}`)).toEqual(
      Array(4).fill(["skip_connect@0", "skip_connect@1"]).flat(),
    )
  })

  it("ranks by softmax without none, strongest edge first", () => {
    // Row 11 (node 3, input 2) is the strongest, though none beats it there; row 13 (input 4) second.
    const alpha = matrix(
      (row, k) => (row === 11 && k === 2 ? 2 : row === 13 && k === 1 ? 1 : row === 11 && k === 0 ? 2.1 : 0),
      3,
    )
    const genotype = softmaxGenotype(space, { normal: alpha, reduce: matrix(() => 0, 1) })
    expect(genotype.normal.slice(6)).toEqual([
      ["skip_connect", 4],
      ["conv_1x1", 2],
    ])
  })

  it("finds each row's largest operation, none left out, the first of equals", () => {
    const alpha = {
      normal: matrix((r, k) => [9, 1, r % 2 === 0 ? 2 : 1][k]!, 3),
      reduce: matrix(() => -1, 1),
    }
    const expected = Array.from({ length: 28 }, (_, r) => (r < edges ? (r % 2 === 0 ? 2 : 1) : 0))
    expect(largestOperations(space, alpha)).toEqual(expected)
  })

  it("reads the searched net off the discrete matrices", () => {
    const kept = [0, 1, 3, 4, 5, 8, 9, 12]
    const d = {
      normal: matrix((row, k) => (kept.includes(row) && k === row % 3 ? 1 : 0), 3),
      reduce: matrix(() => 1, 1),
    }
    const alpha = { normal: matrix(() => 0.5, 3), reduce: matrix((row) => row / 100, 1) }
    const genotype = searchedGenotype(space, d, alpha)
    expect(genotype.normal).toEqual([
      ["none", 0],
      ["skip_connect", 1],
      ["none", 1],
      ["skip_connect", 2],
      ["conv_1x1", 0],
      ["conv_1x1", 3],
      ["none", 0],
      ["none", 3],
    ])
    // Every row kept: the two with the largest alpha.
    expect(genotype.reduce.map(([, input]) => input)).toEqual([0, 1, 1, 2, 2, 3, 3, 4])
    expect(selectionOf(space, d).slice(0, 5)).toEqual([0, 1, -1, 0, 1])
  })

  it("takes a kept row's own operation, also where lazy PA's value, cut to the box, is 0", () => {
    const { normal, reduce } = space
    const alpha = {
      normal: new Array(edges * normal.length).fill(-0.2),
      reduce: new Array(edges * reduce.length).fill(-0.2),
    }
    const d = {
      normal: new Array(edges * normal.length).fill(0),
      reduce: new Array(edges * reduce.length).fill(0),
    }
    const last = normal.length - 1
    for (const row of [0, 1, 2, 4]) alpha.normal[row * normal.length + last] = -0.1
    d.normal[last] = alpha.normal[last] = 0.3
    expect(searchedGenotype(space, d, alpha).normal.slice(0, 4)).toEqual([
      [normal[last], 0],
      [normal[last], 1],
      [normal[last], 0],
      [normal[last], 2],
    ])
    expect(selectionOf(space, d).slice(0, 3)).toEqual([last, -1, -1])
  })

  it("compares cells whatever the order within a node", () => {
    const [a, b, ...rest] = nasp.normal
    expect(sameCell(nasp, { ...nasp, normal: [b!, a!, ...rest] })).toBe(true)
    expect(sameCell(nasp, { ...nasp, normal: [a!, a!, ...rest] })).toBe(false)
  })
})

describe("drawing", () => {
  it("shows every edge once", () => {
    const drawn = drawGenotype(nasp)
    expect(drawn).toContain(
      "normal cell\n  c_{k-2} ── conv_3x1_1x3 ──┐\n  c_{k-1} ── conv_3x3 ──────┴─▶ node 0",
    )
    expect(drawn.match(/node 3$/gm)).toHaveLength(2)
  })
})
