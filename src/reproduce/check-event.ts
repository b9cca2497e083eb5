/**
 * What figures take of a run's events.jsonl, looked at before it is taken: a file that another program, a hand or a
 * disk has changed is refused by line and field, not drawn. Fields that no figure uses may hold anything.
 */
import { NaspError } from "../errors.js"
import { isRecord, refusal, type Field } from "../expect.js"
import { checkGenotype } from "../genotype.js"
import { cellTypes, edges } from "../spaces/index.js"
import { noSeconds } from "../train/epoch-totals.js"
import type { EpochEvent, OrdersEvent, SearchEvent, StartEvent, StepEvent } from "../train/events.js"

type Kind = Pick<Field<unknown>, "expected" | "accepts">
type FieldsOf<E> = { [K in keyof E]?: Kind }

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value)
const isFrom = (low: number) => (value: unknown) => Number.isInteger(value) && (value as number) >= low

const text: Kind = { expected: "a string", accepts: (value) => typeof value === "string" }
const number: Kind = { expected: "a number", accepts: isNumber }
const count: Kind = { expected: "an integer from 0", accepts: isFrom(0) }
const atLeastOne: Kind = { expected: "an integer from 1", accepts: isFrom(1) }
const seconds: Kind = { expected: "a number from 0", accepts: (value) => isNumber(value) && value >= 0 }
const share: Kind = { expected: "a number from 0 to 1", accepts: (v) => isNumber(v) && v >= 0 && v <= 1 }
const flag: Kind = { expected: "true or false", accepts: (value) => typeof value === "boolean" }

const optional = ({ expected, accepts }: Kind): Kind => ({
  expected: `${expected}, or nothing,`,
  accepts: (value) => value === undefined || accepts(value),
})
// null: JSON's NaN and Infinity
const orNull = ({ expected, accepts }: Kind): Kind => ({
  expected: `${expected} or null`,
  accepts: (value) => value === null || accepts(value),
})

const isList = (value: unknown, accepts: Kind["accepts"]) => Array.isArray(value) && value.every(accepts)
/** For both cell types. */
const cells = (expected: string, accepts: Kind["accepts"]): Kind => ({
  expected: `${expected} for ${cellTypes.join(" and ")}`,
  accepts: (value) => isRecord(value) && cellTypes.every((type) => accepts(value[type])),
})
const rows = (expected: string, accepts: Kind["accepts"]) =>
  cells(`${edges} ${expected}`, (list) => isList(list, accepts) && (list as unknown[]).length === edges)

const numberRows = rows("rows of numbers", (row) => isList(row, isNumber))
const columns = rows("columns, -1 for none,", isFrom(-1))
const names = cells("names", (list) => isList(list, text.accepts))

const phases: Kind = {
  expected: "seconds by phase, ranking among them",
  accepts: (value) =>
    isRecord(value) &&
    seconds.accepts(value.ranking) &&
    Object.keys(noSeconds()).every((phase) => optional(seconds).accepts(value[phase])), // older runs lack some
}
const figures: Kind = {
  expected: "three accuracies from 0 to 1",
  accepts: (value) =>
    isRecord(value) &&
    [value.accuracy, value.batch_accuracy, value.searched_batch_accuracy].every(share.accepts),
}
const genotype: Kind = {
  expected: "a genotype",
  accepts(value) {
    try {
      checkGenotype(value)
      return true
    } catch {
      return false
    }
  },
}

// Of alpha, which the oldest runs lack, readHistory says so in words of its own.
const alpha = optional(numberRows)

const start: FieldsOf<StartEvent> = {
  ...{ version: text, cpu: text, isa: text, threads: atLeastOne },
  ...{ steps_per_epoch: atLeastOne, parameters: count, operations: names, alpha },
}
const step: FieldsOf<StepEvent> = { count, rows_flipped: count, alpha_change: seconds, seconds }
const epoch: FieldsOf<EpochEvent> = {
  ...{ whole: optional(flag), seconds: phases, train_acc: share, val_acc: share },
  ...{ genotype, alpha, selection: columns, derived: optional(figures) },
}
const orders: FieldsOf<OrdersEvent> = {
  ...{ cosine: orNull(number), first_norm: orNull(number), difference_norm: orNull(number) },
}
const own: Partial<Record<string, Record<string, Kind>>> = { start, step, epoch, orders }

/**
 * @param place of the event, for the error
 * @throws NaspError ERR_NASP_RUN_FOLDER that names the place, the field, the expectation and the value
 */
export function checkEvent(event: unknown, place: string): asserts event is SearchEvent {
  const wrong = (what: string, expected: string, value: unknown) =>
    new NaspError("ERR_NASP_RUN_FOLDER", refusal(`${what} ${place}`, expected, value))
  if (!isRecord(event)) throw wrong("the event in", "an object", event)
  const { type } = event
  if (!text.accepts(type)) throw wrong("type in", text.expected, type)
  const fields = { step: count, ...(Object.hasOwn(own, type as string) && own[type as string]) }
  for (const [name, { expected, accepts }] of Object.entries(fields))
    if (!accepts(event[name])) throw wrong(`${name} in`, expected, event[name])
}
