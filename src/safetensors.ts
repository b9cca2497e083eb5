/**
 * The safetensors format: eight bytes of header length (little endian), a JSON header, the tensors' bytes.
 * Source: github.com/huggingface/safetensors, README "Format".
 *
 * Writing is deterministic: tensors lie in the order given, without holes, the header is padded with spaces to a
 * multiple of eight. Reading accepts only what is whole: every byte of data belongs to exactly one tensor.
 */
import { NaspError } from "./errors.js"
import { checkRecord, checkString, invalid, isRecord, oneOf, show } from "./expect.js"
import { readRegularFile } from "./read-file.js"

interface DataOf {
  F32: Float32Array
  F64: Float64Array
  I32: Int32Array
  I64: BigInt64Array
  U8: Uint8Array
}
export type Dtype = keyof DataOf
export type TensorData = DataOf[Dtype]

/** Its dtype says what its data are. */
export type Tensor = {
  [D in Dtype]: {
    name: string
    /** Outermost first; [] is a scalar. */
    shape: number[]
    dtype: D
    data: DataOf[D]
  }
}[Dtype]

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

const dtypes = Object.keys(kinds) as Dtype[]

/** A tensor whose dtype follows from its data. @throws NaspError ERR_NASP_ARGUMENT if they and the shape disagree */
export function tensor(name: string, shape: readonly number[], data: TensorData): Tensor {
  checkString("a tensor's name", name)
  const dtype = dtypes.find((d) => data instanceof kinds[d].type)
  if (!dtype) throw invalid(name, `a typed array of ${oneOf(dtypes)}`, data)
  const made: unknown = { name, shape, dtype, data }
  checkTensor(made)
  return { ...made, shape: [...shape] }
}

function checkTensor(value: unknown): asserts value is Tensor {
  checkRecord("a tensor", value)
  const { name, shape, dtype, data } = value
  checkString("a tensor's name", name)
  if (!isSizes(shape)) throw invalid(`the shape of ${name}`, "a list of sizes", shape)
  if (!isDtype(dtype)) throw invalid(`the dtype of ${name}`, oneOf(dtypes), dtype)
  const fits = data instanceof kinds[dtype].type && data.length === product(shape)
  if (!fits) throw invalid(name, `${product(shape)} values of ${dtype}`, data)
}

/**
 * @param metadata strings that go into `__metadata__`, in this order
 * @throws NaspError ERR_NASP_ARGUMENT for what is no tensor or no string, and if a name occurs twice
 */
export function encodeSafetensors(
  tensors: Iterable<Tensor>,
  metadata: Record<string, string> = {},
): Uint8Array {
  if (typeof tensors !== "object" || typeof tensors?.[Symbol.iterator] !== "function")
    throw invalid("tensors", "a list of tensors", tensors)
  const list = [...tensors]
  checkRecord("metadata", metadata)
  for (const [key, value] of Object.entries(metadata)) checkString(`metadata.${key}`, value)
  const entries: [string, unknown][] = []
  if (Object.keys(metadata).length > 0) entries.push(["__metadata__", metadata])
  const seen = new Set(["__metadata__"])
  let offset = 0
  for (const item of list) {
    checkTensor(item)
    const { name, shape, dtype, data } = item
    if (seen.has(name))
      throw new NaspError("ERR_NASP_ARGUMENT", `Expected unique tensor names but received ${name} twice`)
    seen.add(name)
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
 * @throws NaspError ERR_NASP_FORMAT that names the source and what is wrong with it; ERR_NASP_ARGUMENT for what are no bytes
 *   and no name
 */
export function decodeSafetensors(bytes: Uint8Array, source = "what was given"): TensorFile {
  if (!(bytes instanceof Uint8Array)) throw invalid("bytes", "a Uint8Array", bytes)
  checkString("source", source)
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
    if (!isDtype(dtype)) throw wrong(`${name} has dtype ${show(dtype)}; ${dtypes.join(", ")} are read`)
    if (!isSizes(shape)) throw wrong(`the shape of ${name} is not a list of sizes`)
    if (!isSizes(offsets) || offsets.length !== 2) throw wrong(`data_offsets of ${name} are not two offsets`)
    const [begin, end] = offsets as [number, number]
    const kind = kinds[dtype]
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
    tensors.set(name, { name, shape, dtype, data } as Tensor)
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

/** @throws NaspError ERR_NASP_IO if the file cannot be read, ERR_NASP_FORMAT if it is malformed, ERR_NASP_ARGUMENT */
export function readSafetensors(file: string): TensorFile {
  checkString("file", file)
  let bytes: Uint8Array
  try {
    bytes = readRegularFile(file)
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

function isDtype(value: unknown): value is Dtype {
  return (dtypes as unknown[]).includes(value)
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((v) => Number.isSafeInteger(v) && (v as number) >= 0)
}
