/** Tensors by the names and shapes of quark0/darts' state_dict, and what reading and writing refuses. */
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

import { describe, expect, test } from "vitest"

import { GoldenFile } from "../../src/golden/file.js"
import type { TensorGroup } from "../../src/native.js"
import { findSpace } from "../../src/spaces/index.js"
import { addon, discrete, makeSession, values, weightUpdate } from "./sessions.js"

const fixtures = join(dirname(fileURLToPath(import.meta.url)), "../fixtures")

test.each([
  ["darts", 1, 1_930_618],
  ["nasp12", 1, 4_151_354],
  ["darts", 4, 299_578], // PC-DARTS, without alpha and beta
])(
  "%s at C = 16 with 8 cells, 1 / %i of the channels, has the released code's parameters",
  (space, partialChannels, count) => {
    const session = makeSession(space, {
      channels: 16,
      partialChannels,
      layers: 8,
      classes: 10,
      imageSize: 32,
      batch: 1,
      precision: "f32",
    })
    try {
      const sizes = session
        .tensors()
        .filter((t) => t.group === "parameter")
        .map((t) => t.shape.reduce((a, b) => a * b, 1))
      expect(sizes.reduce((a, b) => a + b, 0)).toBe(count)
    } finally {
      session.dispose()
    }
  },
)

describe.each(["nasp-step-nasp12-c2-l3-n5", "nasp-step-darts7-split-c2-l3-n18-everything"])("%s", (name) => {
  test("names and shapes are PyTorch's", () => {
    const file = new GoldenFile(join(fixtures, `${name}.safetensors`))
    const session = makeSession(file.text("space"))
    try {
      const own = (group: TensorGroup) =>
        session
          .tensors()
          .filter((t) => t.group === group)
          .map((t) => `${t.name} [${t.shape.join()}]`)
          .sort()
      const theirs = (prefix: string) =>
        file
          .names(prefix)
          .map((n) => `${n} [${file.tensor(prefix + n).shape.join()}]`)
          .sort()
      expect(own("parameter")).toEqual(theirs("w."))
      const prefix = file.names("buffers_after.").length > 0 ? "buffers_after." : "buffers_after_both."
      expect(own("buffer")).toEqual(theirs(prefix))
      const { normal, reduce } = findSpace(file.text("space"))
      expect(own("alpha")).toEqual([
        `alphas_normal [14,${normal.length}]`,
        `alphas_reduce [14,${reduce.length}]`,
      ])
      expect(own("momentum")).toEqual(own("parameter").map((n) => `momentum.${n}`))
    } finally {
      session.dispose()
    }
  })
})

test("what is written is read again, and other tensors stay", () => {
  const session = makeSession("nasp12")
  try {
    const writable = session.tensors().filter(({ group }) => group !== "gradient" && group !== "selection")
    const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1)
    writable.forEach(({ name, shape }, t) =>
      session.write(
        name,
        Float64Array.from({ length: size(shape) }, (_, i) => t + i / 1024),
      ),
    )
    writable.forEach(({ name, shape }, t) =>
      expect(session.read(name), name).toEqual(
        Float64Array.from({ length: size(shape) }, (_, i) => t + i / 1024),
      ),
    )
  } finally {
    session.dispose()
  }
})

test("refusals name what is wrong", () => {
  const session = makeSession("nasp12")
  try {
    const thrown = (action: () => unknown) => {
      try {
        action()
      } catch (error) {
        return (error as { code?: string }).code
      }
      return "nothing"
    }
    const alphas = session.read("alphas_normal")
    expect(thrown(() => session.read("cells.9"))).toBe("ERR_NASP_UNKNOWN_TENSOR")
    expect(thrown(() => session.write("alphas_normal", alphas.slice(1) as Float64Array))).toMatch(
      /^ERR_NASP_/,
    )
    expect(thrown(() => session.write("grad.nodes.alphas_normal", new Float64Array(4)))).toMatch(/^ERR_NASP_/)
    expect(thrown(() => session.load(values("f64", [1, 2]), Int32Array.of(0)))).toMatch(/^ERR_NASP_/)
    expect(thrown(() => session.load(new Float64Array(192), Int32Array.of(4)))).toMatch(/^ERR_NASP_/)
    expect(thrown(() => session.load(new Float64Array(6 * 192), new Int32Array(6)))).toMatch(/^ERR_NASP_/)
  } finally {
    session.dispose()
  }
})

// Nothing on the way may turn NaN into a number (a ReLU that compares the wrong way round does).
test.each(["f32", "f64"] as const)("NaN reaches the loss, and the weights stay, %s", async (precision) => {
  for (const isa of addon.info().available) {
    const session = makeSession("nasp12", { precision, isa })
    try {
      session.discretise(discrete)
      const x = values(precision, new Float64Array(5 * 192).fill(0.5))
      x[7] = NaN
      const weights = session.read("stem.0.weight")
      const ticket = session.load(x, new Int32Array(5))
      const { loss } = await session.weightStep(ticket, weightUpdate)
      expect(loss, isa).toBeNaN()
      expect(session.read("stem.0.weight")).toEqual(weights)
    } finally {
      session.dispose()
    }
  }
})

test("every instruction set is known by its name", () => {
  const { built, available, chosen } = addon.info()
  expect(built).toEqual(expect.arrayContaining(available))
  expect(available).toContain(chosen)
})
