/**
 * An engine that learns nothing but behaves: the same calls, state that depends on every batch, settings that make it
 * diverge or hang. For tests of the loop, of checkpoints and of aborting, where the real engine's numbers do not matter.
 */
import { NaspError } from "../../src/errors.js"
import type {
  AugmentOptions,
  NativeAddon,
  NativeSession,
  NativeSessionOptions,
  StepResult,
  TensorInfo,
} from "../../src/native.js"

const atFirst = () => ({
  isa: "fake",
  /** The weight step (from 1) whose loss is NaN. */
  divergeAt: 0,
  /** The architecture step (from 1) after which alpha is NaN. */
  alphaDivergesAt: 0,
  /** Steps wait until they are cancelled. */
  hang: false,
  sessions: 0,
  disposed: 0,
  /** Of the data set that was registered last. */
  labels: new Uint8Array(0),
  /** What was queued, batch by batch. */
  queued: [] as { indices: number[]; augment: AugmentOptions }[],
  /** Learning rates of the weight steps. */
  rates: [] as number[],
  /** Called before each weight step with the number of those before it. */
  onStep: (_n: number): void => {},
  /** Evaluated batches, and what is called after each, when nothing runs that could be cancelled. */
  evaluations: 0,
  onEvaluation: (): void => {},
})

export const fake = atFirst()

export function resetFake(): void {
  Object.assign(fake, atFirst())
}

function permutation(seed: number, substream: number, n: number): Uint32Array {
  let state = (seed * 7919 + substream * 104729 + 1) >>> 0
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 4294967296
  const order = Uint32Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[order[i], order[j]] = [order[j] as number, order[i] as number]
  }
  return order
}

function session(options: NativeSessionOptions): NativeSession {
  fake.sessions++
  const infos: TensorInfo[] = [
    { name: "w", group: "parameter", shape: [2, 2] },
    { name: "b", group: "buffer", shape: [2] },
    { name: "alphas_normal", group: "alpha", shape: [14, options.normal.length] },
    { name: "alphas_reduce", group: "alpha", shape: [14, options.reduce.length] },
    { name: "momentum.w", group: "momentum", shape: [2, 2] },
    { name: "adam.step", group: "adam", shape: [1] },
    { name: "grad.w", group: "gradient", shape: [2, 2] },
    { name: "grad.alphas_normal", group: "gradient", shape: [14, options.normal.length] },
    { name: "grad.alphas_reduce", group: "gradient", shape: [14, options.reduce.length] },
    { name: "selected.alphas_normal", group: "selection", shape: [14, options.normal.length] },
    { name: "selected.alphas_reduce", group: "selection", shape: [14, options.reduce.length] },
  ]
  const values = new Map(infos.map((t) => [t.name, new Float32Array(t.shape.reduce((n, d) => n * d, 1))]))
  const tickets = new Map<number, { sum: number; count: number }>()
  let nextTicket = 1
  let isDisposed = false
  let cancelRunning: (() => void) | null = null
  const get = (name: string) => {
    if (isDisposed) throw new NaspError("ERR_NASP_DISPOSED", "the session is disposed")
    const found = values.get(name)
    if (!found) throw new NaspError("ERR_NASP_UNKNOWN_TENSOR", name)
    return found
  }
  const take = (ticket: number, keep = false) => {
    const batch = tickets.get(ticket)
    if (batch === undefined) throw new NaspError("ERR_NASP_ARGUMENT", `no ticket ${ticket}`)
    if (!keep) tickets.delete(ticket)
    return batch
  }
  const result = (loss: number, count: number): StepResult => ({
    loss,
    correct: Math.abs(Math.round(loss * 1000)) % (count + 1),
    count,
    forwardSeconds: 0,
    backwardSeconds: 0,
    updateSeconds: 0,
    waitSeconds: 0,
    prepareSeconds: 0.5,
    gradientNorm: 1,
    logits: new Float64Array(0),
  })
  const pause = () =>
    new Promise<void>((resolve, reject) => {
      cancelRunning = () => reject(new NaspError("ERR_NASP_ABORTED", "the step was aborted"))
      if (!fake.hang) setImmediate(resolve)
    }).finally(() => (cancelRunning = null))

  return {
    options: { ...options, isa: fake.isa, threads: options.threads || 2 },
    lanes: 16,
    tensors: () => infos,
    read: (name) => get(name).slice(),
    write: (name, data) => get(name).set(data as Float32Array),
    queue(_dataset, indices, augment) {
      if (tickets.size >= 8) throw new NaspError("ERR_NASP_BUSY", "too many batches")
      const sum = indices.reduce((s, v, i) => s + v * (i + 1), 0) + (augment.counter % 1009)
      tickets.set(nextTicket, { sum, count: indices.length })
      fake.queued.push({ indices: [...indices], augment })
      return nextTicket++
    },
    load: () => 0,
    discretise(how) {
      for (const type of ["normal", "reduce"] as const) {
        const width = options[type].length
        const alpha = get(`alphas_${type}`)
        const selected = get(`selected.alphas_${type}`).fill(0)
        for (let node = 0, first = 0; node < 4; first += node + 2, node++) {
          const rows = Array.from({ length: node + 2 }, (_, i) => {
            const row = [...alpha.subarray((first + i) * width, (first + i + 1) * width)]
            return { at: first + i, max: Math.max(...row), op: row.indexOf(Math.max(...row)) }
          })
          const kept =
            how.edges === "all" ? rows : rows.sort((a, b) => b.max - a.max || a.at - b.at).slice(0, 2)
          for (const { at, op, max } of kept) selected[at * width + op] = how.value === "one" ? 1 : max
        }
      }
    },
    setMixture: (type, weight) => get(`selected.alphas_${type}`).set(weight),
    setBypass: () => {},
    skipDropout: () => {},
    rebuild: () => {},
    combine: () => {},
    norm: () => 1,
    async architectureGradient(ticket, how = {}) {
      const { sum, count } = take(ticket, how.keepBatch)
      await pause()
      get("grad.w")[0] = sum
      for (const type of ["normal", "reduce"] as const)
        get(`grad.alphas_${type}`).forEach((_, i, gradient) => (gradient[i] = Math.sin(sum * (i + 1))))
      get("b")[0] = (get("b")[0] as number) * 0.9 + (sum % 13)
      return result(2 + (sum % 7) / 10, count)
    },
    updateAlpha(how) {
      const step = get("adam.step")
      step[0] = (step[0] as number) + 1
      const drift = step[0] === fake.alphaDivergesAt ? NaN : (get("grad.w")[0] as number)
      for (const type of ["normal", "reduce"] as const) {
        get(`alphas_${type}`).forEach((v, i, alpha) => {
          alpha[i] = Math.min(1, Math.max(0, v + how.lr * Math.sin(drift * (i + 1))))
        })
      }
      if (how.discretise) this.discretise(how.discretise)
    },
    async weightStep(ticket, how) {
      const { sum, count } = take(ticket, how.keepBatch)
      fake.rates.push(how.lr)
      const n = get("adam.step")[0] as number
      fake.onStep(n - 1)
      await pause()
      const w = get("w")
      get("momentum.w").forEach((m, i, momentum) => {
        momentum[i] = m * how.momentum + Math.cos(sum + i)
        w[i] = (w[i] as number) - how.lr * (momentum[i] as number)
      })
      return result(n !== 0 && n === fake.divergeAt ? NaN : 2 + Math.sin(w[0] as number), count)
    },
    async evaluate(ticket) {
      const { sum, count } = take(ticket)
      await pause()
      fake.evaluations++
      fake.onEvaluation()
      // of the net too: methods rank by it
      const net = ["normal", "reduce"].map((type) => get(`selected.alphas_${type}`))
      const mixture = net.reduce((total, d) => d.reduce((t, v, i) => t + v * i, total), 0)
      return result(2 + Math.sin((get("w")[1] as number) + sum + mixture), count)
    },
    cancel: () => cancelRunning?.(),
    memory: () => ({ peakActivations: 1000, allocated: 1000 }),
    deviceCounts: () => null,
    dispose() {
      if (!isDisposed) fake.disposed++
      isDisposed = true
    },
  }
}

/** What the tests use of the addon. */
export const fakeAddon = {
  info: () => ({
    version: "fake",
    compiler: "",
    built: [],
    available: [],
    chosen: fake.isa,
    bf16Probes: false,
    threads: 2,
  }),
  cudaStatus: () => ({ device: null, absence: "there is none here", libraries: null }),
  Dataset: class {
    readonly count: number
    constructor(options: { labels: Uint8Array }) {
      this.count = options.labels.length
      fake.labels = options.labels.slice()
    }
  } as unknown as NativeAddon["Dataset"],
  Session: function (options: NativeSessionOptions) {
    return session(options)
  } as unknown as NativeAddon["Session"],
  operations: () =>
    "none skip_connect avg_pool_3x3 max_pool_3x3 max_pool_5x5 max_pool_7x7 conv_1x1 conv_3x3 conv_3x1_1x3 conv_7x1_1x7 sep_conv_3x3 sep_conv_5x5 sep_conv_7x7 dil_conv_3x3 dil_conv_5x5"
      .split(" ")
      .map((name) => ({ name, aliases: [] })),
  operationCost: () => ({ parameters: 1, multiplyAdds: 2 }),
  permutation,
  normals: (seed: number, substream: number, n: number): Float64Array =>
    Float64Array.from({ length: n }, (_, i) => Math.sin(seed + 31 * substream + i)),
  uniforms: (seed: number, substream: number, counter: number, n: number): Float64Array =>
    Float64Array.from({ length: n }, (_, i) => {
      const x =
        Math.sin(12.9898 * (seed + 1) + 78.233 * substream + 37.719 * (counter % 99991) + 4.581 * i) *
        43758.5453
      return x - Math.floor(x)
    }),
} satisfies Partial<NativeAddon>
