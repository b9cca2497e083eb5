/**
 * What float32 cannot decide: a file made to lie on a kink (bisected in float64 between two inputs whose gradients
 * differ by a jump) passes by nearby inputs, a wrong value in the same file does not, and nor does any in float64.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterAll, beforeAll, expect, test } from "vitest"

import { relativeError } from "../../src/golden/compare.js"
import { GoldenFile, numbers } from "../../src/golden/file.js"
import { tolerances, verifyFile } from "../../src/golden/index.js"
import { recomputeStep } from "../../src/golden/nasp-step.js"
import { meets, nearbyFile, nearbyTries } from "../../src/golden/nearby.js"
import { loadNative } from "../../src/native.js"
import { encodeSafetensors, readSafetensors, type Tensor } from "../../src/safetensors.js"

const addon = loadNative()
const fixtures = join(dirname(fileURLToPath(import.meta.url)), "../fixtures")
const source = join(fixtures, "nasp-step-nasp12-c2-l3-n5.safetensors")
const file = new GoldenFile(source)
const scratch = mkdtempSync(join(tmpdir(), "nasp-nearby-"))
afterAll(() => rmSync(scratch, { recursive: true }))

type Step = Awaited<ReturnType<typeof recomputeStep>>

/** The fixture with its batches moved by up to 2e-4 along a direction. */
function moved(direction: number, by: number): GoldenFile {
  const tensors = new Map(file.tensors)
  const scale = 2e-4 * by
  for (const [name, tensor] of file.tensors) {
    if (!name.startsWith("input.")) continue
    const data = Float64Array.from(
      numbers(tensor),
      (v, i) => v + scale * Math.sin(i * (direction + 1) + direction),
    )
    tensors.set(name, { ...tensor, dtype: "F64", data })
  }
  return file.withTensors(tensors)
}

const compute = (at: GoldenFile) => recomputeStep(addon, at, "f64")

function jump(a: Step, b: Step): number {
  const name = "alpha_step.grad.normal"
  return relativeError(a.get(name)!, b.get(name)!)
}

/** Inputs in float32 beside a kink along this direction, or undefined where none is met. */
async function kink(direction: number): Promise<GoldenFile | undefined> {
  let [low, high] = [0, 1]
  let [below, above] = [await compute(moved(direction, low)), await compute(moved(direction, high))]
  for (let i = 0; i < 20; i++) {
    const middle = (low + high) / 2
    const between = await compute(moved(direction, middle))
    if (jump(below, between) > jump(between, above)) [high, above] = [middle, between]
    else [low, below] = [middle, between]
    if (jump(below, above) < 2e-4) return undefined
  }
  const { tensors } = moved(direction, low)
  for (const [name, tensor] of tensors)
    if (name.startsWith("input."))
      tensors.set(name, { ...tensor, dtype: "F32", data: Float32Array.from(numbers(tensor)) })
  return file.withTensors(tensors)
}

function write(name: string, tensors: Map<string, Tensor>): string {
  const path = join(scratch, `${name}.safetensors`)
  writeFileSync(path, encodeSafetensors(tensors.values(), readSafetensors(source).metadata))
  return path
}

let kinked = ""
let changed = ""

beforeAll(async () => {
  for (let direction = 0; direction < 60; direction++) {
    const at = await kink(direction)
    if (!at) continue
    const tensors = new Map(at.tensors)
    for (const [name, values] of await compute(at)) {
      const old = tensors.get(name)
      if (old) tensors.set(name, { ...old, dtype: "F32", data: Float32Array.from(values) })
    }
    const path = write(`kink-${direction}`, tensors)
    if ((await verifyFile(addon, path, "f32")).tries === 0) continue // float32 took the same side
    kinked = path
    const wrong = tensors.get("alpha_step.grad.reduce")!
    tensors.set(wrong.name, {
      ...wrong,
      dtype: "F32",
      data: Float32Array.from(numbers(wrong), (v) => v * 1.001),
    })
    changed = write("changed", tensors)
    return
  }
  throw new Error("no kink was found")
})

test("a file on a kink misses the tolerance and meets it on nearby inputs", async () => {
  const { comparisons, tries } = await verifyFile(addon, kinked, "f32")
  const missed = comparisons.filter((c) => c.error > tolerances.f32)
  expect(missed.map((c) => c.name)).toContain("alpha_step.grad.normal")
  expect(comparisons.every((c) => meets(c, tolerances.f32))).toBe(true)
  expect(comparisons.filter((c) => c.nearby !== undefined)).toEqual(missed)
  expect(tries).toBeGreaterThan(0)
  const own = await verifyFile(addon, kinked, "f32", { ownInputs: true })
  expect(own.tries).toBe(0)
  expect(own.comparisons.every((c) => meets(c, tolerances.f32))).toBe(false)
  expect(await verifyFile(addon, kinked, "f32")).toEqual({ kind: "nasp-step", comparisons, tries })
})

test("values wrong by 1e-3 fail there as well, after every try", async () => {
  const { comparisons, tries } = await verifyFile(addon, changed, "f32")
  const failed = comparisons.filter((c) => !meets(c, tolerances.f32))
  expect(failed.map((c) => c.name)).toEqual(["alpha_step.grad.reduce"])
  expect(failed[0]!.nearby).toBeCloseTo(1e-3, 4)
  expect(tries).toBe(nearbyTries)
})

test("float64 knows the side: no tries, and the wrong values fail", async () => {
  const right = await verifyFile(addon, kinked, "f64")
  expect(right.tries).toBe(0)
  expect(right.comparisons.every((c) => c.error <= tolerances.f64)).toBe(true)
  const wrong = await verifyFile(addon, changed, "f64")
  expect(wrong.tries).toBe(0)
  expect(wrong.comparisons.filter((c) => !meets(c, tolerances.f64)).map((c) => c.name)).toEqual([
    "alpha_step.grad.reduce",
  ])
})

test("what is not finite is not tried again", async () => {
  const tensors = new Map(file.tensors)
  const loss = tensors.get("weight_step.loss")!
  tensors.set(loss.name, { ...loss, dtype: "F32", data: Float32Array.of(NaN) })
  const { comparisons, tries } = await verifyFile(addon, write("nan", tensors), "f32")
  expect(tries).toBe(0)
  expect(comparisons.filter((c) => !meets(c, tolerances.f32)).map((c) => c.name)).toEqual([
    "weight_step.loss",
  ])
})

test("nearby inputs: batches and weights, two units in the last place at most, the same for the same try", () => {
  const near = nearbyFile(file, 3)
  for (const [name, { data }] of near.tensors) {
    const old = numbers(file.tensor(name))
    if (!/^(input|w)\./.test(name)) expect(data, name).toBe(file.tensor(name).data)
    else
      expect(numbers(near.tensor(name)).every((v, i) => Math.abs(v - old[i]!) <= 2 * unit(old[i]!))).toBe(
        true,
      )
  }
  const stem = (attempt: number) => nearbyFile(file, attempt).values("w.stem.0.weight")
  expect(stem(3)).toEqual(stem(3))
  expect(stem(3)).not.toEqual(stem(4))
  expect(stem(3)).not.toEqual(file.values("w.stem.0.weight"))
})

/** Of a float32's last place. */
function unit(value: number): number {
  return value === 0 ? 0 : 2 ** (Math.floor(Math.log2(Math.abs(value))) - 23)
}
