/**
 * Parameters of the net that is trained in the end: quark0/darts cnn/model.py NetworkCIFAR at C 36 and 20 cells, without
 * the auxiliary head. Counted from the genotype and the engine's list of each operation's tensors.
 */
import type { Genotype, GenotypeEdge } from "../genotype.js"
import type { NativeAddon } from "../native.js"
import { parameterCount } from "../train/parameter-count.js"

const { channels, layers, classes } = { channels: 36, layers: 20, classes: 10 }

export function finalParameters(addon: NativeAddon, genotype: Genotype): number {
  const stem = 3 * channels
  let parameters = 27 * stem + 2 * stem // 3x3 convolution of three channels, BatchNorm
  let [beforeLast, last] = [stem, stem] // channels of the two cells before
  let c = channels
  for (let cell = 0; cell < layers; cell++) {
    const isReduction = cell === Math.floor(layers / 3) || cell === Math.floor((2 * layers) / 3)
    if (isReduction) c *= 2
    const stride = isReduction ? 2 : 1
    // 1x1 convolutions (or factorized reduce, as many parameters) and BatchNorm.
    parameters += beforeLast * c + 2 * c + last * c + 2 * c
    const [edges, concat] = isReduction
      ? [genotype.reduce, genotype.reduce_concat]
      : [genotype.normal, genotype.normal_concat]
    for (const edge of edges) parameters += edgeParameters(addon, edge, c, stride)
    beforeLast = last
    last = concat.length * c
  }
  return parameters + (last + 1) * classes
}

function edgeParameters(
  addon: NativeAddon,
  [operation, input]: GenotypeEdge,
  channels: number,
  stride: number,
): number {
  return parameterCount(addon.operationTensors(operation, channels, input < 2 ? stride : 1, true, false))
}
