/**
 * ENAS' controller (melodyguan/enas src/cifar10/micro_controller.py): an LSTM that emits, node by node, two inputs (by
 * attention over the states of those before) and two operations, for the normal cell and then for the reduction cell.
 *
 *   logits    inputs: 1.1 tanh(v . tanh(W1 h_j + W2 h)); operations: (1.1 / 2.5) tanh(W h + b), and in the normal cell a
 *             fixed +0.25 for the two separable convolutions and -0.25 for the others
 *   start     uniform in +-0.1; b is 10 for those two and 0 for the others
 * Operations' weights and embeddings are one set a cell type, since their candidates may differ (there they do not).
 * All parameters lie in one stretch, so that one Adam moves them and a checkpoint holds them.
 */
import { cellTypes, nodes, rowsOfNode, type CellType, type Space } from "../spaces/index.js"
import type { Sample } from "./samples.js"
import { makeTape, parameterAt, type Parameter, type Tape, type Vector } from "./tape.js"

const hidden = 64
const tanhConstant = 1.1
const operationReduce = 2.5
const startRange = 0.1
const favoured = ["sep_conv_3x3", "sep_conv_5x5"]

/** Uniform numbers that one architecture takes. */
export const drawsPerSample = cellTypes.length * nodes * 4

export interface Controlled {
  sample: Sample
  logProbability: number
  entropy: number
  /** Adds `factor` times d(log probability)/d(parameters) to the gradient; once. */
  backward(factor: number): void
}

export interface Controller {
  values: Float64Array
  gradient: Float64Array
  /** An architecture from `drawsPerSample` uniform numbers. */
  sample(draws: Float64Array): Controlled
}

type Weights = Record<"lstm" | "start" | "attend" | "query" | "score", Parameter> &
  Record<CellType, { embedding: Parameter; weight: Parameter; bias: Parameter }>

/** A controller with parameters `values`, or fresh ones from as many uniform draws as `uniform` is asked for. */
export function makeController(space: Space, uniform: (n: number) => Float64Array): Controller {
  const size = layout(space, new Float64Array(0), new Float64Array(0)).size
  const values = uniform(size).map((u) => startRange * (2 * u - 1))
  const gradient = new Float64Array(size)
  const { weights } = layout(space, values, gradient)
  for (const type of cellTypes) {
    space[type].forEach((name, k) => (weights[type].bias.value[k] = favoured.includes(name) ? 10 : 0))
  }
  return { values, gradient, sample: (draws) => sampleWith(space, weights, draws) }
}

// Where each parameter lies.
function layout(space: Space, values: Float64Array, gradient: Float64Array) {
  let size = 0
  const next = (rows: number, columns: number) => {
    const parameter = parameterAt(values, gradient, size, rows, columns)
    size += rows * columns
    return parameter
  }
  const ofType = (type: CellType) => ({
    embedding: next(space[type].length, hidden),
    weight: next(space[type].length, hidden),
    bias: next(1, space[type].length),
  })
  const weights: Weights = {
    lstm: next(4 * hidden, 2 * hidden),
    start: next(1, hidden),
    attend: next(hidden, hidden),
    query: next(hidden, hidden),
    score: next(1, hidden),
    normal: ofType("normal"),
    reduce: ofType("reduce"),
  }
  return { weights, size }
}

interface State {
  cell: Vector
  output: Vector
}

function lstm(tape: Tape, weight: Parameter, input: Vector, { cell, output }: State): State {
  const joined = tape.concatenate(input, output)
  const gates = tape.multiply(weight, joined)
  const gate = (i: number) => tape.slice(gates, i * hidden, hidden)
  const [i, f, o] = [0, 1, 2].map((g) => tape.sigmoid(gate(g))) as [Vector, Vector, Vector]
  const kept = tape.add(tape.times(i, tape.tanh(gate(3))), tape.times(f, cell))
  return { cell: kept, output: tape.times(o, tape.tanh(kept)) }
}

function sampleWith(space: Space, weights: Weights, draws: Float64Array): Controlled {
  const tape = makeTape()
  const seeds: ((factor: number) => void)[] = []
  const sample: Sample = { normal: [], reduce: [] }
  let next = 0
  let logProbability = 0
  let entropy = 0
  // Chooses by the next draw, and keeps what backward starts from.
  const choose = (logits: Vector): number => {
    const top = Math.max(...logits.value)
    const powers = logits.value.map((v) => Math.exp(v - top))
    const sum = powers.reduce((a, b) => a + b, 0)
    const p = powers.map((v) => v / sum)
    const u = draws[next++]!
    let chosen = 0
    for (let below = p[0]!; u >= below && chosen + 1 < p.length;) below += p[++chosen]!
    logProbability += Math.log(p[chosen]!)
    entropy -= p.reduce((all, v) => all + v * Math.log(v), 0)
    seeds.push((factor) => tape.seedLogProbability(logits, p, chosen, factor))
    return chosen
  }

  let state: State = { cell: tape.constant(hidden), output: tape.constant(hidden) }
  const advance = (input: Vector) => (state = lstm(tape, weights.lstm, input, state))
  for (const type of cellTypes) {
    const own = weights[type]
    const start = tape.row(weights.start, 0)
    // States of the cell's inputs and nodes; what an input hands on is nothing.
    const anchors: Vector[] = []
    const attended: Vector[] = []
    const remember = (anchor: Vector) => {
      anchors.push(anchor)
      attended.push(tape.multiply(weights.attend, state.output))
    }
    for (let i = 0; i < 2; i++) {
      advance(start)
      remember(tape.constant(hidden))
    }
    let input = start
    for (let node = 0; node < nodes; node++) {
      const { first } = rowsOfNode(node)
      const inputs: number[] = []
      for (let i = 0; i < 2; i++) {
        advance(input)
        const query = tape.multiply(weights.query, state.output)
        const scores = attended.map((a) => tape.multiply(weights.score, tape.tanh(tape.add(a, query))))
        const chosen = choose(tape.scale(tape.tanh(tape.stack(scores)), tanhConstant))
        inputs.push(chosen)
        input = anchors[chosen]!
      }
      for (const chosenInput of inputs) {
        advance(input)
        const raw = tape.add(tape.multiply(own.weight, state.output), tape.row(own.bias, 0))
        const logits = tape.scale(tape.tanh(raw), tanhConstant / operationReduce)
        const column = choose(type === "normal" ? tape.add(logits, fixedBias(tape, space.normal)) : logits)
        sample[type].push({ row: first + chosenInput, column })
        input = tape.row(own.embedding, column)
      }
      advance(input)
      remember(state.output)
      input = start
    }
  }
  return {
    sample,
    logProbability,
    entropy,
    backward(factor) {
      for (const seed of seeds) seed(factor)
      tape.backward()
    },
  }
}

function fixedBias(tape: Tape, operations: readonly string[]): Vector {
  const bias = tape.constant(operations.length)
  operations.forEach((name, k) => (bias.value[k] = favoured.includes(name) ? 0.25 : -0.25))
  return bias
}
