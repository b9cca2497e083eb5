/** From what the caller of `search` says to what is run: a new run, or one that goes on. */
import { copyImages } from "../data/check-images.js"
import { findDataSource, type ImageData } from "../data/index.js"
import { checkRecord, invalid } from "../expect.js"
import { descends } from "../methods/index.js"
import { resolveConfig, type SearchConfig, type SearchOptions as ConfigOptions } from "./config.js"
import { checkOut, ownData, readRunRecord, type NumberedFolder } from "./run-folder.js"

/** What `search` takes: a configuration, and beside it data by value, the run folder and an AbortSignal, which are no part of it. */
export type SearchOptions = Omit<ConfigOptions, "data"> & {
  /** A registered data set's name, or images by value. Default "generated". */
  data?: string | ImageData
  /** A new run folder; `{ parent, name }`: `<parent>/<name>-<n>` with the first n that is free. Default: nothing is written. */
  out?: string | NumberedFolder
  /**
   * A run folder to go on with, in place of `out`. Its configuration holds; of the other options only threads, steps
   * (more or fewer in all), dataDir (where the same files lie now), signal and, where the run's data were given by value, data
   * may stand beside it.
   */
  resume?: string
  /** Aborts the running step; what is on the disk stays. For an end that saves, see `Search.stop`. */
  signal?: AbortSignal
}

export interface Plan {
  config: SearchConfig
  /** Images that were given by value; null again once the engine has them. */
  data: ImageData | null
  /** Where a new run leaves its folder. */
  out: string | NumberedFolder | null
  /** A run that goes on: its folder, the hash of its data, and what changes in its configuration. */
  resumed: { folder: string; dataHash: string; override: Partial<SearchConfig> } | null
}

/** @throws NaspError ERR_NASP_ARGUMENT, ERR_NASP_RUN_FOLDER */
export function makePlan(options: SearchOptions): Plan {
  checkRecord("options", options)
  const { data, out, resume, signal, ...rest } = options
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalid("signal", "an AbortSignal", signal)
  if (data === null) throw invalid("data", "a data set's name or images", data)
  const given = typeof data === "object" ? copyImages(data) : null
  if (resume === undefined) {
    const name = typeof data === "object" ? ownData : data
    const named: ConfigOptions = { ...rest, ...(name === undefined ? {} : { data: name }) }
    const config = resolveConfig(named, given !== null)
    if (config.compareOrders > 0 && !descends(config))
      throw invalid("method", "one that descends on alpha's gradient, beside compareOrders", config.method)
    checkFolder(config, rest.dataDir)
    if (out !== undefined) checkOut(out)
    return { config, data: given, out: typeof out === "object" ? { ...out } : (out ?? null), resumed: null }
  }
  if (typeof resume !== "string" || resume === "") throw invalid("resume", "a run folder", resume)
  const { threads, steps, dataDir, ...others } = rest
  const refused = Object.entries({ ...others, out, data: given ? undefined : data }).find(
    ([, value]) => value !== undefined,
  )
  if (refused)
    throw invalid(
      "an option beside resume",
      "threads, steps or dataDir (the run's configuration holds)",
      refused[0],
    )
  const record = readRunRecord(resume)
  const override: Partial<SearchConfig> = {
    ...(threads === undefined ? {} : { threads }),
    ...(steps === undefined ? {} : { steps }),
    ...(dataDir === undefined ? {} : { dataDir }),
  }
  const isOwn = record.config.data === ownData
  if (isOwn !== (given !== null)) {
    throw invalid(
      "data",
      isOwn ? "the images that this run was started with" : "no images beside resume",
      data,
    )
  }
  const config = resolveConfig({ ...record.config, ...override }, isOwn)
  checkFolder(config, dataDir)
  if (dataDir !== undefined) override.dataDir = config.dataDir // resolved
  const resumed = { folder: resume, dataHash: record.data_hash, override }
  return { config, data: given, out: null, resumed }
}

function checkFolder({ data }: SearchConfig, dataDir: unknown): void {
  if (typeof dataDir === "string" && (data === ownData || !findDataSource(data).needsFolder))
    throw invalid("dataDir", `no folder beside data ${data}, which reads none`, dataDir)
}
