/** A genotype as text, for the terminal. */
import { checkGenotype, type Genotype, type GenotypeEdge } from "./genotype.js"

/**
 * Both cells, one under the other: each node with its two edges, then the nodes in the output.
 * @throws NaspError ERR_NASP_FORMAT
 */
export function drawGenotype(genotype: Genotype): string {
  checkGenotype(genotype)
  return [
    ...drawCell("normal cell", genotype.normal, genotype.normal_concat),
    "",
    ...drawCell("reduction cell", genotype.reduce, genotype.reduce_concat),
  ].join("\n")
}

function drawCell(title: string, edges: GenotypeEdge[], concat: number[]): string[] {
  const width = Math.max(...edges.map(([operation]) => operation.length))
  const lines = [title]
  edges.forEach(([operation, input], i) => {
    const wire = `── ${operation} ${"─".repeat(width - operation.length)}──`
    const join = i % 2 === 0 ? "┐" : `┴─▶ node ${i / 2 - 0.5}`
    lines.push(`  ${inputName(input).padEnd(7)} ${wire}${join}`)
  })
  lines.push(`  output: ${concat.map(inputName).join(", ")}, side by side`)
  return lines
}

function inputName(input: number): string {
  return input === 0 ? "c_{k-2}" : input === 1 ? "c_{k-1}" : `node ${input - 2}`
}
