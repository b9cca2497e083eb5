/** What the paper's searches ran on and with: what the released code's defaults are, on half of CIFAR-10. */
import { searchFields } from "../train/config.js"

const epochImages = 25_000
const { channels, layers, batch } = searchFields

export const paper = {
  data: "cifar10",
  epochImages,
  stepsPerEpoch: Math.ceil(epochImages / batch.initial),
  channels: channels.initial,
  layers: layers.initial,
  batch: batch.initial,
}
