// The pieces that figures are made of: budgets, statistics, tables, charts, the paper's rows, counting parameters.
import { describe, expect, it } from "vitest"

import { genotypeFromText } from "../../src/genotype.js"
import { loadNative, type NativeSession, type WeightUpdateOptions } from "../../src/native.js"
import { parseBudget } from "../../src/reproduce/budget.js"
import { drawFigure } from "../../src/reproduce/chart/figure.js"
import { percentTick } from "../../src/reproduce/chart/panel.js"
import { finalParameters } from "../../src/reproduce/final-net.js"
import { paperRow } from "../../src/reproduce/paper-table6.js"
import { findSide } from "../../src/reproduce/sides.js"
import { clockedSession } from "../../src/reproduce/step-clock.js"
import { meanAtCommonPoints, meanInterpolated, summarise } from "../../src/reproduce/statistics.js"
import { csv, textTable } from "../../src/reproduce/text-table.js"

describe("budgets", () => {
  it.each([
    ["90s", { seconds: 90 }],
    ["30m", { seconds: 1800 }],
    ["1.5h", { seconds: 5400 }],
    ["4000", { steps: 4000 }],
    ["4000 steps", { steps: 4000 }],
    ["5epochs", { epochs: 5 }],
  ])("%s", (text, budget) => expect(parseBudget(text)).toEqual(budget))

  it.each(["", "0", "-3", "1.5", "30 minutes", "half", "1.5epochs"])("refuses %s", (text) => {
    expect(() => parseBudget(text)).toThrow(/for budget but received/)
  })
})

describe("statistics", () => {
  it("gives mean and the sample's standard deviation, none for a single value", () => {
    expect(summarise([1, 2, 3, 4])).toEqual({ mean: 2.5, std: Math.sqrt(5 / 3), n: 4 })
    expect(summarise([7])).toEqual({ mean: 7, std: null, n: 1 })
    expect(summarise([])).toBeNull()
  })

  it("averages curves where all have a point", () => {
    const a = [
      { x: 1, y: 1 },
      { x: 2, y: 3 },
      { x: 2.5, y: 9 },
    ]
    const b = [
      { x: 1, y: 3 },
      { x: 2, y: 5 },
    ]
    const mean = meanAtCommonPoints([a, b])
    expect(mean.map(({ x, mean: y }) => [x, y])).toEqual([
      [1, 2],
      [2, 4],
    ])
    expect(mean[0]?.std).toBeCloseTo(Math.SQRT2, 12)
    // One that has no points yet takes no part; where nothing is common, point by point.
    expect(meanAtCommonPoints([[], a]).map(({ x }) => x)).toEqual(a.map(({ x }) => x))
    expect(meanAtCommonPoints([[{ x: 0.5, y: 1 }], [{ x: 0.3, y: 3 }]])).toEqual([
      { x: 0.4, mean: 2, std: expect.closeTo(Math.SQRT2, 12), n: 2 },
    ])
    expect(meanAtCommonPoints([[], []])).toEqual([])
  })

  it("interpolates curves whose points lie elsewhere, where all of them have values", () => {
    const line = (xs: number[], f: (x: number) => number) => xs.map((x) => ({ x, y: f(x) }))
    const mean = meanInterpolated([line([0, 1, 4], (x) => 2 * x), line([1, 3, 5, 9], (x) => 2 * x + 2)])
    expect(mean.map(({ x }) => x)).toEqual([1, 2, 3, 4])
    for (const { x, mean: y, std, n } of mean) {
      expect(y).toBeCloseTo(2 * x + 1, 12)
      expect(std).toBeCloseTo(Math.SQRT2, 12)
      expect(n).toBe(2)
    }
    // No common place: point by point.
    expect(meanInterpolated([line([0, 1, 2], (x) => x), line([5, 7], (x) => x)])).toEqual([
      { x: 2.5, mean: 2.5, std: expect.closeTo(5 / Math.SQRT2, 12), n: 2 },
      { x: 4, mean: 4, std: expect.closeTo(6 / Math.SQRT2, 12), n: 2 },
    ])
    expect(meanInterpolated([[], line([5], () => 3)])).toEqual([{ x: 5, mean: 3, std: null, n: 1 }])
  })
})

describe("tables", () => {
  const rows = [
    ["a", 1, null],
    ['b "c", d', 22.5, "3"],
  ] as const

  it("aligns text to the left and numbers to the right, and shows null as a dash", () => {
    expect(textTable(["name", "n", "m"], rows)).toBe(
      ["name         n  m", "a            1  -", 'b "c", d  22.5  3'].join("\n"),
    )
  })

  it("quotes CSV where it must", () => {
    expect(csv(["name", "n", "m"], rows)).toBe('name,n,m\na,1,\n"b ""c"", d",22.5,3\n')
  })
})

describe("pictures", () => {
  const panel = {
    title: 'a "<b>" & c',
    x: "x (s)",
    y: "y (%)",
    series: [
      {
        look: 0,
        points: [
          { x: 0, y: 0 },
          { x: 10, y: 1 },
        ],
        band: [
          { x: 0, low: -1, high: 1 },
          { x: 10, low: 0, high: 2 },
        ],
      },
    ],
  }
  const svg = drawFigure({
    title: "t",
    panels: [panel, panel],
    columns: 2,
    legend: [{ look: 0, label: "one" }],
    caption: ["long ".repeat(100).trim()],
  })

  it("has axes with their units, a line, a band and a legend for each panel, and escapes text", () => {
    expect(svg.match(/class="s0 band"/g)).toHaveLength(2)
    expect(svg.match(/class="s0 line"/g)).toHaveLength(3)
    expect(svg.match(/>x \(s\)</g)).toHaveLength(2)
    expect(svg.match(/>y \(%\)</g)).toHaveLength(2)
    expect(svg).toContain("a &quot;&lt;b&gt;&quot; &amp; c")
    expect(svg).toContain("prefers-color-scheme:dark")
  })

  it("draws the mean where the scales put it, and nothing that is not a number", () => {
    // Left panel: x from 78 to 432, y from 0.. nice domain -1..2 over the plot's height.
    const [, x0, y0, x1, y1] = /class="s0 line" d="M([\d.]+),([\d.]+)L([\d.]+),([\d.]+)"/.exec(svg) ?? []
    expect([Number(x0), Number(x1)]).toEqual([78, 432])
    expect(Number(y0)).toBeGreaterThan(Number(y1))
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
  })

  it("breaks a long title, and moves what is below", () => {
    const figure = { panels: [panel], columns: 1, legend: [], caption: [] }
    const heights = ["t", "long ".repeat(40).trim()].map((title) => {
      const drawn = drawFigure({ ...figure, title })
      const lines = [...drawn.matchAll(/font-size="15"[^>]*>([^<]*)</g)].map(([, line]) => line!)
      expect(lines.join(" ")).toBe(title)
      for (const line of lines) expect(line.length * 15 * 0.56).toBeLessThan(560)
      return [lines.length, Number(/<svg[^>]* height="(\d+)"/.exec(drawn)![1])] as const
    })
    const [[one, low], [more, high]] = heights as [[number, number], [number, number]]
    expect([one, more]).toEqual([1, 4])
    expect(high - low).toBe(60)
  })

  it("draws a single point, and an empty panel", () => {
    const one = { ...panel, series: [{ look: 1, points: [{ x: 3, y: 4 }] }] }
    const drawn = drawFigure({
      title: "t",
      panels: [one, { ...panel, series: [] }],
      columns: 1,
      legend: [],
      caption: [],
    })
    expect(drawn).toContain("<circle")
    expect(drawn).not.toMatch(/NaN|undefined|Infinity/)
  })

  it("draws a single point's spread, and labels that tell ticks apart", () => {
    const spread = { look: 1, points: [{ x: 3, y: 0.4412 }], band: [{ x: 3, low: 0.441, high: 0.4415 }] }
    const one = { ...panel, yTick: percentTick, series: [spread] }
    const drawn = drawFigure({ title: "t", panels: [one], columns: 1, legend: [], caption: [] })
    expect(drawn).toMatch(/<line class="s1 line" x1="([\d.]+)" x2="\1" y1="[\d.]+" y2="[\d.]+"/)
    const labels = [...drawn.matchAll(/text-anchor="end"[^>]*>([^<]*)</g)].map(([, label]) => label)
    expect(labels.length).toBeGreaterThan(2)
    expect(new Set(labels).size).toBe(labels.length)
    expect([percentTick(0.5, 0.1), percentTick(0.0001, 0.0001)]).toEqual(["50", "0.01"])
  })
})

describe("the paper's Table 6", () => {
  it("has the second order's total, and what it does not list", () => {
    expect(paperRow(findSide("darts-2"), 7)).toMatchObject({ alpha_second: 1315, total: 1693, unlisted: 113 })
    expect(paperRow(findSide("darts"), 7)).toMatchObject({ alpha_first: 270, total: null, unlisted: null })
    expect(paperRow(findSide("nasp"), 12)).toMatchObject({ alpha_first: 303, total: 483, unlisted: 133 })
    expect(paperRow(findSide("nasp"), 8)).toMatchObject({ alpha_first: null, total: null })
  })
})

describe("the clock of a step", () => {
  it("counts passes on the weights that are not applied as alpha's", async () => {
    const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
    const result = { waitSeconds: 0, forwardSeconds: 0.25, backwardSeconds: 0.5 }
    const clock = clockedSession({
      architectureGradient: async () => (await wait(10), result),
      weightStep: async () => (await wait(30), result),
    } as unknown as NativeSession)
    const weights = (apply: boolean) => ({ apply }) as WeightUpdateOptions
    clock.start()
    await clock.session.architectureGradient(0)
    const one = clock.read()
    expect(one.alpha).toBeGreaterThan(0.005)
    expect([one.forward, one.backward]).toEqual([0, 0])
    await clock.session.weightStep(1, weights(false))
    const two = clock.read()
    expect(two.alpha - one.alpha).toBeGreaterThan(0.02)
    await clock.session.weightStep(1, weights(true))
    const three = clock.read()
    expect(three).toMatchObject({ alpha: two.alpha, forward: 0.25, backward: 0.5 })
  })
})

describe("parameters of the final net", () => {
  const concat = "normal_concat=[2, 3, 4, 5]"
  // As published (quark0/darts cnn/genotypes.py, xujinfan/NASP-codes), with the counts of those nets.
  it.each([
    [
      "DARTS_V2",
      3_349_342,
      `Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], ${concat}, reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])`,
    ],
    [
      "NASP",
      7_363_486,
      `Genotype(normal=[('conv_3x1_1x3', 0), ('conv_3x3', 1), ('dil_conv_3x3', 2), ('conv_3x3', 1), ('dil_conv_3x3', 2), ('conv_3x3', 0), ('skip_connect', 0), ('dil_conv_3x3', 3)], ${concat}, reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_5x5', 1), ('skip_connect', 2), ('skip_connect', 3), ('skip_connect', 0), ('skip_connect', 1)], reduce_concat=[2, 3, 4, 5])`,
    ],
  ])("%s has %i", (_name, parameters, text) => {
    expect(finalParameters(loadNative(), genotypeFromText(text))).toBe(parameters)
  })
})
