/**
 * NASP (Yao et al., AAAI 2020), Algorithm 1. A step is:
 *   3. D = prox(A): per row one operation, per node two rows    discretise
 *   4. A <- [0,1](Adam(A, dL_validation/dD + regulariser))      architectureGradient, updateAlpha
 *   5. D = prox(A)                                              updateAlpha
 *   6. w <- SGD(w, dL_train/dw at D)                            weightStep
 * Defaults are the released code's (xujinfan/NASP-codes cnn/train_search.py, model_search.py).
 */
import { searchedGenotype, softmaxGenotype, type CellMatrices } from "../derive.js"
import { choiceField, numberField, type Field, type FieldValues } from "../expect.js"
import type { DiscretiseOptions, NativeSession, Values } from "../native.js"
import { edges } from "../spaces/index.js"
import { checkCost, costVectors, isCost, type CostOptions } from "./cost.js"
import type { MethodContext, RunningMethod, SearchMethod } from "./index.js"

const costField: Field<CostOptions["cost"]> = {
  initial: "params",
  expected: "params, flops or costs by operation name, each a finite number of at least 0",
  about: "regulariser's costs: params, flops, or a JSON file of costs by operation name",
  placeholder: "<params|flops|file>",
  accepts: isCost,
}

const fields = {
  value: choiceField(
    "one",
    ["one", "kept"],
    "entry of the discrete matrix: 1 (released code) or alpha's own (paper)",
  ),
  edges: choiceField("two", ["two", "all"], "rows kept a node: 2 (released code) or all (paper)"),
  unselected: choiceField(
    "skipped",
    ["skipped", "decayed"],
    "weights of unselected operations: skipped, or decayed as with PyTorch 0.3",
  ),
  alphaNoise: numberField(
    0,
    0,
    1,
    "alpha starts at 0.5 plus this times a standard normal (1e-3 breaks the ties)",
  ),
  epsilon: numberField(0, 0, 1, "with this probability every row takes a random operation"),
  eta: numberField(0, 0, 1e6, "strength of the complexity regulariser"),
  cost: costField,
  costScale: choiceField(
    "sum",
    ["sum", "mean", "none"],
    "costs are divided by their sum (released code) or mean",
  ),
  costCells: choiceField("normal", ["normal", "both"], "cell types that are regularised"),
  costOn: choiceField(
    "discrete",
    ["discrete", "alpha"],
    "regulariser evaluated at D (released code) or at alpha",
  ),
  costChannels: choiceField(
    "12",
    ["12", "net"],
    "channels at which costs are counted: 12 (released code) or the net's",
  ),
}

export const nasp: SearchMethod<typeof fields> = {
  name: "nasp",
  about: "neural architecture search via proximal iterations (AAAI 2020)",
  fields,
  prepare,
}

// Counters of the selection stream: two selections a step, with room for every row's draws.
const drawsPerSelection = 64

function prepare(context: MethodContext, options: FieldValues<typeof fields>): RunningMethod {
  const { addon, session, space, settings } = context
  checkCost(addon, space, options.cost)
  const cost =
    options.eta > 0 ? costVectors(addon, space, settings.channels, options) : { normal: [], reduce: [] }
  startAlpha(context, options.alphaNoise)

  const discretise = (selection: number): DiscretiseOptions => ({
    value: options.value,
    edges: options.edges,
    epsilon: options.epsilon,
    counter: selection * drawsPerSelection,
  })
  return {
    async step(batches, { step, lr }) {
      session.discretise(discretise(2 * step))
      const alpha = await session.architectureGradient(batches.validation)
      session.updateAlpha({
        lr: settings.archLr,
        beta1: settings.archBeta1,
        beta2: settings.archBeta2,
        eps: 1e-8,
        weightDecay: settings.archWeightDecay,
        eta: options.eta,
        costNormal: cost.normal,
        costReduce: cost.reduce,
        costOn: options.costOn,
        discretise: discretise(2 * step + 1),
      })
      const weights = await session.weightStep(batches.train, {
        lr,
        momentum: settings.momentum,
        weightDecay: settings.weightDecay,
        clip: settings.clip,
        unselected: options.unselected,
        apply: true,
      })
      return { alpha, weights }
    },
    onEpoch() {},
    derive() {
      session.discretise({ ...discretise(0), epsilon: 0 })
      const alpha = readMatrices(session, "alphas")
      const selected = readMatrices(session, "selected.alphas")
      return {
        searched: searchedGenotype(space, selected, alpha),
        softmax: softmaxGenotype(space, alpha),
        selected,
        alpha,
      }
    },
    save: () => ({}),
    restore() {},
  }
}

function startAlpha({ addon, session, space, settings }: MethodContext, noise: number): void {
  for (const [substream, type] of (["normal", "reduce"] as const).entries()) {
    const size = edges * space[type].length
    const start = new Float64Array(size).fill(0.5)
    if (noise > 0)
      addon.normals(settings.seed, substream, size).forEach((n, i) => (start[i] = 0.5 + noise * n))
    session.write(`alphas_${type}`, inPrecision(session, start))
  }
}

function inPrecision(session: NativeSession, values: Float64Array): Values {
  return session.options.precision === "f32" ? new Float32Array(values) : values
}

function readMatrices(session: NativeSession, prefix: string): CellMatrices {
  return { normal: session.read(`${prefix}_normal`), reduce: session.read(`${prefix}_reduce`) }
}
