/**
 * The architecture that `nasp bench step` times. Time depends on which operations are selected, so both sides of a
 * comparison take the same matrices: bench/nasp_torch.py draws them with the same generator from the same seed.
 */
import { NaspError } from "../errors.js"
import { mulberry32 } from "../mulberry32.js"
import { encodeSafetensors, readSafetensors, tensor } from "../safetensors.js"
import { edges, type Space } from "../spaces/index.js"
import { writeWhole } from "../train/files.js"

/** alphas_normal and alphas_reduce, (edges, candidates) each. */
export interface Alpha {
  normal: Float32Array
  reduce: Float32Array
}

/** Every row a random operation with a value of 0.6 to 0.7, so that which edges are kept is random too; others 0.5. */
export function randomAlpha(space: Space, seed: number): Alpha {
  const draw = mulberry32(seed)
  const matrix = (candidates: number) => {
    const values = new Float32Array(edges * candidates).fill(0.5)
    for (let row = 0; row < edges; row++) {
      const chosen = Math.floor(draw() * candidates)
      values[row * candidates + chosen] = 0.6 + 0.1 * draw()
    }
    return values
  }
  return { normal: matrix(space.normal.length), reduce: matrix(space.reduce.length) }
}

/** @throws NaspError ERR_NASP_FORMAT if the file is not an alpha.safetensors of this space */
export function readAlphaFile(file: string, space: Space): Alpha {
  const { tensors } = readSafetensors(file)
  const matrix = (name: string, candidates: number) => {
    const found = tensors.get(name)
    if (!found || found.shape.length !== 2 || found.shape[0] !== edges || found.shape[1] !== candidates) {
      const received = found ? `shape [${found.shape.join(", ")}]` : "nothing"
      const expected = `Expected ${name} of shape [${edges}, ${candidates}] (space ${space.name})`
      throw new NaspError("ERR_NASP_FORMAT", `${expected} in ${file} but received ${received}`)
    }
    return Float32Array.from(found.data, Number)
  }
  return {
    normal: matrix("alphas_normal", space.normal.length),
    reduce: matrix("alphas_reduce", space.reduce.length),
  }
}

export function writeAlphaFile(file: string, space: Space, { normal, reduce }: Alpha): void {
  const tensors = [
    tensor("alphas_normal", [edges, space.normal.length], normal),
    tensor("alphas_reduce", [edges, space.reduce.length], reduce),
  ]
  writeWhole(file, encodeSafetensors(tensors))
}

/** How many kept edges hold each operation, from a discrete matrix. */
export function operationMix(
  candidates: readonly string[],
  selected: ArrayLike<number>,
): Record<string, number> {
  const mix: Record<string, number> = {}
  candidates.forEach((name, k) => {
    for (let row = 0; row < edges; row++) {
      if (selected[row * candidates.length + k] !== 0) mix[name] = (mix[name] ?? 0) + 1
    }
  })
  return mix
}

/** "3 sep_conv_3x3, 1 skip_connect" */
export function mixText(mix: Record<string, number>): string {
  return Object.entries(mix)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ")
}
