/**
 * What the runs of one figure must share, wherever they come from: all of them data and size of the search (what the
 * caption says of all), the seeds of one side everything that its numbers depend on but the seed.
 */
import { NaspError } from "../errors.js"
import { decisive } from "../train/config.js"
import type { History } from "./history.js"

const sharedByAll = [
  "space",
  "batch",
  "channels",
  "layers",
  "epochs",
  "cutout",
  "precision",
  "probePrecision",
  "batchStatistics",
] as const

/** @throws NaspError ERR_NASP_RUN_FOLDER that names the option and both values */
export function checkComparable(histories: readonly History[]): void {
  const sides = new Map<string, History>()
  for (const history of histories) {
    const { name } = history.side
    const twin = sides.get(name)
    if (twin) checkSame(`all runs of ${name}`, options, twin, history)
    else sides.set(name, history)
  }
  const [first, ...others] = sides.values()
  for (const other of others) checkSame("all runs of a figure", shared, first!, other)
}

type Values = Record<string, unknown>

function shared({ config, dataHash }: History): Values {
  return {
    data: `${config.data} (${dataHash.slice(0, 8)})`,
    ...Object.fromEntries(sharedByAll.map((name) => [name, config[name]])),
  }
}

function options(history: History): Values {
  const { seed: _seed, options: own, ...config } = decisive(history.config)
  return { ...config, ...shared(history), ...(own as Values) }
}

function checkSame(where: string, valuesOf: (history: History) => Values, a: History, b: History): void {
  const [left, right] = [valuesOf(a), valuesOf(b)]
  const name = differing(left, right)
  if (name === undefined) return
  throw new NaspError(
    "ERR_NASP_RUN_FOLDER",
    `Expected one value in ${where} for ${name} but received ${shown(left[name])} (${a.folder}) and ${shown(right[name])} (${b.folder})`,
  )
}

/** The first name whose values differ. */
export function differing(left: Values, right: Values): string | undefined {
  return Object.keys({ ...left, ...right }).find((name) => shown(left[name]) !== shown(right[name]))
}

export function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value)
}
