/** Which operations P-DARTS, ASAP and GDAS keep, by hand: none of it read from what the implementation kept. */
import { describe, expect, test } from "vitest"

import { asap } from "../../src/methods/asap.js"
import { gdas, strongestPairs } from "../../src/methods/gdas.js"
import { readMatrices, type Matrices } from "../../src/methods/matrices.js"
import { strongest, withFewSkips } from "../../src/methods/pdarts.js"
import { allKept } from "../../src/methods/relaxed.js"
import { cellTypes, eachType, findSpace, type Space } from "../../src/spaces/index.js"
import { random } from "../reference/map.js"
import { values } from "../net/sessions.js"
import { stepAt, withMethod, type Running } from "./running.js"

const darts = findSpace("darts")
const darts7 = findSpace("darts7")

/** (14, K): every row the first of `rows`, but for those that are named. */
function matrix(row: number[], others: Record<number, number[]> = {}): Float64Array {
  return Float64Array.from(Array.from({ length: 14 }, (_, r) => others[r] ?? row).flat())
}

/** A row of 0 and 1 as text, "01101". */
const rowOf = (mask: ArrayLike<number>, columns: number, r: number) =>
  Array.from({ length: columns }, (_, k) => Number(mask[r * columns + k] !== 0)).join("")

describe("pdarts", () => {
  test("keeps 5 and then 3 of 8 on every edge, the later of equals", () => {
    const weights: Matrices = {
      normal: matrix([0.3, 0.02, 0.1, 0.04, 0.2, 0.14, 0.06, 0.14], {
        1: [0.1, 0.2, 0.05, 0.15, 0.15, 0.05, 0.2, 0.1], // 0.05, 0.05 and the first 0.1 go
        13: Array(8).fill(0.125),
      }),
      reduce: matrix([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.72], {
        5: [0.72, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01],
      }),
    }
    const five = strongest(darts, allKept(darts), weights, 1)
    expect(rowOf(five.normal, 8, 0)).toBe("10101101")
    expect(rowOf(five.normal, 8, 1)).toBe("01011011")
    expect(rowOf(five.normal, 8, 12)).toBe("10101101")
    expect(rowOf(five.normal, 8, 13)).toBe("00011111")
    expect(rowOf(five.reduce, 8, 0)).toBe("00011111")
    expect(rowOf(five.reduce, 8, 5)).toBe("11111000")

    // What is gone stays gone, however large: none of the first three of row 13, the first, third and fourth of row 0.
    const later: Matrices = {
      normal: matrix([0.05, 0.9, 0.3, 0.8, 0.2, 0.25, 0.7, 0.2], {
        13: [0.9, 0.8, 0.7, 0.1, 0.3, 0.2, 0.3, 0.1],
      }),
      reduce: weights.reduce,
    }
    const three = strongest(darts, five, later, 2)
    expect(rowOf(three.normal, 8, 0)).toBe("00100101")
    expect(rowOf(three.normal, 8, 13)).toBe("00001110")
    expect(rowOf(three.reduce, 8, 0)).toBe("00000111")
    expect(rowOf(three.reduce, 8, 5)).toBe("11100000")
  })

  test.each([
    ["darts7", 7, 4, 3],
    ["darts7-split", 5, 3, 2],
  ])("keeps the same shares of %s", (name, columns, second, third) => {
    const space = findSpace(name)
    const weights = eachType((type) => new Float64Array(14 * space[type].length).map((_, i) => i + 1))
    const kept = [strongest(space, allKept(space), weights, 1)]
    kept.push(strongest(space, kept[0]!, weights, 2))
    const zeros = (count: number) => "0".repeat(columns - count)
    for (const row of [0, 7, 13]) {
      expect(rowOf(kept[0]!.normal, columns, row)).toBe(zeros(second) + "1".repeat(second))
      expect(rowOf(kept[1]!.normal, columns, row)).toBe(zeros(third) + "1".repeat(third))
    }
  })

  test("a stage begins with what the one before found strongest", () =>
    withMethod(
      "pdarts",
      { options: { warmEpochs: 0, addedLayers: [0, 0, 0] }, settings: { epochs: 3 } },
      async (running) => {
        const alpha = writeAlpha(running, random("stage"), 1)
        await stepAt(running, { epoch: 0 })
        const all = readMatrices(running.session, "selected.alphas")
        expect([...all.normal, ...all.reduce].every((w) => w > 0)).toBe(true)
        await stepAt(running, { epoch: 1, step: 10 })
        const used = readMatrices(running.session, "selected.alphas")
        for (const type of cellTypes) {
          for (let row = 0; row < 14; row++) {
            const values = [...alpha[type].subarray(8 * row, 8 * row + 8)]
            const fifth = values.slice().sort((a, b) => b - a)[4]!
            const expected = values.map((a) => Number(a >= fifth)).join("")
            expect(rowOf(used[type], 8, row), `${type} ${row}`).toBe(expected)
          }
        }
      },
    ))

  // Columns: max, avg, skip, sep 3, sep 5, dil 3, dil 5. Only what is named is above 0.3 (sep 3).
  const skip = 2
  const weights = (): Matrices => {
    const normal = matrix([0.1, 0.1, 0.1, 0.3, 0.1, 0.1, 0.1])
    const put = (row: number, column: number, value: number) => (normal[row * 7 + column] = value)
    put(0, skip, 0.6) // node 0: input 0
    put(2, skip, 0.5) // node 1: input 0
    put(6, skip, 0.45) // node 2: input 1
    put(5, skip, 0.4) // node 2: input 0
    put(8, 6, 0.35) // node 2: input 3, dil 5
    put(13, 4, 0.9) // node 3: input 4, sep 5
    return { normal, reduce: matrix([0, 0, 0.9, 0.1, 0, 0, 0]) }
  }
  const normalCell = (most: number, space: Space = darts7) => withFewSkips(space, weights(), most).normal
  const unchanged = {
    first: [
      ["skip_connect", 0],
      ["sep_conv_3x3", 1],
    ],
    second: [
      ["skip_connect", 0],
      ["sep_conv_3x3", 1],
    ],
    fourth: [
      ["sep_conv_5x5", 4],
      ["sep_conv_3x3", 0],
    ],
  }

  test("takes the weakest skips out of the ranking until there are few enough", () => {
    const { first, second, fourth } = unchanged
    const four = [["skip_connect", 1], ["skip_connect", 0]] // prettier-ignore
    expect(normalCell(4)).toEqual([...first, ...second, ...four, ...fourth])
    // Without that of 0.4, input 3's dil 5 comes before what is left on input 0.
    const three = [["skip_connect", 1], ["dil_conv_5x5", 3]] // prettier-ignore
    expect(normalCell(3)).toEqual([...first, ...second, ...three, ...fourth])
    const two = [["dil_conv_5x5", 3], ["sep_conv_3x3", 0]] // prettier-ignore
    expect(normalCell(2)).toEqual([...first, ...second, ...two, ...fourth])
    const plain = [["sep_conv_3x3", 0], ["sep_conv_3x3", 1]] // prettier-ignore
    expect(normalCell(1)).toEqual([...first, ...plain, ...two, ...fourth])
    expect(normalCell(0)).toEqual([...plain, ...plain, ...two, ...fourth])
  })

  test("leaves the reduction cell and the weights, and ends where there is nothing but skips", () => {
    const given = weights()
    const { reduce } = withFewSkips(darts7, given, 0)
    expect(reduce.map(([operation]) => operation)).toEqual(Array(8).fill("skip_connect"))
    expect(given).toEqual(weights())
    const only: Space = { ...darts7, normal: ["skip_connect"] }
    const { normal } = withFewSkips(only, { ...given, normal: new Float64Array(14).fill(1) }, 2)
    expect(normal.map(([operation]) => operation)).toEqual(Array(8).fill("skip_connect"))
  })

  test("the option is the cap of the genotype that is found", () =>
    withMethod(
      "pdarts",
      { space: "darts7", options: { maxSkips: 3, addedLayers: [0, 0, 0] } },
      async (running) => {
        const { normal, reduce } = weights()
        const logits = (w: Float64Array) =>
          values(
            "f64",
            w.map((v) => Math.log(v + 1e-9)),
          )
        running.session.write("alphas_normal", logits(normal))
        running.session.write("alphas_reduce", logits(reduce))
        const { searched, softmax } = running.method.derive()
        expect(searched.normal.filter(([operation]) => operation === "skip_connect")).toHaveLength(3)
        expect(softmax.normal.filter(([operation]) => operation === "skip_connect")).toHaveLength(4)
        expect(searched.normal.slice(4, 6).map(([, input]) => input)).not.toContain(0)
        await Promise.resolve()
      },
    ))
})

/** Fresh alpha, so far apart that softmax differs much. */
function writeAlpha({ session, space }: Running, draw: ReturnType<typeof random>, scale: number): Matrices {
  const alpha = eachType((type) => Float64Array.from(draw.normals(14 * space[type].length, scale)))
  for (const type of cellTypes) session.write(`alphas_${type}`, alpha[type])
  return alpha
}

/** Softmax of `logits` over the entries that are kept. */
function softmaxOver(logits: number[], kept: boolean[]): number[] {
  const powers = logits.map((v, k) => (kept[k] ? Math.exp(v) : 0))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((v) => v / sum)
}

describe("asap", () => {
  const [tau, tauDecay, share] = [0.9, 0.5, 0.5]

  test("prunes what is below its share of the candidates, at the new epoch's temperature, for good", () =>
    withMethod(asap.name, { options: { tau, tauDecay, prune: share } }, async (running) => {
      const { session, space } = running
      const alpha = writeAlpha(running, random("prune"), 0.6)
      await stepAt(running, { epoch: 0 })
      const all = readMatrices(session, "selected.alphas")
      expect([...all.normal, ...all.reduce].every((w) => w > 0)).toBe(true)

      const kept = eachType((type) => Array<boolean>(14 * space[type].length).fill(true))
      for (const epoch of [1, 2, 3]) {
        await stepAt(running, { epoch, step: 10 * epoch })
        const temperature = tau * tauDecay ** epoch
        const used = readMatrices(session, "selected.alphas")
        for (const type of cellTypes) {
          for (let row = 0; row < 14; row++) {
            const [first, last] = [8 * row, 8 * row + 8]
            const there = kept[type].slice(first, last)
            const p = softmaxOver(
              [...alpha[type].subarray(first, last)].map((a) => a / temperature),
              there,
            )
            p.forEach((v, k) => (kept[type][first + k] = there[k]! && v >= share / 8))
            const expected = kept[type].slice(first, last).map(Number).join("")
            expect(rowOf(used[type], 8, row), `epoch ${epoch}, ${type} ${row}`).toBe(expected)
          }
        }
        // A second step of the epoch prunes no more.
        await stepAt(running, { epoch, step: 10 * epoch + 1 })
        expect(readMatrices(session, "selected.alphas")).toEqual(used)
        const { masks } = running.method.save!() as { masks: Record<string, string> }
        for (const type of cellTypes) expect(masks[type]).toBe(kept[type].map(Number).join(""))
        if (epoch === 1) {
          const gone = kept.normal.filter((k) => !k).length
          expect(gone).toBeGreaterThan(20)
          expect(gone).toBeLessThan(80)
        }
      }
    }))

  // One edge by hand: 0.45, 0.25 and six of 0.05. In epoch 1 the six are below 0.5 / 8 = 0.0625; of the two that are left,
  // 0.64 and 0.36, both are above it, and so are 0.76 and 0.24, 0.91 and 0.09 after them. Then 0.99 and 0.01: one goes.
  test("an edge by hand, while another keeps all", () =>
    withMethod(asap.name, { options: { tau: 2, tauDecay: 0.5, prune: share } }, async (running) => {
      const row = [0.45, 0.25, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05].map(Math.log)
      for (const type of cellTypes)
        running.session.write(`alphas_${type}`, matrix(Array(8).fill(0), { 3: row }))
      const keptAt = async (epoch: number) => {
        await stepAt(running, { epoch, step: epoch })
        const { normal } = readMatrices(running.session, "selected.alphas")
        expect(rowOf(normal, 8, 2)).toBe("11111111")
        return rowOf(normal, 8, 3)
      }
      expect(await keptAt(0)).toBe("11111111")
      expect(await keptAt(1)).toBe("11000000")
      expect(await keptAt(2)).toBe("11000000")
      expect(await keptAt(3)).toBe("11000000")
      expect(await keptAt(4)).toBe("10000000")
    }))
})

describe("gdas", () => {
  const none = darts.normal.indexOf("none")

  test("finds the two strongest pairs of an edge and an operation in a node, none left out", () => {
    const alpha: Matrices = { normal: matrix(Array(8).fill(0)), reduce: matrix(Array(8).fill(0)) }
    const put = (row: number, column: number, value: number) => (alpha.normal[row * 8 + column] = value)
    put(0, 4, 3) // node 0: both on input 0
    put(0, 7, 2)
    put(1, none, 9)
    put(3, 5, 2) // node 1: inputs 1 and 2
    put(4, 2, 3)
    put(4, none, 2.5)
    put(6, 1, 1) // node 2: equals on inputs 1, 2 and 3: the earlier two
    put(7, 1, 1)
    put(8, 1, 1)
    // node 3: all alike but for none's large share of input 0, which leaves less to the others there
    put(9, none, 1)
    const found = strongestPairs(darts, alpha)
    const on = (d: Float64Array) =>
      [...d.keys()].filter((i) => d[i] !== 0).map((i) => [Math.floor(i / 8), i % 8])
    expect(on(found.normal)).toEqual([
      [0, 4],
      [0, 7],
      [3, 5],
      [4, 2],
      [6, 1],
      [7, 1],
      [10, 1],
      [10, 2],
    ])
    expect(found.normal.every((v) => v === 0 || v === 1)).toBe(true)
    expect(on(found.reduce)).toEqual([
      [0, 1],
      [0, 2],
      [2, 1],
      [2, 2],
      [5, 1],
      [5, 2],
      [9, 1],
      [9, 2],
    ])
  })

  test("its genotype has both on one edge, and the net is those entries", () =>
    withMethod(gdas.name, {}, async ({ session, method }) => {
      const alpha = matrix(Array(8).fill(0), { 0: [0, 0, 0, 0, 3, 0, 0, 2], 4: [9, 0, 0, 4, 0, 0, 5, 0] })
      for (const type of cellTypes) session.write(`alphas_${type}`, alpha)
      const { searched } = method.derive()
      expect(searched.normal.slice(0, 2)).toEqual([
        ["sep_conv_3x3", 0],
        ["dil_conv_5x5", 0],
      ])
      // Row 4: none's 9 leaves the others little: 0.0066 and 0.018, where rows of zeros have 0.125.
      expect(searched.normal.slice(2, 4)).toEqual([
        ["max_pool_3x3", 0],
        ["avg_pool_3x3", 0],
      ])
      const mixture = readMatrices(session, "selected.alphas")
      expect([mixture.normal[4], mixture.normal[7]]).toEqual([1, 1])
      expect(mixture.normal.reduce((a, b) => a + b, 0)).toBe(8)
      await Promise.resolve()
    }))
})
