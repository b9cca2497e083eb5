/**
 * ENAS (Pham et al., ICML 2018) on the supernet of DARTS: a controller draws two inputs and two operations a node.
 *   steps     the weights of one drawn architecture on a training batch; Nesterov, cosine with restarts
 *   epochs    then `controllerSteps` times the mean REINFORCE gradient of `controllerSamples` drawn architectures, the
 *             reward of each its accuracy on one validation batch (the batch's own statistics) plus 1e-4 of the draws'
 *             entropy, against a moving average; then the best of a few drawn becomes the searched net
 * Defaults: melodyguan/enas scripts/cifar10_micro_search.sh, src/cifar10. Left for later: its own space of five nodes, five
 * branches and loose ends in the output (here the four nodes of DARTS, all of them in the output, and weights that belong
 * to an edge), its auxiliary heads and drop path. alpha holds the found architecture's matrices.
 */
import { cosine } from "../cosine.js"
import { genotypeOfMatrices } from "../derive.js"
import { integerField, numberField, type FieldValues } from "../expect.js"
import { adamFromJson, adamStep, adamToJson, newAdam, type AdamJson } from "./adam.js"
import { drawsPerSample, makeController, type Controlled } from "./controller.js"
import type { EpochEnd, MethodContext, RunningMethod, SearchMethod } from "./index.js"
import { mixWeights, readMatrices, writeMatrices } from "./matrices.js"
import { rank, rankingFields, score } from "./rank.js"
import { matricesOfSample } from "./samples.js"
import { sgd } from "./steps.js"
import { drawsPerStep, substreams } from "./substreams.js"

const fields = {
  controllerSteps: integerField(30, 0, 1000, "steps of the controller after each epoch"),
  controllerSamples: integerField(10, 1, 1000, "architectures that a step of the controller draws"),
  controllerLr: numberField(0.0035, 0, 10, "learning rate of the controller (Adam)"),
  entropyWeight: numberField(1e-4, 0, 1, "weight of the draws' entropy in the reward"),
  baselineDecay: numberField(0.99, 0, 1, "decay of the reward's moving average"),
  ...rankingFields,
  restart: integerField(
    10,
    1,
    100_000,
    "epochs of the learning rate's first cosine; each next one is twice as long",
  ),
}

export const enas: SearchMethod<typeof fields> = {
  name: "enas",
  about: "a controller trained by REINFORCE draws two inputs and two operations a node (ICML 2018)",
  source: "Pham et al., ICML 2018; defaults of melodyguan/enas (micro search)",
  fields,
  // Its l2 of 1e-4 is of the sum of squares: a decay of twice that.
  defaults: { epochs: 150, batch: 160, channels: 20, lr: 0.05, lrMin: 5e-4, weightDecay: 2e-4 },
  evaluations: () => ({
    architecture: {},
    weights: { forward: [0, 8], backward: [0, 8] },
    note: "between epochs 8 F for each architecture that the controller is rewarded for",
  }),
  prepare,
}

const beta2 = 0.999

interface State {
  controller: AdamJson
  baseline: number
}

function prepare(context: MethodContext, options: FieldValues<typeof fields>): RunningMethod {
  const { addon, session, space, settings, rankingBatch } = context
  const uniforms = (substream: number, counter: number, n: number) =>
    addon.uniforms(settings.seed, substream, counter, n)
  const controller = makeController(space, (n) => {
    const all = new Float64Array(n)
    const piece = 4096
    for (let first = 0; first < n; first += piece) {
      all.set(uniforms(substreams.controller, first / piece, Math.min(piece, n - first)), first)
    }
    return all
  })
  let adam = newAdam(controller.values.length)
  let baseline = 0
  // Draw `counter` of a purpose; those between epochs lie at their step.
  const draw = (substream: number, counter: number) =>
    controller.sample(uniforms(substream, counter, drawsPerSample))
  const weightsOf = ({ sample }: Controlled) => matricesOfSample(space, sample)
  writeMatrices(session, "alphas", weightsOf(draw(substreams.rank, 0)))

  // Of each epoch's ranking batches the first are the rewards', the others the candidates'.
  const rewards = options.controllerSteps * options.controllerSamples
  const firstBatchOf = (epoch: number) => epoch * (rewards + options.epochSamples * options.rankBatches)
  const trainController = async (step: number, epoch: number) => {
    for (let s = 0; s < options.controllerSteps; s++) {
      controller.gradient.fill(0)
      for (let i = 0; i < options.controllerSamples; i++) {
        const index = s * options.controllerSamples + i
        const drawn = draw(substreams.controllerSample, step * drawsPerStep + index)
        const ranking = { batches: 1, firstBatch: firstBatchOf(epoch) + index, batchStatistics: true }
        const accuracy = await score(session, rankingBatch, weightsOf(drawn), ranking)
        const reward = accuracy + options.entropyWeight * drawn.entropy
        baseline -= (1 - options.baselineDecay) * (baseline - reward)
        // The loss is -log p (reward - baseline).
        drawn.backward(-(reward - baseline) / options.controllerSamples)
      }
      adamStep(controller.values, controller.gradient, adam, {
        ...{ lr: options.controllerLr, beta1: 0, beta2, weightDecay: 0 },
        // TensorFlow adds it to the root of the second moment before that is corrected.
        eps: 1e-3 / Math.sqrt(1 - beta2 ** (adam.step + 1)),
      })
    }
  }
  let rankedStep = -1
  return {
    hasArchitectureStep: () => false,
    learningRate({ epoch }) {
      let [first, length] = [0, options.restart]
      while (epoch >= first + length) [first, length] = [first + length, 2 * length]
      return cosine(settings.lr, settings.lrMin, epoch - first, length)
    },
    async step({ train }, { step, lr }) {
      mixWeights(session, weightsOf(draw(substreams.sample, step)))
      const weights = await session.weightStep(train, { ...sgd(settings, lr), nesterov: true })
      return { alpha: null, weights }
    },
    async onEpoch({ epoch, step, whole }: EpochEnd) {
      if (whole) await trainController(step, epoch)
      else if (step === rankedStep) return // the same draws on the same batches find the same
      const drawn = Array.from({ length: options.epochSamples }, (_, i) =>
        draw(substreams.rank, step * drawsPerStep + i),
      )
      const ranking = {
        batches: options.rankBatches,
        firstBatch: firstBatchOf(epoch) + rewards,
        batchStatistics: true,
      }
      const [best] = await rank(session, rankingBatch, drawn, weightsOf, ranking)
      writeMatrices(session, "alphas", weightsOf(best!.candidate))
      rankedStep = step
    },
    derive() {
      const found = readMatrices(session)
      mixWeights(session, found)
      const genotype = genotypeOfMatrices(space, found)
      return { searched: genotype, softmax: genotype, selected: found, alpha: found }
    },
    save: (): State => ({ controller: adamToJson(controller.values, adam), baseline }),
    restore(saved) {
      const state = saved as State
      const restored = adamFromJson(state.controller)
      controller.values.set(restored.values)
      adam = restored.state
      baseline = state.baseline
    },
  }
}
