/**
 * A search's options: one table that validation, defaults, the command line and its help derive from. Defaults are
 * the released codes' (quark0/darts cnn/train_search.py, xujinfan/NASP-codes codes/train_search.py), the number of layers included.
 */
import { createHash } from "node:crypto"
import { resolve } from "node:path"

import { checkSourceFolder } from "../data/check-folder.js"
import { findDataSource, type ImageData } from "../data/index.js"
import { deviceField } from "../device.js"
import {
  checkRecord,
  choiceField,
  flagField,
  integerField,
  invalid,
  isRecord,
  numberField,
  oneOf,
  optionalField,
  resolveFields,
  type Field,
  type Fields,
  type FieldValues,
} from "../expect.js"
import { findMethod, methods, type MethodOptions } from "../methods/index.js"
import { findSpace } from "../spaces/index.js"
import { stopFields } from "./early-stop.js"

const nameField = (initial: string, about: string): Field<string> => ({
  initial,
  expected: "a name",
  about,
  placeholder: "<name>",
  accepts: (value) => typeof value === "string" && value !== "",
})

export const searchFields = {
  data: nameField("generated", "data set"),
  dataDir: optionalField(nameField("", "folder of the data set's files")),
  space: nameField("nasp12", "search space"),
  method: nameField("nasp", "search method"),
  device: deviceField,
  epochs: integerField(50, 1, 100_000, "epochs; the learning rate follows a cosine over them"),
  steps: optionalField(
    integerField(1, 1, 1_000_000_000, "stop after this many steps; the schedule stays that of --epochs"),
  ),
  batch: integerField(64, 1, 4096, "images a step, training and validation each"),
  channels: integerField(16, 1, 1024, "channels of the first cells"),
  layers: integerField(8, 3, 100, "cells"),
  // P-DARTS' later nets take the two that follow.
  seed: integerField(0, 0, Number.MAX_SAFE_INTEGER - 2, "seed of everything that is drawn"),
  lr: numberField(0.025, 0, Infinity, "learning rate of the weights at the start"),
  lrMin: numberField(0.001, 0, Infinity, "learning rate of the weights at the end"),
  momentum: numberField(0.9, 0, 1, "momentum of the weights"),
  weightDecay: numberField(3e-4, 0, Infinity, "weight decay of the weights"),
  clip: numberField(5, 0, Infinity, "largest norm of the weights' gradient, 0 = not clipped"),
  archLr: numberField(3e-4, 0, Infinity, "learning rate of alpha (Adam)"),
  archBeta1: numberField(0.5, 0, 0.999999, "first moment's decay of alpha's Adam"),
  archBeta2: numberField(0.999, 0, 0.999999, "second moment's decay of alpha's Adam"),
  archWeightDecay: numberField(1e-3, 0, Infinity, "weight decay of alpha, in the gradient"),
  ...stopFields,
  cutout: integerField(0, 0, 1024, "side of the square that cutout blanks, 0 = off"),
  dense: flagField("run and differentiate every operation in both steps (for comparison)"),
  precision: choiceField("f32", ["f32", "f64"], "scalar type of the engine"),
  probePrecision: choiceField(
    "f32",
    ["f32", "bf16"],
    "of probes' products: bf16 is faster where the processor has AVX512-BF16, and rounds",
  ),
  threads: optionalField(integerField(1, 1, 1024, "threads; default: what the process may use")),
  checkpointEvery: integerField(100, 1, 1_000_000_000, "steps between checkpoints"),
  keepCheckpoints: integerField(2, 1, 1000, "checkpoints kept"),
  evaluateDerived: flagField("every epoch, evaluate the derived net with the searched weights too"),
  batchStatistics: flagField(
    "validate with each batch's own statistics, as DARTS' paper says, not with running ones, as its code does: those lag while edges change",
  ),
  compareOrders: integerField(
    0,
    0,
    1_000_000_000,
    "every so many steps, compare first- and second-order gradients of alpha, 0 = never",
  ),
}

/** Every option with its value, the method's own under `options`. */
export interface SearchConfig extends FieldValues<typeof searchFields> {
  options: Record<string, unknown>
}

/** Any of the table's options, and the method's own (for nasp: value, edges, eta, ...). */
export type SearchOptions = Partial<FieldValues<typeof searchFields>> & { options?: MethodOptions }

/** @throws NaspError ERR_NASP_ARGUMENT that names the field, the expectation and the value */
export function resolveConfig(given: SearchOptions, ownData = false): SearchConfig {
  checkRecord("options", given)
  const { options = {}, ...rest } = given
  checkPlaces(rest, options)
  const config = resolveFields(fieldsFor(rest.method), rest)
  findSpace(config.space)
  const method = findMethod(config.method)
  if (!ownData) {
    const source = findDataSource(config.data)
    if (source.needsFolder) checkSourceFolder("dataDir", config.dataDir, source.name)
  }
  if (config.batchStatistics && config.evaluateDerived) {
    throw invalid("batchStatistics", "false beside evaluateDerived, which measures both,", true)
  }
  if (config.lrMin > config.lr) throw invalid("lrMin", `at most lr (${config.lr})`, config.lrMin)
  const methodOptions = resolveFields(method.fields, options)
  const { partialChannels = 1 } = method.net?.(methodOptions) ?? {}
  if (config.channels % partialChannels !== 0)
    throw invalid("channels", `a number that partialChannels (${partialChannels}) divides`, config.channels)
  return {
    ...config,
    dataDir: config.dataDir === null ? null : resolve(config.dataDir),
    options: methodOptions,
  }
}

// A method's option beside `options` instead of in it, or another method's.
function checkPlaces(rest: object, options: unknown): void {
  const having = (name: string) => methods.filter((m) => Object.hasOwn(m.fields, name)).map((m) => m.name)
  const misplaced = Object.keys(rest).find((n) => !Object.hasOwn(searchFields, n) && having(n).length > 0)
  if (misplaced !== undefined)
    throw invalid(misplaced, "a place in `options`, as an option of the method,", "it beside them")
  const method = methods.find(
    ({ name }) => name === ((rest as SearchOptions).method ?? searchFields.method.initial),
  )
  const foreign =
    isRecord(options) && Object.keys(options).find((n) => !Object.hasOwn(method?.fields ?? {}, n))
  if (!method || foreign === false || foreign === undefined) return
  const owners = having(foreign)
  const whose = owners.length > 0 ? `, an option of ${oneOf(owners)}` : ""
  throw invalid(`an option of ${method.name}`, oneOf(Object.keys(method.fields)), `${foreign}${whose}`)
}

/** The table with the method's own defaults; an unknown name's are the table's. */
function fieldsFor(method: unknown): typeof searchFields {
  const { defaults = {} } = methods.find(({ name }) => name === method) ?? {}
  const changed = Object.entries(searchFields).map(([name, field]) => [
    name,
    Object.hasOwn(defaults, name)
      ? { ...field, initial: (defaults as Record<string, unknown>)[name] }
      : field,
  ])
  return Object.fromEntries(changed) as typeof searchFields
}

// What a run's numbers do not depend on.
const free = new Set<string>([
  "dataDir",
  "device",
  "steps",
  "threads",
  "checkpointEvery",
  "keepCheckpoints",
  "evaluateDerived",
  "compareOrders",
])

// Added after the first run folders were made: counted only where they are not at their defaults, so that those
// folders' checkpoints stay valid.
const later = new Set<string>([
  "stopSkips",
  "stopEigenvalue",
  "projection",
  "optimizer",
  "batchStatistics",
  "probePrecision",
])

function counted(values: Record<string, unknown>, fields: Fields): [string, unknown][] {
  return Object.entries(values).filter(([name, value]) => !later.has(name) || value !== fields[name]?.initial)
}

/** What determines a run's numbers, beside the data's bytes. */
export function decisive({ options, ...config }: SearchConfig): Record<string, unknown> {
  const own = Object.fromEntries(counted(options, findMethod(config.method).fields))
  const all: [string, unknown][] = [...counted(config, searchFields), ["options", own]]
  return Object.fromEntries(all.filter(([name]) => !free.has(name)))
}

/** Options that decide a run's numbers and are neither the table's own value nor the method's default. */
export function changedOptions(config: SearchConfig): { name: string; value: unknown; initial: unknown }[] {
  const { fields, defaults } = findMethod(config.method)
  const changed = (values: object, of: Fields, others: object = {}) =>
    Object.entries(values).flatMap(([name, value]) => {
      const initial = of[name]?.initial
      const usual = [initial, (others as Record<string, unknown>)[name]].map((v) => JSON.stringify(v))
      return free.has(name) || usual.includes(JSON.stringify(value)) ? [] : [{ name, value, initial }]
    })
  const { options, ...rest } = config
  return [...changed(rest, searchFields, defaults), ...changed(options, fields)]
}

/** A hash of that and of the data's bytes; checkpoints of another one are refused. */
export function configHash(config: SearchConfig, dataHash: string): string {
  const values = Object.entries(decisive(config)).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash("sha256")
    .update(JSON.stringify([values, dataHash]))
    .digest("hex")
    .slice(0, 32)
}

/** A hash of the images, labels and how they are normalised and augmented. */
export function dataHash(data: ImageData): string {
  const { images, labels, ...rest } = data
  return createHash("sha256")
    .update(images)
    .update(labels)
    .update(JSON.stringify(rest))
    .digest("hex")
    .slice(0, 32)
}
