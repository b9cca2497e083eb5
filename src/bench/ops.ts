/**
 * Each operation alone, at the shapes of the search: propagate ("forward"), probe, backward (data and weights), both.
 * The PyTorch twin is bench/ops.py.
 *
 * A row's bound is the larger of FLOPs / peak and compulsory bytes / bandwidth, peak and bandwidth as measured on this
 * machine at the start; its share is the bound over the time. Compulsory is what no kernel can avoid: x and y (or dy)
 * once a forward or probe; x, y, dy and dx once a backward. FLOPs are those of the direct algorithm, so a kernel that
 * does with fewer (Winograd) may pass a share of 1. Beside the operations stand the identity and BatchNorm as a net runs
 * them, two tensors in any pass: forward one term of a node's sum, backward dx = dy and the sums of dy and dy * y.
 */
import { onDevice, placeField } from "../device.js"
import { integerField, invalid, oneOf, resolveFields, type FieldValues } from "../expect.js"
import { loadNative, type OperationPass, type ProbePrecision } from "../native.js"
import { canonicalOperation } from "../spaces/operations.js"
import { searchFields } from "../train/config.js"
import { describeMachine, type Machine } from "./machine.js"
import { spread } from "./statistics.js"

/** Channels and input size of the search's cells (16 channels, 8 cells, 32 x 32 images). */
const searchShapes = [
  { channels: 16, size: 32 },
  { channels: 32, size: 16 },
  { channels: 64, size: 8 },
] as const
const strides = [1, 2] as const
const passes: readonly OperationPass[] = ["forward", "probe", "backward", "both"]
/** No operation; see above. */
const batchNorm = "batch_norm"

export const opsBenchFields = {
  batch: { ...searchFields.batch, about: "images" },
  channels: integerField(
    0,
    0,
    1024,
    "channels; beside --size any number, alone those of one of the search's shapes, 0 = all",
  ),
  size: integerField(0, 0, 512, "side of the maps, as --channels"),
  threads: searchFields.threads,
  device: placeField,
  probePrecision: searchFields.probePrecision,
  repeats: integerField(15, 1, 10000, "timed runs of a pass"),
  warmup: integerField(3, 0, 1000, "runs before them"),
}

export type OpsBenchOptions = Partial<FieldValues<typeof opsBenchFields>> & {
  /** Only this operation, under any of its names. */
  op?: string
}

export interface OpsBenchRow {
  op: string
  pass: OperationPass
  channels: number
  size: number
  stride: number
  batch: number
  threads: number
  probePrecision: ProbePrecision
  /** Median. */
  ms: number
  /** Of the machine's bound; null on a device, whose bounds are not measured. */
  share: number | null
  gflops: number
  /** Compulsory bytes over time. */
  gbps: number
  min_ms: number
  max_ms: number
}

export interface OpsBench {
  machine: Machine
  /** Measured before the first row; null on a device. */
  bounds: { gflops: number; gbps: number } | null
  rows: AsyncGenerator<OpsBenchRow>
}

/** @throws NaspError for an option out of range or an unknown operation */
export function benchOps({ op, ...given }: OpsBenchOptions = {}): OpsBench {
  const options = resolveFields(opsBenchFields, given)
  const { channels, size } = options
  const threads = options.threads ?? 0
  const matches =
    channels > 0 && size > 0
      ? [{ channels, size }]
      : searchShapes.filter(
          (shape) => [0, shape.channels].includes(channels) && [0, shape.size].includes(size),
        )
  if (matches.length === 0) {
    const shapes = searchShapes.map(({ channels, size }) => `${channels} and ${size}`)
    throw invalid("channels and size", `both, or one of ${oneOf(shapes)}`, `${channels} and ${size}`)
  }
  if (op === "none") throw invalid("op", "an operation that computes something", op)
  const onCpu = options.device === "cpu"
  const native = onDevice(loadNative(), options.device)
  const names = native.operations().map((o) => o.name)
  const operations =
    op === undefined
      ? [...names, ...(onCpu ? [batchNorm] : [])]
      : [op === batchNorm && onCpu ? op : canonicalOperation(op)]
  const machine = describeMachine(native, threads, options.device)
  const bounds = onCpu ? native.machineBounds("", threads) : null

  async function* rows(): AsyncGenerator<OpsBenchRow> {
    for (const name of operations) {
      for (const { channels, size } of matches) {
        for (const stride of strides) {
          for (const pass of passesOf(name, stride)) {
            const request = {
              op: name,
              channels,
              height: size,
              width: size,
              batch: options.batch,
              stride,
              affine: false,
              searchPools: true,
              probePrecision: options.probePrecision,
              precision: "f32",
              threads,
            } as const
            const times = await native.timeOperation(request, pass, options.warmup + options.repeats)
            const { median, min, max } = spread(times.slice(options.warmup))
            const { flops, bytes } = work(isBetweenUnits(name, stride) ? "forward" : pass, {
              batch: options.batch,
              multiplyAdds:
                name === batchNorm ? 0 : native.operationCost(name, channels, size, stride).multiplyAdds,
              inputs: channels * size ** 2,
              outputs: channels * Math.ceil(size / stride) ** 2,
            })
            yield {
              op: name,
              pass,
              channels,
              size,
              stride,
              batch: options.batch,
              threads: machine.threads,
              probePrecision: options.probePrecision,
              ms: median * 1e3,
              share: bounds && Math.max(flops / bounds.gflops, bytes / bounds.gbps) / 1e9 / median,
              gflops: flops / median / 1e9,
              gbps: bytes / median / 1e9,
              min_ms: min * 1e3,
              max_ms: max * 1e3,
            }
          }
        }
      }
    }
  }
  return { machine, bounds, rows: rows() }
}

function passesOf(name: string, stride: number): readonly OperationPass[] {
  if (name === "none" || (name === batchNorm && stride === 2)) return []
  if (name === batchNorm) return ["forward", "backward"]
  return isBetweenUnits(name, stride) ? ["forward", "probe", "backward"] : passes
}

// What has no units of its own moves two tensors in any pass.
function isBetweenUnits(name: string, stride: number): boolean {
  return name === batchNorm || (name === "skip_connect" && stride === 1)
}

/** FLOPs and compulsory bytes of a pass, from one image's multiply-adds, inputs and outputs. */
export function work(
  pass: OperationPass,
  { batch, multiplyAdds, inputs, outputs }: Record<"batch" | "multiplyAdds" | "inputs" | "outputs", number>,
): { flops: number; bytes: number } {
  const times = { forward: 1, probe: 1, backward: 2, both: 3 }[pass]
  return { flops: 2 * multiplyAdds * batch * times, bytes: 4 * (inputs + outputs) * batch * times }
}
