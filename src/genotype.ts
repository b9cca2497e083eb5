/**
 * A genotype: what a search finds. JSON as in genotype.json, and the Python text that quark0/darts and NASP-codes
 * print and read (`Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), ...)`). Operations go by the names of
 * docs/spaces.md: quark0/darts' where it has the operation; NASP-codes spells some otherwise ("conv 3x3", "sep_3x3"), which
 * is read, not written.
 *
 * The edges of one cell type lie node by node, two a node; input 0 is the cell before last (c_{k-2}), 1 the last
 * cell (c_{k-1}), 2 the first node. The concat lists name the nodes in the cell's output, counted the same way.
 */
import { NaspError } from "./errors.js"
import { checkString, isRecord, oneOf } from "./expect.js"
import { loadNative } from "./native.js"
import { cellTypes, type CellType } from "./spaces/index.js"
import { findOperation } from "./spaces/operations.js"

export type GenotypeEdge = [operation: string, input: number]

export interface Genotype {
  normal: GenotypeEdge[]
  normal_concat: number[]
  reduce: GenotypeEdge[]
  reduce_concat: number[]
}

const parts = ["normal", "normal_concat", "reduce", "reduce_concat"] as const

/** One line a cell type, ended by a newline; equal genotypes give equal bytes. @throws NaspError ERR_NASP_FORMAT */
export function genotypeToJson(genotype: Genotype): string {
  checkGenotype(genotype)
  return `{\n${parts.map((part) => `  "${part}": ${JSON.stringify(genotype[part])}`).join(",\n")}\n}\n`
}

/** Operation names become canonical. @throws NaspError ERR_NASP_FORMAT; ERR_NASP_ARGUMENT for what is no text */
export function genotypeFromJson(text: string): Genotype {
  checkString("text", text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw wrong((error as Error).message)
  }
  return canonical(value)
}

/**
 * DARTS text on one line. Consecutive concat nodes print as `range(a, b)`, others as a list.
 * @throws NaspError ERR_NASP_FORMAT
 */
export function genotypeToText(genotype: Genotype): string {
  checkGenotype(genotype)
  const edges = (list: GenotypeEdge[]) => `[${list.map(([op, input]) => `('${op}', ${input})`).join(", ")}]`
  return (
    `Genotype(normal=${edges(genotype.normal)}, normal_concat=${concatText(genotype.normal_concat)}, ` +
    `reduce=${edges(genotype.reduce)}, reduce_concat=${concatText(genotype.reduce_concat)})`
  )
}

function concatText(nodes: number[]): string {
  const first = nodes[0]
  if (first !== undefined && nodes.every((node, i) => node === first + i))
    return `range(${first}, ${first + nodes.length})`
  return `[${nodes.join(", ")}]`
}

/**
 * Reads DARTS text: any spacing, line breaks, trailing commas, either quote, tuples or lists, range(a, b) or a list,
 * an assignment in front (`NASP = Genotype(...)`). Operation names become canonical.
 * @throws NaspError ERR_NASP_FORMAT; ERR_NASP_ARGUMENT for what is no text
 */
export function genotypeFromText(text: string): Genotype {
  checkString("text", text)
  const body = /Genotype\s*\(([\s\S]*)\)/.exec(text)?.[1]
  if (body === undefined) throw wrong("there is no Genotype(...) in the text")
  const value: Record<string, unknown> = {}
  for (const part of parts) {
    const found = new RegExp(`(?:^|[\\s,])${part}\\s*=\\s*`).exec(body)
    if (!found) throw wrong(`${part} is missing`)
    value[part] = parseValue(body.slice(found.index + found[0].length), part)
  }
  return canonical(value)
}

function parseValue(text: string, part: string): unknown {
  const range = /^(?:list\s*\(\s*)?range\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)/.exec(text)
  if (range) {
    const [begin, end] = range[2] === undefined ? [0, Number(range[1])] : [Number(range[1]), Number(range[2])]
    return Array.from({ length: Math.max(0, Math.min(end - begin, 1000)) }, (_, i) => begin + i)
  }
  const list = text.slice(0, endOfList(text))
  try {
    return JSON.parse(
      list
        .replace(/\(/g, "[")
        .replace(/\)/g, "]")
        .replace(/'/g, '"')
        .replace(/,\s*\]/g, "]"),
    )
  } catch {
    throw wrong(`the list of ${part} cannot be read`)
  }
}

function endOfList(text: string): number {
  let depth = 0
  let quote = ""
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i)
    if (quote !== "") quote = c === quote ? "" : quote
    else if (c === "'" || c === '"') quote = c
    else if (c === "[" || c === "(") depth++
    else if ((c === "]" || c === ")") && --depth <= 0) return i + 1
  }
  return 0
}

function canonical(value: unknown): Genotype {
  checkGenotype(value)
  const { normal_concat, reduce_concat } = value
  const known = loadNative().operations()
  const edges = (cell: CellType) =>
    value[cell].map(([spelling, input], i): GenotypeEdge => {
      const found = findOperation(spelling, known)
      if (found) return [found.name, input]
      const names = oneOf(known.map(({ name }) => name))
      throw wrong(`${cell}[${i}] has the operation ${spelling}, which is not ${names}`)
    })
  return { normal: edges("normal"), normal_concat, reduce: edges("reduce"), reduce_concat }
}

/** The names of operations may be any. @throws NaspError ERR_NASP_FORMAT */
export function checkGenotype(value: unknown): asserts value is Genotype {
  if (!isRecord(value)) throw wrong("it is not an object")
  for (const cell of cellTypes) {
    const edges = value[cell]
    const concat = value[`${cell}_concat`]
    if (!Array.isArray(edges) || edges.length === 0 || edges.length % 2 !== 0) {
      throw wrong(`${cell} is not a list of two edges a node`)
    }
    edges.forEach((edge: unknown, i) => {
      const [operation, input] = Array.isArray(edge) ? (edge as unknown[]) : []
      const node = Math.floor(i / 2)
      if (typeof operation !== "string" || !Number.isInteger(input))
        throw wrong(`${cell}[${i}] is not [operation, input]`)
      if ((input as number) < 0 || (input as number) >= node + 2) {
        throw wrong(
          `${cell}[${i}] takes input ${String(input)}, but node ${node} has the inputs 0 to ${node + 1}`,
        )
      }
    })
    const last = edges.length / 2 + 1
    const isNode = (node: unknown) =>
      Number.isInteger(node) && (node as number) >= 0 && (node as number) <= last
    if (!Array.isArray(concat) || concat.length === 0 || !concat.every(isNode)) {
      throw wrong(`${cell}_concat is not a list of nodes from 0 to ${last}`)
    }
  }
}

function wrong(why: string): NaspError {
  return new NaspError("ERR_NASP_FORMAT", `Expected a genotype but ${why}`)
}
