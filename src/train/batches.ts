/**
 * Which images a step sees. Everything is a function of seed and step, so a resumed run needs no replay.
 *
 * Split     the first half of the records trains, the second half validates: src/data/halves.ts
 * Training  a permutation an epoch; the last batch is kept, however small
 * Validation a step's batch for alpha walks through permutations of the validation half, a new one each pass; the
 *           rest that fills no batch is left out of that pass (the released code draws every batch anew from a
 *           shuffled loader: always a whole one)
 * Both halves get the training transform, as released; evaluation goes through the validation half in its order.
 */
import {
  halvesOf,
  type TrainRecords,
  type TrainTicket,
  type ValidationRecords,
  type ValidationTicket,
} from "../data/halves.js"
import type { ImageData } from "../data/index.js"
import type { AugmentOptions, NativeAddon, NativeDataset, NativeSession } from "../native.js"
import type { StepBatches } from "../methods/index.js"

export interface Batches {
  stepsPerEpoch: number
  /** Images of the training half. */
  trainImages: number
  /** Starts the preparation of the batches of the step that follows `step` steps; `withValidation`: alpha's too. */
  queueStep(step: number, withValidation: boolean): StepBatches
  /** One of them. */
  queueTrain(step: number): TrainTicket
  queueAlpha(step: number): ValidationTicket
  /** Batches of one pass over the validation half. */
  validationBatches: number
  queueValidation(epoch: number, batch: number): ValidationTicket
  /** Batch `index` of an endless series through the validation half, for methods that rank architectures. */
  queueRanking(index: number): ValidationTicket
  /** Whole batches of one pass through it. */
  rankingBatches: number
}

interface BatchOptions {
  batch: number
  seed: number
  cutout: number
  /** Called before a batch is queued; may throw, which ends whatever takes batches one after another. */
  goOn?: () => void
}

// Substreams of the shuffle stream, and regions of the augment stream: image i of a region draws at its base + i.
const shuffles = { train: 0, validation: 1 }
const regions = { train: 0, alpha: 2 ** 48, validation: 2 ** 49, ranking: 2 ** 50 }

export function makeBatches(
  addon: NativeAddon,
  session: NativeSession,
  dataset: NativeDataset,
  { augment: transform }: Pick<ImageData, "augment">,
  { batch, seed, cutout, goOn }: BatchOptions,
): Batches {
  const { train, validation } = halvesOf(dataset.count)
  const stepsPerEpoch = Math.ceil(train.count / batch)
  const wholeBatches = Math.max(1, Math.floor(validation.count / batch))
  const permutations = {
    train: shuffled(addon, seed, shuffles.train, train.count),
    validation: shuffled(addon, seed, shuffles.validation, validation.count),
  }
  const augment = (counter: number): AugmentOptions => ({ ...transform, cutout, seed, counter })
  const queue = (records: TrainRecords | ValidationRecords, counter: number) => {
    goOn?.()
    return session.queue(dataset, records, augment(counter))
  }
  const queueValidation = (records: ValidationRecords, counter: number) =>
    queue(records, counter) as ValidationTicket
  const slice = (order: Uint32Array, b: number) => order.slice(b * batch, (b + 1) * batch)
  // Batch `index` of the series of permutations of the validation half.
  const queueWhole = (index: number, region: number) => {
    const positions = slice(permutations.validation(Math.floor(index / wholeBatches)), index % wholeBatches)
    return queueValidation(validation.records(positions), region + index * batch)
  }

  const queueTrain = (step: number) => {
    const positions = slice(permutations.train(Math.floor(step / stepsPerEpoch)), step % stepsPerEpoch)
    return queue(train.records(positions), regions.train + step * batch) as TrainTicket
  }
  const queueAlpha = (step: number) => queueWhole(step, regions.alpha)

  return {
    stepsPerEpoch,
    trainImages: train.count,
    queueTrain,
    queueAlpha,
    queueStep: (step, withValidation) => ({
      validation: withValidation ? queueAlpha(step) : null,
      train: queueTrain(step),
    }),
    rankingBatches: wholeBatches,
    queueRanking: (index) => queueWhole(index, regions.ranking),
    validationBatches: Math.ceil(validation.count / batch),
    queueValidation(epoch, b) {
      const begin = b * batch
      const positions = Array.from({ length: Math.min(batch, validation.count - begin) }, (_, i) => begin + i)
      return queueValidation(
        validation.records(positions),
        regions.validation + epoch * validation.count + begin,
      )
    },
  }
}

// The permutation of a pass, the last one remembered.
function shuffled(
  addon: NativeAddon,
  seed: number,
  stream: number,
  n: number,
): (pass: number) => Uint32Array {
  let last = -1
  let order: Uint32Array = new Uint32Array(0)
  return (pass) => {
    if (pass !== last) order = addon.permutation(seed, 2 * pass + stream, n)
    last = pass
    return order
  }
}
