import type { TensorInfo } from "../native.js"

/** What SGD moves, of a net's or an operation's tensors. */
export function parameterCount(tensors: readonly Pick<TensorInfo, "group" | "shape">[]): number {
  const parameters = tensors.filter((t) => t.group === "parameter")
  return parameters.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0)
}
