/** A project that has the package and nothing else of this repository: its types are enough. Needs dist (npm run build). */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, expect, test } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "nasp-consumer-"))
afterAll(() => rmSync(folder, { recursive: true }))

// A method's step on a session, an event of a test's own, and what `methods` and a file of tensors say of themselves.
const project = `
import {
  decodeSafetensors, findSpace, loadNative, methods, search, use,
  type AlphaUpdateOptions, type AugmentOptions, type CudaStatus, type DiscretiseOptions, type EpochEvent, type Field,
  type GradientOptions, type MethodOptions, type NamedTensor, type NativeDataset, type NativeSession, type NumberedFolder,
  type OperationPass, type Precision, type SearchMethod, type StepResult, type TensorGroup, type TrainFigure,
  type ValidationFigure, type Values, type WeightUpdateOptions,
} from "nasp"

export function mix(session: NativeSession, weight: Float64Array): void {
  session.setMixture("normal", weight, Uint8Array.from(weight, (w) => (w === 0 ? use.probed : use.propagated)))
  session.setMixture("reduce", weight, new Uint8Array(weight.length).fill(use.absent))
}

export async function step(session: NativeSession, images: NativeDataset): Promise<StepResult> {
  const augment: AugmentOptions = { pad: 4, flip: true, cutout: 0, seed: 0, counter: 0 }
  const batch = () => session.queue(images, Uint32Array.of(0, 1), augment)
  const keep: GradientOptions = { keepStatistics: true }
  await session.architectureGradient(batch(), keep)
  const discretise: DiscretiseOptions = { value: "one", edges: "two", epsilon: 0, counter: 0 }
  const alpha: AlphaUpdateOptions = {
    lr: 0.1, beta1: 0.5, beta2: 0.999, eps: 1e-8, weightDecay: 0,
    eta: 0, costNormal: [], costReduce: [], costOn: "alpha", discretise,
  }
  session.updateAlpha(alpha)
  const gradient: Values = session.read("grad.alphas_normal")
  const groups: TensorGroup[] = session.tensors().map((t) => t.group)
  console.log(gradient.length, groups)
  const weights: WeightUpdateOptions = { lr: 0.1, momentum: 0.9, weightDecay: 0, clip: 5, unselected: "skipped", apply: true }
  return session.weightStep(batch(), weights)
}

export function accuracies(event: EpochEvent): [TrainFigure, ValidationFigure] {
  const mine: EpochEvent = { ...event, train_acc: 0.25 as TrainFigure, val_acc: 0.5 as ValidationFigure }
  return [mine.train_acc, mine.val_acc]
}

export const fields: [string, Field<unknown>][] = methods.flatMap((m: SearchMethod) => Object.entries(m.fields))
const precision: Precision = "f32"
const pass: OperationPass = "forward"
const parameters: NamedTensor[] = []
const cuda: CudaStatus = loadNative().cudaStatus()
const out: NumberedFolder = { parent: "runs", name: findSpace("darts").name }
const unrolled: MethodOptions = { order: "second" }
console.log(precision, pass, parameters, cuda.absence, search({ out, method: "darts", options: unrolled }))
// @ts-expect-error an order is first or second
search({ method: "darts", options: { order: "third" } })
// @ts-expect-error no method has such an option
search({ options: { ordre: "first" } })

for (const found of decodeSafetensors(new Uint8Array(), "x").tensors.values())
  if (found.dtype === "I64") console.log(found.data[0]! + 1n)
`

test("compiles with a session, events and tensors by the package's own types", () => {
  mkdirSync(join(folder, "node_modules"))
  symlinkSync(root, join(folder, "node_modules/nasp"), "junction")
  symlinkSync(join(root, "node_modules/@types"), join(folder, "node_modules/@types"), "junction")
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }')
  writeFileSync(join(folder, "project.ts"), project)
  const compilerOptions = {
    module: "nodenext",
    target: "es2022",
    strict: true,
    noEmit: true,
    types: ["node"],
  }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["project.ts"] }))
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const { stdout, status } = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" })
  expect({ stdout, status }).toEqual({ stdout: "", status: 0 })
})
