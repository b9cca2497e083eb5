import { describe, expect, it } from "vitest"

import { decodeSafetensors, encodeSafetensors, tensor } from "../src/safetensors.js"

const tensors = [
  tensor("b", [2, 3], Float32Array.of(1, -2, 3.5, 4, 5, 6)),
  tensor("a", [], Float64Array.of(Math.PI)),
  tensor("7", [2], Int32Array.of(-1, 2)),
  tensor("long", [1], BigInt64Array.of(-(2n ** 62n))),
  tensor("bytes", [3], Uint8Array.of(0, 128, 255)),
  tensor("empty", [0, 4], new Float32Array(0)),
]

/** A file with this header and so many bytes of data. */
function file(header: string, data: number): Uint8Array {
  const json = Buffer.from(header)
  const bytes = new Uint8Array(8 + json.length + data)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true)
  bytes.set(json, 8)
  return bytes
}

describe("safetensors", () => {
  it("reads what it wrote, in the order given", () => {
    const metadata = { nasp: '{"x": "é"}', other: "" }
    const bytes = encodeSafetensors(tensors, metadata)
    const header = Number(new DataView(bytes.buffer).getBigUint64(0, true))
    expect(header % 8).toBe(0)
    const read = decodeSafetensors(bytes, "x")
    expect(read.metadata).toEqual(metadata)
    expect(new Set(read.tensors.keys())).toEqual(new Set(tensors.map((t) => t.name)))
    for (const t of tensors) expect(read.tensors.get(t.name)).toEqual(t)
    expect(encodeSafetensors(tensors, metadata)).toEqual(bytes)
  })

  it("reads from the middle of a buffer, aligned or not", () => {
    const bytes = encodeSafetensors(tensors)
    const shifted = new Uint8Array(bytes.length + 3)
    shifted.set(bytes, 3)
    expect(decodeSafetensors(shifted.subarray(3), "x").tensors.get("a")?.data[0]).toBe(Math.PI)
    // Of a Buffer, as files are read, whose own slice() is no copy; "later" lies at an odd place.
    const odd = [tensor("bytes", [1], Uint8Array.of(7)), tensor("later", [2], Float64Array.of(1, 2))]
    const read = decodeSafetensors(Buffer.from(encodeSafetensors(odd)), "x")
    expect(read.tensors.get("later")?.data).toEqual(Float64Array.of(1, 2))
  })

  const entry = (more: string) => `{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]${more}}}`
  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /has 0 bytes/],
    [
      "a header longer than allowed",
      Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127, 123, 125),
      /more than the/,
    ],
    ["a header longer than the file", Uint8Array.of(100, 0, 0, 0, 0, 0, 0, 0, 123, 125), /only 2 follow/],
    ["noise", file("noise", 0), /not JSON/],
    ["a list", file("[]", 0), /not an object/],
    ["metadata that are no strings", file('{"__metadata__":{"a":1}}', 0), /not a string/],
    ["an unknown dtype", file(entry("").replace("F32", "BF16"), 8), /dtype BF16/],
    [
      "a dtype that is no text",
      file(entry("").replace('"F32"', '{"toString":1,"valueOf":1}'), 8),
      /dtype \{"toString":1,"valueOf":1\}/,
    ],
    ["a shape that is none", file(entry("").replace("[2]", "[-2]"), 8), /shape of t/],
    ["offsets that are none", file(entry("").replace("[0,8]", "[0]"), 8), /data_offsets/],
    ["data beyond the end", file(entry(""), 7), /outside the 7 bytes/],
    ["bytes that do not fit the shape", file(entry("").replace("[2]", "[3]"), 8), /not the 12 of its shape/],
    ["bytes that belong to none", file(entry(""), 9), /1 bytes after/],
    ["a hole", file(entry("").replace("[0,8]", "[4,12]"), 12), /starts at 4/],
    [
      "an overlap",
      file(
        '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
        3,
      ),
      /b starts at 1/,
    ],
  ])("refuses %s and names the file", (_, bytes, why) => {
    expect(() => decodeSafetensors(bytes, "the-file")).toThrow(why)
    expect(() => decodeSafetensors(bytes, "the-file")).toThrow(/^the-file is not a whole safetensors file/)
  })

  it("refuses to write what does not fit together", () => {
    expect(() => encodeSafetensors([tensor("a", [2], new Float32Array(3))])).toThrow(/Expected 2 values/)
    expect(() => encodeSafetensors([tensors[0]!, tensors[0]!])).toThrow(/twice/)
  })
})
