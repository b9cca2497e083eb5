/**
 * Golden files by kind: what a file holds is computed again by the engine and compared. A new kind is one file and
 * one line here. A kind whose gradients cross kinks is judged by its backward error in float32: see nearby.ts.
 */
import type { NativeAddon, Precision } from "../native.js"
import { relativeError, type Comparison } from "./compare.js"
import { recomputeDarts } from "./darts-step.js"
import { GoldenFile, numbers } from "./file.js"
import { recomputeStep } from "./nasp-step.js"
import { recomputeTrace } from "./nasp-trace.js"
import { meets, tryNearby } from "./nearby.js"
import { recomputeOperation } from "./operation.js"
import { recomputePcDarts } from "./pc-darts-step.js"

/** Values by the names that the file gives them. */
export type Recomputed = Map<string, ArrayLike<number>>
type Recompute = (addon: NativeAddon, file: GoldenFile, precision: Precision) => Promise<Recomputed>

interface Kind {
  recompute: Recompute
  /** Tensors that are inputs. */
  given: RegExp
  /** In f32, judged on nearby inputs where it misses the tolerance. */
  nearby: boolean
  /** In f32, compared but not judged: a finite difference across kinks says nothing there. */
  unjudged?: RegExp
}

const kinds: Record<string, Kind> = {
  op: { recompute: recomputeOperation, given: /^(x|dy|w\..*)$/, nearby: false },
  "nasp-step": { recompute: recomputeStep, given: /^(w|alpha|cost|input|target)\./, nearby: true },
  "darts-step": {
    recompute: recomputeDarts,
    given: /^(w|momentum|logits_alpha|input|target)\./,
    nearby: true,
    unjudged: /^second\./,
  },
  "pc-darts-step": {
    recompute: recomputePcDarts,
    given: /^(w|logits_alpha|logits_beta|input|target)\./,
    nearby: true,
  },
  "nasp-trace": { recompute: recomputeTrace, given: /^(w|alpha|cost|input|target)\./, nearby: true },
}

/** Largest error that passes: files hold float32 roundings of float64 results. */
export const tolerances: Record<Precision, number> = { f32: 1e-4, f64: 1e-6 }

export interface Verification {
  kind: string
  /** One a tensor that the file expects, in the file's order. */
  comparisons: Comparison[]
  /** How often the file was computed on nearby inputs; 0 where its own were enough. */
  tries: number
}

/**
 * `ownInputs`: never on nearby inputs.
 *
 * @throws NaspError that names the file: unreadable, malformed, of an unknown kind, or with nothing to compare
 */
export async function verifyFile(
  addon: NativeAddon,
  path: string,
  precision: Precision,
  options: { ownInputs?: boolean } = {},
): Promise<Verification> {
  const file = new GoldenFile(path)
  const kind = Object.hasOwn(kinds, file.kind) ? kinds[file.kind] : undefined
  if (!kind) {
    throw file.wrong(
      `its kind is ${file.kind}, which is not supported yet (${Object.keys(kinds).join(", ")} are)`,
    )
  }
  const compare = async (given: GoldenFile) => {
    const found = await kind.recompute(addon, given, precision)
    const comparisons: Comparison[] = []
    for (const [name, tensor] of given.tensors) {
      if (kind.given.test(name)) continue
      const actual = found.get(name)
      if (!actual) throw file.wrong(`the tensor ${name} is not known to the kind ${file.kind}`)
      const unjudged = precision === "f32" && kind.unjudged?.test(name) === true
      comparisons.push({ name, error: relativeError(numbers(tensor), actual), ...(unjudged && { unjudged }) })
    }
    return comparisons
  }
  const comparisons = await compare(file)
  if (comparisons.length === 0) throw file.wrong("it expects nothing")
  const tolerance = tolerances[precision]
  const missed = comparisons.filter((c) => !meets(c, tolerance))
  const nearby = kind.nearby && precision === "f32" && !options.ownInputs
  const tries = nearby ? await tryNearby(file, missed, tolerance, compare) : 0
  return { kind: file.kind, comparisons, tries }
}
