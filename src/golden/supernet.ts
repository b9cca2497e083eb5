/** What the supernet's kinds share: a session with the file's weights and matrices, its batches and options. */
import { inPrecision } from "../methods/matrices.js"
import type {
  AlphaUpdateOptions,
  DiscretiseOptions,
  NativeAddon,
  NativeSession,
  Precision,
  WeightUpdateOptions,
} from "../native.js"
import { cellTypes, edges, findSpace, type Space } from "../spaces/index.js"
import type { GoldenFile } from "./file.js"

/** The matrices whose softmax a file's step goes by. */
export function logitsOfAlpha(file: GoldenFile, space: Space) {
  return {
    normal: file.values("logits_alpha.normal", [edges, space.normal.length]),
    reduce: file.values("logits_alpha.reduce", [edges, space.reduce.length]),
  }
}

/** A session on the file's net: its weights, fresh running statistics, its matrices or others, discretised. */
export function openSession(
  addon: NativeAddon,
  file: GoldenFile,
  precision: Precision,
  alphas: Record<(typeof cellTypes)[number], ArrayLike<number>> = {
    normal: file.values("alpha.normal"),
    reduce: file.values("alpha.reduce"),
  },
): NativeSession {
  const space = findSpace(file.text("space"))
  const [batch = 0, imageChannels = 0, imageSize = 0] = file.tensor("input.0").shape
  const session = new addon.Session({
    ...{ channels: file.integer("C"), layers: file.integer("layers"), classes: file.integer("classes") },
    ...{ batch, imageChannels, imageSize, precision },
    partialChannels: file.integer("partial_channels", 1),
    ...{ normal: [...space.normal], reduce: [...space.reduce] },
    ...{ isa: "", threads: 0, dense: false, seed: 0 },
  })
  try {
    const parameters = session.tensors().filter((t) => t.group === "parameter")
    for (const { name, shape } of parameters)
      session.write(name, inPrecision(precision, file.values(`w.${name}`, shape)))
    const known = new Set(parameters.map((t) => t.name))
    for (const name of file.names("w."))
      if (!known.has(name)) throw file.wrong(`the net has no parameter ${name}`)
    for (const type of cellTypes) session.write(`alphas_${type}`, inPrecision(precision, alphas[type]))
    session.discretise(discretiseOptions(file))
    return session
  } catch (error) {
    session.dispose()
    throw error
  }
}

/** The file's batch `index`, as a ticket. */
export function loadBatch(session: NativeSession, file: GoldenFile, index: number): number {
  const { batch, imageChannels, imageSize, precision, classes } = session.options
  const x = file.values(`input.${index}`, [batch, imageChannels, imageSize, imageSize])
  const targets = file.values(`target.${index}`, [batch])
  if (targets.some((t) => !Number.isInteger(t) || t < 0 || t >= classes)) {
    throw file.wrong(`target.${index} holds a class outside 0..${classes - 1}`)
  }
  return session.load(inPrecision(precision, x), Int32Array.from(targets))
}

function discretiseOptions(file: GoldenFile): DiscretiseOptions {
  return {
    value: file.choice("value", ["one", "kept"], "one"),
    edges: file.choice("edges", ["two", "all"], "two"),
    ...{ epsilon: 0, counter: 0 },
  }
}

/** eta * sum of cost_k * ||D_:k||^2 on the normal cell; without eta there is no cost. */
export function regulariser(file: GoldenFile): { eta: number; cost: number[] } {
  const eta = file.number("eta", 0)
  return {
    eta,
    cost: eta === 0 ? [] : [...file.values("cost.normal", [findSpace(file.text("space")).normal.length])],
  }
}

export function alphaOptions(file: GoldenFile): AlphaUpdateOptions {
  const [beta1, beta2] = file.pair("alpha_betas")
  const { eta, cost } = regulariser(file)
  return {
    ...{
      lr: file.number("alpha_lr"),
      beta1,
      beta2,
      eps: 1e-8,
      weightDecay: file.number("alpha_weight_decay"),
    },
    ...{ eta, costNormal: cost, costReduce: [], costOn: "discrete", discretise: discretiseOptions(file) },
  }
}

export function weightOptions(file: GoldenFile): Omit<WeightUpdateOptions, "apply"> {
  return {
    ...{ lr: file.number("lr"), momentum: file.number("momentum"), weightDecay: file.number("weight_decay") },
    clip: file.number("grad_clip"),
    unselected: file.choice("unselected", ["skipped", "decayed"], "skipped"),
  }
}
