/**
 * Random search with weight sharing (Li, Talwalkar, UAI 2019): every step trains the weights of one random sample; at
 * the end samples are scored on some validation batches and the best of them on all whole batches of the validation half.
 * Defaults: liamcli/randomNAS_release (train_batch, get_eval_arch): in a budget of B steps max(1, B / 10,000) rounds of
 * 1,000 samples on 10 batches, the best 10 of each again on everything. Runs of less than 10,000 steps score a sample for
 * every 10 steps. Between epochs, where the release looks at the last sample only, the best of a few becomes the
 * searched net. alpha holds the found architecture's matrices.
 */
import { genotypeOfMatrices } from "../derive.js"
import { integerField, optionalField, type FieldValues } from "../expect.js"
import type { EpochEnd, MethodContext, RunningMethod, SearchMethod } from "./index.js"
import { mixWeights, readMatrices, writeMatrices } from "./matrices.js"
import { rank, rankingFields } from "./rank.js"
import { matricesOfSample, randomSample } from "./samples.js"
import { sgd } from "./steps.js"
import { drawsPerStep, substreams } from "./substreams.js"

const fields = {
  samples: optionalField(
    integerField(
      1,
      1,
      1_000_000,
      "samples ranked in each round at the end; default: 1000, or a tenth of the steps",
    ),
  ),
  ...rankingFields,
  finalists: integerField(
    10,
    1,
    1000,
    "a round's samples that are ranked again at the end, on all whole batches of the validation half",
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

// Steps that a round of the last ranking stands for.
const stepsPerRound = 10_000

function prepare(context: MethodContext, options: FieldValues<typeof fields>): RunningMethod {
  const { addon, session, space, settings, rankingBatch, rankingBatches } = context
  const draw = (substream: number, counter: number) =>
    randomSample(addon, space, settings.seed, substream, counter)
  const weightsOf = (sample: ReturnType<typeof draw>) => matricesOfSample(space, sample)
  writeMatrices(session, "alphas", weightsOf(draw(substreams.rank, 0)))

  // `count` samples, best first, from draw `first` of the step's on.
  const ranked = async (step: number, count: number, first = 0) => {
    const samples = Array.from({ length: count }, (_, i) =>
      draw(substreams.rank, step * drawsPerStep + first + i),
    )
    const ranking = { batches: options.rankBatches, firstBatch: step + first * options.rankBatches }
    return (await rank(session, rankingBatch, samples, weightsOf, ranking)).map((r) => r.candidate)
  }
  const lastRanking = async (step: number) => {
    const rounds = Math.max(1, Math.floor(step / stepsPerRound))
    const count = options.samples ?? Math.min(1000, Math.max(10, Math.floor(step / 10)))
    const finalists = []
    for (let round = 0; round < rounds; round++)
      finalists.push(...(await ranked(step, count, round * count)).slice(0, options.finalists))
    const whole = { batches: rankingBatches, firstBatch: 0, sameBatches: true }
    return (await rank(session, rankingBatch, finalists, weightsOf, whole)).map((r) => r.candidate)
  }
  return {
    hasArchitectureStep: () => false,
    async step({ train }, { step, lr }) {
      mixWeights(session, weightsOf(draw(substreams.sample, step)))
      return { alpha: null, weights: await session.weightStep(train, sgd(settings, lr)) }
    },
    async onEpoch({ step, last }: EpochEnd) {
      const [best] = last ? await lastRanking(step) : await ranked(step, options.epochSamples)
      writeMatrices(session, "alphas", weightsOf(best!))
    },
    derive() {
      const found = readMatrices(session)
      mixWeights(session, found)
      const genotype = genotypeOfMatrices(space, found)
      return { searched: genotype, softmax: genotype, selected: found, alpha: found }
    },
  }
}
