/**
 * Data sets of images. A new one is one file and one line here. A source touches the disk only in `load`; the
 * engine gets the bytes once and steps carry indices.
 */
import { oneOf, invalid } from "../expect.js"
import { cifar10 } from "./cifar10.js"
import { generated } from "./generated.js"

export interface ImageData {
  /** Names of the classes; labels index them. */
  classes: string[]
  channels: number
  /** Square images. */
  size: number
  /** (N, C, H, W), 0..255 */
  images: Uint8Array
  /** (N) */
  labels: Uint8Array
  /** One a channel, of pixel / 255. */
  mean: number[]
  std: number[]
  /** The training transform; the validation half gets it too, as in the released codes. */
  augment: { pad: number; flip: boolean }
}

export interface DataSource {
  name: string
  about: string
  /** Whether --data-dir must say where the files lie. */
  needsFolder: boolean
  /** @throws NaspError ERR_NASP_DATA that names the file; ERR_NASP_ARGUMENT where `needsFolder` and there is none */
  load(folder: string): ImageData
}

export const dataSources: readonly DataSource[] = [generated, cifar10]

/** @throws NaspError ERR_NASP_ARGUMENT */
export function findDataSource(name: string): DataSource {
  const source = dataSources.find((s) => s.name === name)
  if (!source) {
    const expected = `${oneOf(dataSources.map((s) => s.name))} (folders of images are not read; CIFAR-10's binary files are, by data cifar10 and their folder)`
    throw invalid("data", expected, name)
  }
  return source
}
