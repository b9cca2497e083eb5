/**
 * The safetensors format: eight bytes of header length (little endian), a JSON header, the tensors' bytes.
 * Source: github.com/huggingface/safetensors, README "Format".
 *
 * Writing is deterministic: tensors lie in the order given, without holes, the header is padded with spaces to a
 * multiple of eight. Reading accepts only what is whole: every byte of data belongs to exactly one tensor.
 */
import { readFileSync } from "node:fs"

import { NaspError } from "./errors.js"

export type Dtype = "F32" | "F64" | "I32" | "I64" | "U8"
export type TensorData = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array

export interface Tensor {
  name: string
  /** Outermost first; [] is a scalar. */
  shape: number[]
  dtype: Dtype
  data: TensorData
}

export interface TensorFile {
  tensors: Map<string, Tensor>
  /** The entry `__metadata__`: strings by name. */
  metadata: Record<string, string>
}

const kinds = {
  F32: { type: Float32Array, bytes: 4 },
  F64: { type: Float64Array, bytes: 8 },
  I32: { type: Int32Array, bytes: 4 },
  I64: { type: BigInt64Array, bytes: 8 },
  U8: { type: Uint8Array, bytes: 1 },
} as const

const maxHeader = 100_000_000

/** A tensor whose dtype follows from its data. */
export function tensor(name: string, shape: readonly number[], data: TensorData): Tensor {
  for (const [dtype, kind] of Object.entries(kinds)) {
    if (data instanceof kind.type) return { name, shape: [...shape], dtype: dtype as Dtype, data }
  }
  throw new NaspError("ERR_NASP_ARGUMENT", `Expected a typed array for ${name} but received ${typeof data}`)
}

/**
 * @param metadata strings that go into `__metadata__`, in this order
 * @throws NaspError ERR_NASP_ARGUMENT if a shape and its data disagree or a name occurs twice
 */
export function encodeSafetensors(
  tensors: Iterable<Tensor>,
  metadata: Record<string, string> = {},
): Uint8Array {
  const list = [...tensors]
  const entries: [string, unknown][] = []
  if (Object.keys(metadata).length > 0) entries.push(["__metadata__", metadata])
  const seen = new Set(["__metadata__"])
  let offset = 0
  for (const { name, shape, dtype, data } of list) {
    if (seen.has(name))
      throw new NaspError("ERR_NASP_ARGUMENT", `Expected unique tensor names but received ${name} twice`)
    seen.add(name)
    if (product(shape) !== data.length || !(data instanceof kinds[dtype].type)) {
      throw new NaspError(
        "ERR_NASP_ARGUMENT",
        `Expected ${product(shape)} values of ${dtype} for ${name} but received ${data.length} in ${data.constructor.name}`,
      )
    }
    entries.push([name, { dtype, shape, data_offsets: [offset, offset + data.byteLength] }])
    offset += data.byteLength
  }
  // Not Object.fromEntries: it would move names that look like integers to the front.
  const json = Buffer.from(
    `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(",")}}`,
  )
  const header = Math.ceil(json.length / 8) * 8
  const bytes = new Uint8Array(8 + header + offset)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header), true)
  bytes.fill(0x20, 8, 8 + header)
  bytes.set(json, 8)
  let at = 8 + header
  for (const { data } of list) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return bytes
}

/**
 * @param source what the bytes are called in error messages
 * @throws NaspError ERR_NASP_FORMAT that names the source and what is wrong with it
 */
export function decodeSafetensors(bytes: Uint8Array, source: string): TensorFile {
  const wrong = (why: string) =>
    new NaspError("ERR_NASP_FORMAT", `${source} is not a whole safetensors file: ${why}`)
  if (bytes.length < 8) throw wrong(`it has ${bytes.length} bytes, fewer than the 8 of the header's length`)
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true)
  if (length > maxHeader) throw wrong(`its header claims ${length} bytes, more than the ${maxHeader} allowed`)
  const start = 8 + Number(length)
  if (start > bytes.length)
    throw wrong(`its header claims ${length} bytes, but only ${bytes.length - 8} follow`)

  const header = parseHeader(bytes.subarray(8, start), wrong)
  const metadata: Record<string, string> = {}
  const tensors = new Map<string, Tensor>()
  const ranges: { name: string; begin: number; end: number }[] = []
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") {
      if (!isRecord(entry)) throw wrong("__metadata__ is not an object")
      for (const [key, value] of Object.entries(entry)) {
        if (typeof value !== "string") throw wrong(`__metadata__.${key} is not a string`)
        metadata[key] = value
      }
      continue
    }
    if (!isRecord(entry)) throw wrong(`the entry of ${name} is not an object`)
    const { dtype, shape, data_offsets: offsets } = entry
    if (typeof dtype !== "string" || !Object.hasOwn(kinds, dtype)) {
      throw wrong(`${name} has dtype ${String(dtype)}; ${Object.keys(kinds).join(", ")} are read`)
    }
    if (!isSizes(shape)) throw wrong(`the shape of ${name} is not a list of sizes`)
    if (!isSizes(offsets) || offsets.length !== 2) throw wrong(`data_offsets of ${name} are not two offsets`)
    const [begin, end] = offsets as [number, number]
    const kind = kinds[dtype as Dtype]
    if (begin > end || end > bytes.length - start) {
      throw wrong(`${name} lies at ${begin}..${end}, outside the ${bytes.length - start} bytes of data`)
    }
    if (product(shape) * kind.bytes !== end - begin) {
      throw wrong(
        `${name} has ${end - begin} bytes, not the ${product(shape) * kind.bytes} of its shape [${shape.join(", ")}]`,
      )
    }
    const copy = Uint8Array.from(bytes.subarray(start + begin, start + end)) // a Buffer's slice would be a view, unaligned
    const data = new kind.type(copy.buffer, 0, product(shape))
    tensors.set(name, { name, shape, dtype: dtype as Dtype, data })
    ranges.push({ name, begin, end })
  }
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end)
  let at = 0
  for (const { name, begin, end } of ranges) {
    if (begin !== at) throw wrong(`${name} starts at ${begin}, but the data before it ends at ${at}`)
    at = end
  }
  if (at !== bytes.length - start) throw wrong(`${bytes.length - start - at} bytes after the last tensor`)
  return { tensors, metadata }
}

/** @throws NaspError ERR_NASP_IO if the file cannot be read, ERR_NASP_FORMAT if it is malformed */
export function readSafetensors(file: string): TensorFile {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(file)
  } catch (error) {
    throw new NaspError("ERR_NASP_IO", `Could not read ${file}: ${(error as Error).message}`)
  }
  return decodeSafetensors(bytes, file)
}

function parseHeader(bytes: Uint8Array, wrong: (why: string) => NaspError): Record<string, unknown> {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch {
    throw wrong("its header is not JSON")
  }
  if (!isRecord(header)) throw wrong("its header is not an object")
  return header
}

function product(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((v) => Number.isSafeInteger(v) && (v as number) >= 0)
}
