/**
 * DARTS (Liu, Simonyan, Yang, ICLR 2019): the mixture is softmax(A). A step is one of Adam on A, then one of SGD on w:
 *   first order    dL_validation(w, A)/dA
 *   second order   dL_validation(w', A)/dA - lr (dL_train(w+, A)/dA - dL_train(w-, A)/dA) / 2R     at
 *                  w' = w - lr (momentum buffer + dL_train(w, A)/dw + weight decay w), v = dL_validation(w', A)/dw',
 *                  w+- = w +- R v, R = 0.01 / |v|
 * Passes run on one net: w is kept as a vector and put back. As in the released code, the validation pass at w' leaves
 * the net's running statistics alone (it is run on a copy there) and gradients are not clipped in the unrolled step.
 * Defaults: quark0/darts cnn/train_search.py (there --unrolled is off by default and on in the published runs).
 */
import { choiceField, type FieldValues } from "../expect.js"
import type { NativeSession, StepResult } from "../native.js"
import { eachType } from "../spaces/index.js"
import type { MethodContext, MethodSettings, RunningMethod, SearchMethod } from "./index.js"
import { readMatrices, startAlpha, type Matrices } from "./matrices.js"
import { deriveRelaxed, gradientThrough, relax, startDeviation, writeGradient } from "./relaxed.js"
import { adam, sgd } from "./steps.js"

const fields = {
  order: choiceField(
    "first",
    ["first", "second"],
    "architecture gradient: at the weights (first), or at one unrolled step of them (second)",
  ),
}

export const darts: SearchMethod<typeof fields> = {
  name: "darts",
  about: "differentiable architecture search (ICLR 2019), first or second order",
  source: "Liu, Simonyan, Yang, ICLR 2019; defaults of quark0/darts",
  fields,
  defaults: {},
  evaluations: ({ order }) => ({
    architecture:
      order === "first"
        ? { forward: [14, 0], data: [14, 0] }
        : { forward: [56, 0], backward: [28, 0], data: [28, 0] },
    weights: { forward: [14, 0], backward: [14, 0] },
  }),
  prepare,
}

function prepare(context: MethodContext, { order }: FieldValues<typeof fields>): RunningMethod {
  const { session, space, settings } = context
  startAlpha(context, settings.seed, 0, startDeviation)
  const mix = () => relax(session, space, readMatrices(session))
  return {
    relaxed(alpha) {
      const weights = relax(session, space, alpha)
      return () => gradientThrough(session, space, weights)
    },
    async step(batches, { lr }) {
      const weightsOfAlpha = mix()
      const through = () => gradientThrough(session, space, weightsOfAlpha)
      const { result, gradient } =
        order === "first"
          ? await firstOrder(session, batches.validation!, through)
          : await secondOrder(session, batches.validation!, batches.train, { ...settings, lr }, through)
      writeGradient(session, gradient)
      session.updateAlpha(adam(settings))
      mix()
      return { alpha: result, weights: await session.weightStep(batches.train, sgd(settings, lr)) }
    },
    derive() {
      mix()
      return deriveRelaxed(space, readMatrices(session))
    },
  }
}

interface ArchitectureGradient {
  /** Of the validation batch. */
  result: StepResult
  gradient: Matrices
}

/** dL_validation/dA at the session's weights; `through` brings dL/dmixture to A. */
export async function firstOrder(
  session: NativeSession,
  validation: number,
  through: () => Matrices,
): Promise<ArchitectureGradient> {
  const result = await session.architectureGradient(validation)
  return { result, gradient: through() }
}

/** The unrolled gradient; weights and momentum are as before afterwards, and the training batch is still there. */
export async function secondOrder(
  session: NativeSession,
  validation: number,
  train: number,
  { lr, momentum, weightDecay }: Pick<MethodSettings, "lr" | "momentum" | "weightDecay">,
  through: () => Matrices,
): Promise<ArchitectureGradient> {
  const unrolled = await session.weightStep(train, {
    ...{ lr, momentum, weightDecay, clip: 0, unselected: "skipped" },
    ...{ apply: false, keepBatch: true },
  })
  session.combine("start", { weights: 1 })
  session.combine("weights", { start: 1 - lr * weightDecay, momentum: -lr * momentum, gradient: -lr })
  const result = await session.architectureGradient(validation, { weights: true, keepStatistics: true })
  const atUnrolled = through()

  session.combine("direction", { gradient: 1 })
  const radius = 0.01 / session.norm("direction")
  const trainGradient = async (side: number) => {
    session.combine("weights", { start: 1, direction: side * radius })
    const passed = await session.architectureGradient(train, { keepBatch: true })
    return { passed, gradient: through() }
  }
  const above = await trainGradient(1)
  const below = await trainGradient(-1)
  session.combine("weights", { start: 1 })
  return {
    result: withSecondsOf(result, [unrolled, above.passed, below.passed]),
    gradient: eachType((type) =>
      atUnrolled[type].map(
        (g, i) => g - (lr * (above.gradient[type][i]! - below.gradient[type][i]!)) / (2 * radius),
      ),
    ),
  }
}

function withSecondsOf(result: StepResult, others: StepResult[]): StepResult {
  const sum = (
    field: "forwardSeconds" | "backwardSeconds" | "updateSeconds" | "waitSeconds" | "prepareSeconds",
  ) => others.reduce((seconds, other) => seconds + other[field], result[field])
  return {
    ...result,
    forwardSeconds: sum("forwardSeconds"),
    backwardSeconds: sum("backwardSeconds"),
    updateSeconds: sum("updateSeconds"),
    waitSeconds: sum("waitSeconds"),
    prepareSeconds: sum("prepareSeconds"),
  }
}
