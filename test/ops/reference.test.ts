/**
 * The reference against central differences and against values that PyTorch computed (test/fixtures, and the shared
 * golden files where they are).
 */
import { existsSync, readdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

import { describe, expect, test } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import { GoldenFile, numbers } from "../../src/golden/file.js"
import type { NamedTensor } from "../../src/native.js"
import { dot, random } from "../reference/map.js"
import {
  chains,
  parameterShapes,
  referenceOperation,
  type ReferenceRequest,
} from "../reference/operations.js"

const root = join(dirname(fileURLToPath(import.meta.url)), "../..")
const shared = join(process.env.NASP_SHARED ?? join(root, "../shared"), "golden")

function draw(op: string, stride: 1 | 2, training: boolean): ReferenceRequest {
  const numbers = random(`${op} ${stride} ${training}`)
  const [batch, channels, height, width] = [3, 4, 5, 4]
  const pool = op.includes("pool")
  const shape = { op, stride, batch, channels, height, width, affine: !pool, searchPools: pool, training }
  const parameters = parameterShapes(shape).map(({ name, shape }): NamedTensor => {
    const data = numbers.normals(shape.reduce((a, b) => a * b, 1))
    return { name, shape, data: name.endsWith("running_var") ? data.map((v) => 0.5 + v * v) : data }
  })
  const outputs = batch * channels * Math.ceil(height / stride) * Math.ceil(width / stride)
  return {
    ...shape,
    parameters,
    x: numbers.normals(batch * channels * height * width),
    dy: numbers.normals(outputs),
  }
}

/** d<dy, y>/dt along `direction` by central differences. */
function slope(request: ReferenceRequest, change: (step: number) => ReferenceRequest): number {
  const h = 1e-5
  const value = (step: number) => dot(request.dy, referenceOperation(change(step)).y)
  return (value(h) - value(-h)) / (2 * h)
}

const along = (data: Float64Array, direction: Float64Array, step: number) =>
  data.map((v, i) => v + step * direction[i]!)

describe("the reference's gradients are its central differences", () => {
  for (const op of Object.keys(chains))
    for (const stride of [1, 2] as const)
      for (const training of [true, false])
        test(`${op}, stride ${stride}, ${training ? "training" : "evaluation"}`, () => {
          const request = draw(op, stride, training)
          const { dx, dw, probe, y } = referenceOperation(request)
          expect(probe).toBeCloseTo(dot(request.dy, y), 10)
          const { normals } = random("direction")
          const v = normals(dx.length)
          const expected = slope(request, (step) => ({ ...request, x: along(request.x, v, step) }))
          expect(Math.abs(dot(dx, v) - expected)).toBeLessThan(1e-6 * Math.max(1, Math.abs(expected)))
          expect(dw.map((t) => t.name).sort()).toEqual(
            request.parameters
              .map((t) => t.name)
              .filter((n) => !n.includes("running"))
              .sort(),
          )
          for (const { name, data } of dw) {
            const u = normals(data.length)
            const moved = (step: number) =>
              request.parameters.map((p) => (p.name === name ? { ...p, data: along(p.data, u, step) } : p))
            const expected = slope(request, (step) => ({ ...request, parameters: moved(step) }))
            expect(Math.abs(dot(data, u) - expected), name).toBeLessThan(
              1e-6 * Math.max(1, Math.abs(expected)),
            )
          }
        })
})

describe("the reference agrees with PyTorch", () => {
  const fixtures = operationFiles(join(root, "test/fixtures"))
  test.each(fixtures)("%s", (path) => agree(path))

  test.skipIf(!existsSync(shared))(
    "the shared golden files (skipped without NASP_SHARED or ../shared)",
    () => {
      const files = operationFiles(shared)
      expect(files.length).toBeGreaterThan(50)
      files.forEach(agree)
    },
  )
})

function operationFiles(folder: string): string[] {
  const names = readdirSync(folder).filter((n) => n.startsWith("op-") && n.endsWith(".safetensors"))
  return names.map((n) => join(folder, n))
}

function agree(path: string): void {
  const file = new GoldenFile(path)
  const [batch, channels, height, width] = file.tensor("x").shape as [number, number, number, number]
  const result = referenceOperation({
    ...{ op: file.text("op"), stride: file.integer("stride") as 1 | 2, affine: file.flag("affine") },
    ...{ batch, channels, height, width, x: file.values("x"), dy: file.values("dy") },
    parameters: file.names("w.").map((name) => ({ name, shape: [], data: file.values(`w.${name}`) })),
  })
  const found = new Map([
    ["y", result.y],
    ["dx", result.dx],
    ...result.dw.map((t) => [`dw.${t.name}`, t.data] as const),
    ...result.buffers.map((t) => [`after.${t.name}`, t.data] as const),
  ])
  const expected = [...file.tensors.values()].filter((t) => !/^(x|dy|w\..*)$/.test(t.name))
  expect([...found.keys()].sort()).toEqual(expected.map((t) => t.name).sort())
  for (const t of expected) {
    expect(relativeError(numbers(t), found.get(t.name)!), `${path} ${t.name}`).toBeLessThan(2e-7)
  }
}
