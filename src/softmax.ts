/** What is a function of one row of a matrix: softmax and its derivative. */

/** Row by row softmax(a / temperature) over the entries that `mask` keeps; 0 elsewhere. */
export function softmaxRows(
  a: Float64Array,
  columns: number,
  temperature = 1,
  mask?: Uint8Array,
): Float64Array {
  const p = new Float64Array(a.length)
  const kept = (i: number) => !mask || mask[i] === 1
  for (let first = 0; first < a.length; first += columns) {
    let top = -Infinity
    let sum = 0
    for (let i = first; i < first + columns; i++) if (kept(i)) top = Math.max(top, a[i]!)
    for (let i = first; i < first + columns; i++) {
      if (kept(i)) sum += p[i] = Math.exp((a[i]! - top) / temperature)
    }
    for (let i = first; i < first + columns; i++) p[i]! /= sum
  }
  return p
}

/** dL/da of p = softmaxRows(a, columns, temperature), from dL/dp. */
export function softmaxRowsBackward(
  p: Float64Array,
  dp: Float64Array,
  columns: number,
  temperature = 1,
): Float64Array {
  const da = new Float64Array(p.length)
  for (let first = 0; first < p.length; first += columns) {
    let mean = 0
    for (let i = first; i < first + columns; i++) mean += p[i]! * dp[i]!
    for (let i = first; i < first + columns; i++) da[i] = (p[i]! * (dp[i]! - mean)) / temperature
  }
  return da
}
