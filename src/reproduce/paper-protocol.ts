/** What the paper's searches ran on and with (4.1; batch and width as in the released code). */
const epochImages = 25_000
const batch = 64

export const paper = {
  ...{ data: "cifar10", channels: 16, layers: 8, epochs: 50, batch, epochImages },
  stepsPerEpoch: Math.ceil(epochImages / batch),
} as const
