/**
 * Random search with weight sharing (Li, Talwalkar, UAI 2019): every step trains the weights of one random sample; at
 * the end samples are scored on some validation batches and the best of them on all whole batches of the validation half.
 * Defaults: liamcli/randomNAS_release (train_batch, get_eval_arch): in a budget of B steps max(1, B / 10,000) rounds of
 * 1,000 samples on 10 batches, the best 10 again on everything. Shorter runs score in that proportion, a sample for
 * every 10 steps. Between epochs, where the release looks at the last sample only, the best of a few becomes the
 * searched net. alpha holds the found architecture's matrices.
 */
import { genotypeOfMatrices } from "../derive.js"
import { integerField, optionalField, type FieldValues } from "../expect.js"
import type { EpochEnd, MethodContext, RunningMethod, SearchMethod } from "./index.js"
import { mixWeights, readMatrices, writeMatrices } from "./matrices.js"
import { rank } from "./rank.js"
import { matricesOfSample, randomSample, substreams } from "./samples.js"
import { sgd } from "./steps.js"

const fields = {
  samples: optionalField(
    integerField(1, 1, 1_000_000, "samples ranked at the end; default: a tenth of the steps, at least 10"),
  ),
  epochSamples: integerField(10, 1, 100_000, "samples ranked after each epoch"),
  rankBatches: integerField(10, 1, 10_000, "validation batches a sample is ranked on"),
  finalists: integerField(
    10,
    1,
    1000,
    "samples that are ranked again at the end, on all whole batches of the validation half",
  ),
}

export const random: SearchMethod<typeof fields> = {
  name: "random",
  about: "random search with weight sharing (UAI 2019)",
  source: "Li, Talwalkar, UAI 2019; defaults of liamcli/randomNAS_release",
  fields,
  defaults: {},
  evaluations: () => ({ architecture: {}, weights: { forward: [0, 8], backward: [0, 8] } }),
  prepare,
}

// Draws of a ranking: its step's, with room for every sample.
const drawsPerRanking = 2 ** 20

function prepare(context: MethodContext, options: FieldValues<typeof fields>): RunningMethod {
  const { addon, session, space, settings, validationBatch, validationBatches } = context
  const draw = (substream: number, counter: number) =>
    randomSample(addon, space, settings.seed, substream, counter)
  const weightsOf = (sample: ReturnType<typeof draw>) => matricesOfSample(space, sample)
  writeMatrices(session, "alphas", weightsOf(draw(substreams.rank, 0)))

  const ranked = async (step: number, count: number) => {
    const samples = Array.from({ length: count }, (_, i) => draw(substreams.rank, step * drawsPerRanking + i))
    const ranking = { batches: options.rankBatches, firstBatch: step }
    return (await rank(session, validationBatch, samples, weightsOf, ranking)).map((r) => r.candidate)
  }
  return {
    learnsAlpha: () => false,
    async step({ train }, { step, lr }) {
      mixWeights(session, weightsOf(draw(substreams.sample, step)))
      return { alpha: null, weights: await session.weightStep(train, sgd(settings, lr)) }
    },
    async onEpoch({ step, last }: EpochEnd) {
      const samples = options.samples ?? Math.max(10, Math.floor(step / 10))
      let order = await ranked(step, last ? samples : options.epochSamples)
      if (last) {
        const whole = { batches: validationBatches, firstBatch: 0, sameBatches: true }
        const again = await rank(
          session,
          validationBatch,
          order.slice(0, options.finalists),
          weightsOf,
          whole,
        )
        order = again.map((r) => r.candidate)
      }
      writeMatrices(session, "alphas", weightsOf(order[0]!))
    },
    derive() {
      const found = readMatrices(session)
      mixWeights(session, found)
      const genotype = genotypeOfMatrices(space, found)
      return { searched: genotype, softmax: genotype, selected: found, alpha: found }
    },
  }
}
