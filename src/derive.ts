/**
 * From the architecture matrices to genotypes. Two ways that need not agree, which is why every epoch says whether
 * they do:
 *   searched  the net that was trained: per row the selected operation, per node the two kept rows (paper, Algorithm 1)
 *   softmax   the released code's ranking: per node the two predecessors with the largest softmax weight other than
 *             none's, stable on ties, each with its largest operation other than none (quark0/darts model_search.py)
 */
import { checkRecord, invalid } from "./expect.js"
import type { Genotype, GenotypeEdge } from "./genotype.js"
import { softmaxRows } from "./softmax.js"
import { cellTypes, eachType, edges, nodes, rowsOfNode, type CellType, type Space } from "./spaces/index.js"

/** Rows by columns, row after row: (14, K). */
export type Matrix = ArrayLike<number>

export interface CellMatrices {
  normal: Matrix
  reduce: Matrix
}

/** The row of a matrix of `columns` columns. */
export function row(matrix: Matrix, columns: number, index: number): number[] {
  return Array.from({ length: columns }, (_, k) => matrix[index * columns + k] ?? NaN)
}

function checkMatrices(space: unknown, matrices: Record<string, unknown>): void {
  checkRecord("space", space)
  for (const type of cellTypes) {
    const operations = space[type]
    const areNames = Array.isArray(operations) && operations.every((name) => typeof name === "string")
    if (!areNames || operations.length === 0)
      throw invalid(`space.${type}`, "a list of operations", operations)
    for (const [name, both] of Object.entries(matrices)) {
      checkRecord(name, both)
      const values = both[type] as ArrayLike<unknown> | null | undefined
      const size = edges * operations.length
      if (values?.length !== size || !Array.from(values).every(Number.isFinite))
        throw invalid(`${name}.${type}`, `${size} finite numbers (${edges}, ${operations.length})`, values)
    }
  }
}

/** The first largest entry's position. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0
  for (let k = 1; k < values.length; k++) if ((values[k] as number) > (values[best] as number)) best = k
  return best
}

/**
 * The genotype of the selected net.
 * @param selected the discrete matrices D; where a node keeps all its rows (edges: all), or fewer than two, the rows
 *   with the largest alpha fill the two places of a genotype
 * @throws NaspError ERR_NASP_ARGUMENT
 */
export function searchedGenotype(space: Space, selected: CellMatrices, alpha: CellMatrices): Genotype {
  checkMatrices(space, { selected, alpha })
  const cell = (type: CellType) => {
    const operations = space[type]
    const width = operations.length
    return eachNode((node, first, count) => {
      const rows = Array.from({ length: count }, (_, input) => {
        const d = row(selected[type], width, first + input)
        const a = row(alpha[type], width, first + input)
        const kept = d.some((v) => v !== 0)
        return { input, kept, strength: Math.max(...a), operation: kept ? argmax(d) : argmax(a) }
      })
      rows.sort((x, y) => Number(y.kept) - Number(x.kept) || y.strength - x.strength || x.input - y.input)
      const two = rows.slice(0, 2).sort((x, y) => x.input - y.input)
      return two.map(({ operation, input }) => [operations[operation] as string, input])
    })
  }
  return whole(eachType(cell))
}

/**
 * The released code's ranking by softmax; edges of a node in the order of their strength, as it prints them.
 * @throws NaspError ERR_NASP_ARGUMENT
 */
export function softmaxGenotype(space: Space, alpha: CellMatrices): Genotype {
  checkMatrices(space, { alpha })
  const weights = (type: CellType) => softmaxRows(Float64Array.from(alpha[type]), space[type].length)
  return rankedGenotype(space, eachType(weights))
}

/**
 * Per node the two predecessors with the largest weight, stable on ties, each with its operation of the largest weight.
 * @param none whether the operation none is left out of both rankings (the default) or is one like the others
 */
export function rankedGenotype(
  space: Space,
  weights: CellMatrices,
  none: "excluded" | "ranked" = "excluded",
): Genotype {
  const cell = (type: CellType) => {
    const operations = space[type]
    const width = operations.length
    const excluded = none === "excluded" ? operations.indexOf("none") : -1
    return eachNode((_, first, count) => {
      const rows = Array.from({ length: count }, (_, input) => {
        const values = row(weights[type], width, first + input)
        if (excluded >= 0) values[excluded] = -1
        const operation = argmax(values)
        return { input, operation, strength: values[operation] as number }
      })
      rows.sort((x, y) => y.strength - x.strength || x.input - y.input)
      return rows.slice(0, 2).map(({ operation, input }) => [operations[operation] as string, input])
    })
  }
  return whole(eachType(cell))
}

/** The discrete matrices of a genotype: 1 at each of its edges' operations (2 where one stands there twice). */
export function matricesOfGenotype(space: Space, genotype: Genotype): Record<CellType, Float64Array> {
  const matrix = (type: CellType) => {
    const operations = space[type]
    const d = new Float64Array(edges * operations.length)
    genotype[type].forEach(([operation, input], i) => {
      const at =
        (rowsOfNode(Math.floor(i / 2)).first + input) * operations.length + operations.indexOf(operation)
      d[at] = (d[at] as number) + 1
    })
    return d
  }
  return eachType(matrix)
}

/** The genotype whose edges are the entries of discrete matrices: the inverse of `matricesOfGenotype`. */
export function genotypeOfMatrices(space: Space, matrices: CellMatrices): Genotype {
  const cell = (type: CellType) => {
    const operations = space[type]
    return eachNode((_, first, count) =>
      Array.from({ length: count }, (_, input) =>
        row(matrices[type], operations.length, first + input).flatMap((times, k) =>
          Array.from({ length: times }, (): GenotypeEdge => [operations[k] as string, input]),
        ),
      ).flat(),
    )
  }
  return whole(eachType(cell))
}

/** Per row the selected operation's column, or -1 where the row is not kept: 14 of the normal cell, then 14 more. */
export function selectionOf(space: Space, selected: CellMatrices): number[] {
  return cellTypes.flatMap((type) => {
    const width = space[type].length
    return Array.from({ length: selected[type].length / width }, (_, e) => {
      const d = row(selected[type], width, e)
      return d.some((v) => v !== 0) ? argmax(d) : -1
    })
  })
}

/** Per row of alpha the largest operation's column, none left out: 14 rows of the normal cell, then 14 more. */
export function largestOperations(space: Space, alpha: CellMatrices): number[] {
  return cellTypes.flatMap((type) => {
    const width = space[type].length
    const none = space[type].indexOf("none")
    return Array.from({ length: alpha[type].length / width }, (_, e) => {
      const values = row(alpha[type], width, e)
      if (none >= 0) values[none] = -Infinity
      return argmax(values)
    })
  })
}

/** Whether two genotypes are the same cell, whatever the order of the edges within a node. */
export function sameCell(a: Genotype, b: Genotype): boolean {
  const key = (genotype: Genotype) =>
    cellTypes.map((type) =>
      Array.from({ length: nodes }, (_, node) =>
        genotype[type]
          .slice(2 * node, 2 * node + 2)
          .map(String)
          .sort(),
      ),
    )
  return JSON.stringify(key(a)) === JSON.stringify(key(b))
}

/** How many of a cell's edges are skip_connect. */
export function skips(edges: readonly GenotypeEdge[]): number {
  return edges.filter(([operation]) => operation === "skip_connect").length
}

function eachNode(edgesOf: (node: number, first: number, count: number) => GenotypeEdge[]): GenotypeEdge[] {
  return Array.from({ length: nodes }, (_, node) => {
    const { first, count } = rowsOfNode(node)
    return edgesOf(node, first, count)
  }).flat()
}

function whole({ normal, reduce }: Record<CellType, GenotypeEdge[]>): Genotype {
  const concat = () => Array.from({ length: nodes }, (_, node) => node + 2)
  return { normal, normal_concat: concat(), reduce, reduce_concat: concat() }
}
