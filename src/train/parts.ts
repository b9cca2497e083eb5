/** What a search works with, from its configuration: the data set and the session on the engine, the method on both. */
import type { ImageData } from "../data/index.js"
import { findMethod, type MethodContext, type RunningMethod } from "../methods/index.js"
import type { NativeAddon, NativeDataset, NativeSession } from "../native.js"
import type { Space } from "../spaces/index.js"
import type { SearchConfig } from "./config.js"

export function registerData(addon: NativeAddon, data: ImageData): NativeDataset {
  const { images, labels, channels, size, mean, std } = data
  return new addon.Dataset({ images, labels, channels, height: size, width: size, mean, std })
}

/** What a session takes of a configuration. */
type NetConfig = Pick<
  SearchConfig,
  "method" | "options" | "channels" | "layers" | "batch" | "precision" | "threads" | "dense" | "seed"
> &
  Partial<Pick<SearchConfig, "probePrecision">>

export function openSession(
  addon: NativeAddon,
  config: NetConfig,
  space: Space,
  data: Pick<ImageData, "classes" | "channels" | "size">,
): NativeSession {
  return new addon.Session({
    channels: config.channels,
    layers: config.layers,
    classes: data.classes.length,
    imageSize: data.size,
    imageChannels: data.channels,
    batch: config.batch,
    normal: [...space.normal],
    reduce: [...space.reduce],
    precision: config.precision,
    probePrecision: config.probePrecision,
    isa: "",
    threads: config.threads ?? 0,
    ...findMethod(config.method).net?.(config.options),
    dense: config.dense,
    seed: config.seed,
  })
}

export function prepareMethod(context: MethodContext, config: SearchConfig): RunningMethod {
  return findMethod(config.method).prepare(context, config.options)
}
