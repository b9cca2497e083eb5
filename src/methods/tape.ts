/**
 * Reverse-mode differentiation of a small recurrent net: each operation appends its derivative to the tape; `backward`
 * goes through them from the last to the first. Vectors in double; parameters lie in one stretch with their gradient.
 */
export interface Vector {
  value: Float64Array
  gradient: Float64Array
}

export interface Parameter extends Vector {
  rows: number
  columns: number
}

/** A row-major matrix (rows, columns) at `offset` of the parameters and their gradient. */
export function parameterAt(
  values: Float64Array,
  gradient: Float64Array,
  offset: number,
  rows: number,
  columns: number,
): Parameter {
  const part = (all: Float64Array) => all.subarray(offset, offset + rows * columns)
  return { value: part(values), gradient: part(gradient), rows, columns }
}

function product(y: Float64Array, matrix: Float64Array, x: Float64Array): void {
  const columns = x.length
  for (let r = 0, first = 0; r < y.length; r++, first += columns) {
    let sum = 0
    for (let c = 0; c < columns; c++) sum += matrix[first + c]! * x[c]!
    y[r] = sum
  }
}

function productBackward(
  { value, gradient }: Vector,
  { value: x, gradient: dx }: Vector,
  dy: Float64Array,
): void {
  const columns = x.length
  for (let r = 0, first = 0; r < dy.length; r++, first += columns) {
    const g = dy[r]!
    for (let c = 0; c < columns; c++) {
      gradient[first + c] = gradient[first + c]! + g * x[c]!
      dx[c] = dx[c]! + g * value[first + c]!
    }
  }
}

export function makeTape() {
  const derivatives: (() => void)[] = []
  const vector = (size: number): Vector => ({
    value: new Float64Array(size),
    gradient: new Float64Array(size),
  })

  /** y_i = f(x_i), with dy/dx as a function of y. */
  const elementwise = (x: Vector, f: (v: number) => number, slope: (y: number) => number): Vector => {
    const y = vector(x.value.length)
    x.value.forEach((v, i) => (y.value[i] = f(v)))
    derivatives.push(() => {
      y.value.forEach((v, i) => (x.gradient[i]! += y.gradient[i]! * slope(v)))
    })
    return y
  }

  return {
    constant: (size: number): Vector => vector(size),

    /** W x */
    multiply(w: Parameter, x: Vector): Vector {
      const y = vector(w.rows)
      product(y.value, w.value, x.value)
      derivatives.push(() => productBackward(w, x, y.gradient))
      return y
    },

    /** Row r of a parameter, as a view: its gradient needs no derivative of its own. */
    row: (w: Parameter, r: number): Vector => ({
      value: w.value.subarray(r * w.columns, (r + 1) * w.columns),
      gradient: w.gradient.subarray(r * w.columns, (r + 1) * w.columns),
    }),

    slice: (x: Vector, first: number, count: number): Vector => ({
      value: x.value.subarray(first, first + count),
      gradient: x.gradient.subarray(first, first + count),
    }),

    concatenate(a: Vector, b: Vector): Vector {
      const first = a.value.length
      const y = vector(first + b.value.length)
      y.value.set(a.value)
      y.value.set(b.value, first)
      derivatives.push(() => {
        a.gradient.forEach((_, i) => (a.gradient[i]! += y.gradient[i]!))
        b.gradient.forEach((_, i) => (b.gradient[i]! += y.gradient[first + i]!))
      })
      return y
    },

    add(a: Vector, b: Vector): Vector {
      const y = vector(a.value.length)
      y.value.forEach((_, i) => (y.value[i] = a.value[i]! + b.value[i]!))
      derivatives.push(() => {
        y.gradient.forEach((g, i) => {
          a.gradient[i]! += g
          b.gradient[i]! += g
        })
      })
      return y
    },

    times(a: Vector, b: Vector): Vector {
      const y = vector(a.value.length)
      y.value.forEach((_, i) => (y.value[i] = a.value[i]! * b.value[i]!))
      derivatives.push(() => {
        y.gradient.forEach((g, i) => {
          a.gradient[i]! += g * b.value[i]!
          b.gradient[i]! += g * a.value[i]!
        })
      })
      return y
    },

    tanh: (x: Vector) => elementwise(x, Math.tanh, (y) => 1 - y * y),

    sigmoid: (x: Vector) =>
      elementwise(
        x,
        (v) => 1 / (1 + Math.exp(-v)),
        (y) => y * (1 - y),
      ),

    scale: (x: Vector, factor: number) =>
      elementwise(
        x,
        (v) => factor * v,
        () => factor,
      ),

    /** One scalar each, side by side. */
    stack(scalars: Vector[]): Vector {
      const y = vector(scalars.length)
      scalars.forEach((s, i) => (y.value[i] = s.value[0]!))
      derivatives.push(() => scalars.forEach((s, i) => (s.gradient[0]! += y.gradient[i]!)))
      return y
    },

    /** Seeds dlogits with `factor` times the derivative of log softmax(logits)[chosen]. */
    seedLogProbability(logits: Vector, probabilities: Float64Array, chosen: number, factor: number): void {
      probabilities.forEach((p, i) => (logits.gradient[i]! += factor * ((i === chosen ? 1 : 0) - p)))
    },

    backward(): void {
      while (derivatives.length > 0) derivatives.pop()!()
    },
  }
}

export type Tape = ReturnType<typeof makeTape>
