/**
 * NASP (Yao et al., AAAI 2020), Algorithm 1. A step is:
 *   3. D = prox(A): per row one operation, per node two rows    discretise
 *   4. A <- [0,1](Adam(A, dL_validation/dD + regulariser))      architectureGradient, updateAlpha
 *   5. D = prox(A)                                              updateAlpha
 *   6. w <- SGD(w, dL_train/dw at D)                            weightStep
 * and its two ablations (section 4.5), which differ in what becomes of A after its step, the option `projection`:
 *   nasp      box       clipped to [0, 1]
 *   lazy-pa   none      as it is (lazy proximal iteration, equation 10)
 *   pa        discrete  A = prox_C(A), discrete itself (proximal iteration, equation 9)
 * Defaults are the released code's (xujinfan/NASP-codes codes/train_search.py, codes/model_search.py).
 */
import { searchedGenotype, softmaxGenotype } from "../derive.js"
import { choiceField, numberField, type FieldValues } from "../expect.js"
import type { DiscretiseOptions } from "../native.js"
import { checkCost, costField, costVectors } from "./cost.js"
import type { MethodContext, RunningMethod, SearchMethod } from "./index.js"
import { readMatrices, startAlpha, writeMatrices } from "./matrices.js"
import { adam, sgd } from "./steps.js"

const projections = ["box", "none", "discrete"] as const

const fields = {
  projection: choiceField(
    "box",
    projections,
    "alpha after its step: clipped to [0, 1] (NASP), as it is (lazy PA), or discrete itself (PA)",
  ),
  optimizer: choiceField(
    "adam",
    ["adam", "sgd"],
    "alpha's optimizer: Adam (released code) or plain gradient",
  ),
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

type Options = FieldValues<typeof fields>

function variant(
  name: string,
  about: string,
  projection: (typeof projections)[number],
): SearchMethod<typeof fields> {
  return {
    name,
    about,
    source: "Yao et al., AAAI 2020; defaults of xujinfan/NASP-codes",
    fields: { ...fields, projection: { ...fields.projection, initial: projection } },
    defaults: {},
    selects: true,
    evaluations({ edges }) {
      const kept = edges === "two" ? 8 : 14
      return {
        architecture: { forward: [0, kept], data: [0, kept], probes: [14, -kept] },
        weights: { forward: [0, kept], backward: [0, kept] },
      }
    },
    prepare,
  }
}

export const nasp = variant("nasp", "neural architecture search via proximal iterations (AAAI 2020)", "box")
export const lazyPa = variant(
  "lazy-pa",
  "lazy proximal iterations: NASP without the box (equation 10)",
  "none",
)
export const pa = variant(
  "pa",
  "proximal iterations: alpha itself discrete after each step (equation 9)",
  "discrete",
)

// Counters of the selection stream: two selections a step, with room for every row's draws.
const drawsPerSelection = 64

function prepare(context: MethodContext, options: Options): RunningMethod {
  const { addon, session, space, settings } = context
  checkCost(addon, space, options.cost)
  const cost =
    options.eta > 0 ? costVectors(addon, space, settings.channels, options) : { normal: [], reduce: [] }
  startAlpha(context, settings.seed, 0.5, options.alphaNoise)
  if (options.projection === "discrete") {
    session.discretise({ ...atStart(options), epsilon: 0 })
    writeMatrices(session, "alphas", readMatrices(session, "selected.alphas"))
  }

  const discretise = (selection: number): DiscretiseOptions => ({
    ...atStart(options),
    counter: selection * drawsPerSelection,
  })
  return {
    async step(batches, { step, lr }) {
      session.discretise(discretise(2 * step))
      const alpha = await session.architectureGradient(batches.validation!)
      session.updateAlpha({
        ...adam(settings),
        optimizer: options.optimizer,
        projection: options.projection,
        eta: options.eta,
        costNormal: cost.normal,
        costReduce: cost.reduce,
        costOn: options.costOn,
        discretise: discretise(2 * step + 1),
      })
      const weights = await session.weightStep(batches.train, {
        ...sgd(settings, lr),
        unselected: options.unselected,
      })
      return { alpha, weights }
    },
    derive() {
      session.discretise({ ...discretise(0), epsilon: 0 })
      const alpha = readMatrices(session)
      const selected = readMatrices(session, "selected.alphas")
      return {
        searched: searchedGenotype(space, selected, alpha),
        softmax: softmaxGenotype(space, alpha),
        selected,
        alpha,
      }
    },
  }
}

function atStart({ value, edges, epsilon }: Options): DiscretiseOptions {
  return { value, edges, epsilon, counter: 0 }
}
