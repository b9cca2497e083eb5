import type { NativeSession } from "../native.js"

/** Of a session's net: what SGD moves. */
export function parameterCount(session: NativeSession): number {
  const parameters = session.tensors().filter((t) => t.group === "parameter")
  return parameters.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0)
}
