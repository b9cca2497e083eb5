/** The two optimizers' options from a run's settings: what the methods' steps have in common. */
import type { AlphaUpdateOptions, WeightUpdateOptions } from "../native.js"
import type { MethodSettings } from "./index.js"

/** Adam on alpha, as in quark0/darts cnn/architect.py: betas and coupled weight decay from the settings, no regulariser. */
export function adam(settings: MethodSettings): AlphaUpdateOptions {
  return {
    optimizer: "adam",
    projection: "none",
    lr: settings.archLr,
    beta1: settings.archBeta1,
    beta2: settings.archBeta2,
    eps: 1e-8,
    weightDecay: settings.archWeightDecay,
    eta: 0,
    costNormal: [],
    costReduce: [],
    costOn: "alpha",
  }
}

/** SGD with momentum on the weights that have a gradient, clipped by norm, as in quark0/darts cnn/train_search.py. */
export function sgd(settings: MethodSettings, lr: number): WeightUpdateOptions {
  return {
    lr,
    momentum: settings.momentum,
    weightDecay: settings.weightDecay,
    clip: settings.clip,
    unselected: "skipped",
    apply: true,
  }
}
