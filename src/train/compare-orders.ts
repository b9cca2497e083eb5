/**
 * How much the second order would change alpha's gradient, measured where a search stands: both gradients on the
 * batches of the step that comes next, at the net that is searched (NASP: discrete; DARTS: softmax). Nothing of the
 * search changes: the weights are put back by `secondOrder`, running statistics here.
 */
import { firstOrder, secondOrder } from "../methods/darts.js"
import type { MethodSettings, RunningMethod } from "../methods/index.js"
import { readMatrices, type Matrices } from "../methods/matrices.js"
import type { NativeSession } from "../native.js"
import type { Batches } from "./batches.js"
import type { OrdersEvent } from "./events.js"

export type OrderFigures = Pick<OrdersEvent, "cosine" | "first_norm" | "second_norm" | "difference_norm">

export async function compareOrders(
  { session, batches, settings }: { session: NativeSession; batches: Batches; settings: MethodSettings },
  method: RunningMethod,
  step: number,
  lr: number,
): Promise<OrderFigures> {
  const buffers = session
    .tensors()
    .filter((t) => t.group === "buffer")
    .map(({ name }) => ({ name, data: session.read(name) }))
  session.skipDropout(0, 0)
  method.derive()
  // A smooth mixture's own way back to alpha; straight through where the mixture is discrete.
  const through = method.relaxed?.(readMatrices(session)) ?? (() => readMatrices(session, "grad.alphas"))
  const first = await firstOrder(session, batches.queueAlpha(step), through)
  const train = batches.queueTrain(step)
  const second = await secondOrder(session, batches.queueAlpha(step), train, { ...settings, lr }, through)
  // secondOrder leaves its training batch to the step that follows; here none does.
  await session.evaluate(train)
  for (const { name, data } of buffers) session.write(name, data)
  method.derive()
  return figures(flat(first.gradient), flat(second.gradient))
}

function figures(first: number[], second: number[]): OrderFigures {
  const dot = (a: number[], b: number[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0)
  const first_norm = Math.sqrt(dot(first, first))
  const second_norm = Math.sqrt(dot(second, second))
  const difference = first.map((v, i) => v - second[i]!)
  const norms = first_norm * second_norm
  return {
    cosine: norms > 0 ? dot(first, second) / norms : null,
    first_norm,
    second_norm,
    difference_norm: Math.sqrt(dot(difference, difference)),
  }
}

function flat({ normal, reduce }: Matrices): number[] {
  return [...normal, ...reduce]
}
