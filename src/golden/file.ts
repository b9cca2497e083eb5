/**
 * A golden file: inputs and expected values of a computation, made by another implementation, as safetensors with
 * the metadata entry `golden` (JSON) that says what it is. Values are looked up by name and checked on the way.
 */
import { NaspError } from "../errors.js"
import { show } from "../expect.js"
import { readSafetensors, type Tensor, type TensorFile } from "../safetensors.js"

export class GoldenFile {
  readonly path: string
  readonly kind: string
  readonly tensors: Map<string, Tensor>
  readonly #metadata: TensorFile["metadata"]
  readonly #golden: Record<string, unknown>

  /** @throws NaspError ERR_NASP_IO, ERR_NASP_FORMAT */
  constructor(path: string, { metadata, tensors }: TensorFile = readSafetensors(path)) {
    this.path = path
    this.tensors = tensors
    this.#metadata = metadata
    if (metadata.golden === undefined) throw this.wrong("it has no metadata entry `golden`")
    let golden: unknown
    try {
      golden = JSON.parse(metadata.golden)
    } catch {
      throw this.wrong("its metadata entry `golden` is not JSON")
    }
    if (typeof golden !== "object" || golden === null)
      throw this.wrong("its metadata entry `golden` is not an object")
    this.#golden = golden as Record<string, unknown>
    this.kind = this.text("kind")
  }

  /** What this file says of other tensors. */
  withTensors(tensors: Map<string, Tensor>): GoldenFile {
    return new GoldenFile(this.path, { metadata: this.#metadata, tensors })
  }

  wrong(why: string): NaspError {
    return new NaspError("ERR_NASP_FORMAT", `${this.path} cannot be verified: ${why}`)
  }

  #field<T>(name: string, expected: string, accepts: (v: unknown) => v is T, initial?: T): T {
    const value = Object.hasOwn(this.#golden, name) ? this.#golden[name] : initial
    if (!accepts(value)) throw this.wrong(`expected ${expected} for ${name} but received ${show(value)}`)
    return value
  }

  text(name: string): string {
    return this.#field(name, "a string", (v) => typeof v === "string")
  }

  choice<const C extends string>(name: string, choices: readonly C[], initial: NoInfer<C>): C {
    return this.#field(
      name,
      choices.join(" or "),
      (v): v is C => (choices as readonly unknown[]).includes(v),
      initial,
    )
  }

  flag(name: string): boolean {
    return this.#field(name, "true or false", (v) => typeof v === "boolean")
  }

  integer(name: string, initial?: number): number {
    return this.#field(
      name,
      "a positive integer",
      (v): v is number => Number.isInteger(v) && (v as number) > 0,
      initial,
    )
  }

  number(name: string, initial?: number): number {
    return this.#field(
      name,
      "a number",
      (v): v is number => typeof v === "number" && Number.isFinite(v),
      initial,
    )
  }

  pair(name: string): [number, number] {
    const accepts = (v: unknown): v is [number, number] =>
      Array.isArray(v) && v.length === 2 && v.every((n) => typeof n === "number")
    return this.#field(name, "two numbers", accepts)
  }

  /** A given tensor, of this shape where one is said. */
  tensor(name: string, shape?: readonly number[]): Tensor {
    const tensor = this.tensors.get(name)
    if (!tensor) throw this.wrong(`the tensor ${name} is missing`)
    if (shape && tensor.shape.join() !== shape.join()) {
      throw this.wrong(
        `expected the shape [${shape.join(", ")}] for ${name} but received [${tensor.shape.join(", ")}]`,
      )
    }
    return tensor
  }

  /** A given tensor's values. */
  values(name: string, shape?: readonly number[]): Float64Array {
    return numbers(this.tensor(name, shape))
  }

  /** Names after the prefix. */
  names(prefix: string): string[] {
    return [...this.tensors.keys()].filter((n) => n.startsWith(prefix)).map((n) => n.slice(prefix.length))
  }
}

export function numbers({ data }: Tensor): Float64Array {
  return data instanceof BigInt64Array ? Float64Array.from(data, Number) : Float64Array.from(data)
}
