/**
 * One voice for argument errors, and options as tables. A field says its default, what it accepts and what it is
 * about; validation, the command line's flags and the help text all derive from it.
 */
import { NaspError } from "./errors.js"

/** `Expected <what> for <name> but received <value>`, as a NaspError of code ERR_NASP_ARGUMENT. */
export function invalid(name: string, expected: string, value: unknown): NaspError {
  return new NaspError("ERR_NASP_ARGUMENT", refusal(name, expected, value))
}

/** The same words, for errors of other codes. */
export function refusal(name: string, expected: string, value: unknown): string {
  return `Expected ${expected} for ${name} but received ${show(value)}`
}

/** Any value in a message, on one short line: nothing that it is makes this throw. */
export function show(value: unknown): string {
  if (value === "") return "an empty string"
  const text = asText(value)
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}

function asText(value: unknown): string {
  if (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)))
    return `the text "${value}"`
  try {
    if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`
    if (typeof value !== "object" || value === null) return String(value)
    return JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? String(v) : v)) ?? String(value)
  } catch {
    return "an object that cannot be shown" // circular, or its own code throws
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** @throws NaspError ERR_NASP_ARGUMENT */
export function checkRecord(name: string, value: unknown): asserts value is Record<string, unknown> {
  if (!isRecord(value)) throw invalid(name, "an object", value)
}

/** @throws NaspError ERR_NASP_ARGUMENT */
export function checkString(name: string, value: unknown): asserts value is string {
  if (typeof value !== "string") throw invalid(name, "a string", value)
}

export interface Field<T> {
  initial: T
  /** What is accepted, in words: "an integer from 1 to 100". */
  expected: string
  about: string
  /** What stands for the value in the help text; "" for a flag without one. */
  placeholder: string
  accepts(value: unknown): boolean
  /** From the command line's text; what cannot be read stays text, for the check to name it. Default: as it is. */
  parse?(text: string): unknown
}

// Any field, whatever its value: a table holds them side by side.
export type Fields = Record<string, Field<unknown>>
export type FieldValues<F extends Fields> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never }

export function integerField(initial: number, min: number, max: number, about: string): Field<number> {
  return {
    initial,
    expected: `an integer from ${min} to ${max}`,
    about,
    placeholder: "<n>",
    accepts: (value) => typeof value === "number" && Number.isInteger(value) && value >= min && value <= max,
    parse: toNumber,
  }
}

export function numberField(initial: number, min: number, max: number, about: string): Field<number> {
  return {
    initial,
    expected: max === Infinity ? `a finite number of at least ${min}` : `a number from ${min} to ${max}`,
    about,
    placeholder: "<x>",
    accepts: (value) => typeof value === "number" && Number.isFinite(value) && value >= min && value <= max,
    parse: toNumber,
  }
}

export function choiceField<const C extends string>(
  initial: NoInfer<C>,
  choices: readonly C[],
  about: string,
): Field<C> {
  return {
    initial,
    expected: oneOf(choices),
    about,
    placeholder: `<${choices.join("|")}>`,
    accepts: (value) => (choices as readonly unknown[]).includes(value),
  }
}

export function flagField(about: string): Field<boolean> {
  return {
    initial: false,
    expected: "true or false",
    about,
    placeholder: "",
    accepts: (value) => typeof value === "boolean",
  }
}

/** So many numbers; on the command line separated by commas. */
export function numbersField(initial: number[], min: number, max: number, about: string): Field<number[]> {
  const count = initial.length
  return {
    initial,
    expected: `${count} numbers from ${min} to ${max}`,
    about,
    placeholder: `<${Array.from({ length: count }, () => "x").join(",")}>`,
    accepts: (value) =>
      Array.isArray(value) &&
      value.length === count &&
      value.every((v) => typeof v === "number" && Number.isFinite(v) && v >= min && v <= max),
    parse: (text) => text.split(",").map(toNumber),
  }
}

function toNumber(text: string): number | string {
  const value = Number(text)
  return text.trim() === "" || !Number.isFinite(value) ? text : value
}

/** The field, or null for "not given". */
export function optionalField<T>(field: Field<T>): Field<T | null> {
  return { ...field, initial: null, accepts: (value) => value === null || field.accepts(value) }
}

/** "a, b or c" */
export function oneOf(choices: readonly string[]): string {
  if (choices.length < 2) return choices.join("")
  return `${choices.slice(0, -1).join(", ")} or ${choices[choices.length - 1]}`
}

/** @throws NaspError ERR_NASP_ARGUMENT for a name that is none of these */
export function checkNames(what: string, values: object, known: readonly string[]): void {
  const stranger = Object.keys(values).find((name) => !known.includes(name))
  if (stranger !== undefined) throw invalid(what, oneOf(known), stranger)
}

/**
 * The fields' values: what was given where it was given, checked and copied, and the defaults elsewhere.
 * @throws NaspError ERR_NASP_ARGUMENT that names the field, the expectation and the value; for unknown names too
 */
export function resolveFields<F extends Fields>(fields: F, given: object): FieldValues<F> {
  const values: unknown = given
  checkRecord("options", values)
  checkNames("an option", values, Object.keys(fields))
  const resolved: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    const value = values[name] === undefined ? field.initial : values[name]
    if (!field.accepts(value)) throw invalid(name, field.expected, value)
    resolved[name] = Array.isArray(value) ? [...(value as unknown[])] : isRecord(value) ? { ...value } : value
  }
  return resolved as FieldValues<F>
}
