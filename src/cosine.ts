/** Cosine from lr to lrMin over the epochs; `epoch` counts from 0 and may be a fraction. */
export function cosine(lr: number, lrMin: number, epoch: number, epochs: number): number {
  return lrMin + ((lr - lrMin) * (1 + Math.cos((Math.PI * epoch) / epochs))) / 2
}
