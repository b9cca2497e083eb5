/** Kind `op`: one operation alone, forward in training mode and backward. */
import type { NativeAddon, Precision } from "../native.js"
import { operationAmong } from "../spaces/operations.js"
import type { GoldenFile } from "./file.js"
import type { Recomputed } from "./index.js"

export async function recomputeOperation(
  addon: NativeAddon,
  file: GoldenFile,
  precision: Precision,
): Promise<Recomputed> {
  const channels = file.integer("C")
  const stride = file.integer("stride")
  if (stride !== 1 && stride !== 2) throw file.wrong(`expected 1 or 2 for stride but received ${stride}`)
  const { shape } = file.tensor("x")
  const [batch = 0, , height = 0, width = 0] = shape
  const x = file.values("x", [batch, channels, height, width])
  const parameters = file.names("w.").map((name) => {
    const tensor = file.tensor(`w.${name}`)
    return { name, shape: tensor.shape, data: file.values(`w.${name}`) }
  })
  const result = addon.runOperation({
    op: operationAmong(file.text("op"), addon.operations()),
    affine: file.flag("affine"),
    dy: file.values("dy", [batch, channels, Math.ceil(height / stride), Math.ceil(width / stride)]),
    ...{ channels, height, width, batch, stride, precision, x, parameters },
  })
  const found: Recomputed = new Map([
    ["y", result.y],
    ["dx", result.dx],
  ])
  for (const { name, data } of result.dw) found.set(`dw.${name}`, data)
  for (const { name, data } of result.buffers) found.set(`after.${name}`, data)
  return found
}
