/** Adam (torch.optim.Adam, coupled weight decay) for a method's own parameters; alpha's is the engine's. */

export interface AdamState {
  step: number
  first: Float64Array
  second: Float64Array
}

export interface AdamSettings {
  lr: number
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
}

export function newAdam(size: number): AdamState {
  return { step: 0, first: new Float64Array(size), second: new Float64Array(size) }
}

/** Moves `values` and `state` along. */
export function adamStep(
  values: Float64Array,
  gradient: ArrayLike<number>,
  state: AdamState,
  { lr, beta1, beta2, eps, weightDecay }: AdamSettings,
): void {
  state.step++
  const correction1 = 1 - beta1 ** state.step
  const correction2 = 1 - beta2 ** state.step
  for (let i = 0; i < values.length; i++) {
    const g = gradient[i]! + weightDecay * values[i]!
    const first = (state.first[i] = beta1 * state.first[i]! + (1 - beta1) * g)
    const second = (state.second[i] = beta2 * state.second[i]! + (1 - beta2) * g * g)
    values[i]! -= (lr * (first / correction1)) / (Math.sqrt(second / correction2) + eps)
  }
}

/** Values and moments as JSON, bit for bit. */
export function adamToJson(values: Float64Array, { step, first, second }: AdamState): AdamJson {
  return { step, values: toBase64(values), first: toBase64(first), second: toBase64(second) }
}

export interface AdamJson {
  step: number
  values: string
  first: string
  second: string
}

export function adamFromJson(json: AdamJson): { values: Float64Array; state: AdamState } {
  const state = { step: json.step, first: fromBase64(json.first), second: fromBase64(json.second) }
  return { values: fromBase64(json.values), state }
}

function toBase64(values: Float64Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64")
}

function fromBase64(text: string): Float64Array {
  return new Float64Array(Uint8Array.from(Buffer.from(text, "base64")).buffer)
}
