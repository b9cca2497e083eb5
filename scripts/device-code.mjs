// node scripts/device-code.mjs [library]: the device code in nasp_cuda.so, as `cuobjdump` lists it, without one: machine code by
// architecture, and PTX. Fails where sm_80, sm_90 or PTX is missing in any of its kernels' files. The end of
// `npm run build:cuda`.
//
// Format   ELF section .nv_fatbin: containers (magic, header's bytes, all entries' bytes), one a .cu file; an entry has a
//          kind (1 PTX, 2 machine code), its header's and payload's bytes, and an architecture
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const wanted = ["sm_80", "sm_90", "PTX of sm_90"]
const kinds = new Map([
  [1, "PTX of sm_"],
  [2, "sm_"],
])
const magic = 0xba55ed50

/** Container by container, what each holds. */
function deviceCode(library) {
  const elf = readFileSync(library)
  const { offset, size } = section(elf, ".nv_fatbin")
  const containers = []
  for (let at = offset; at + 16 <= offset + size;) {
    if (elf.readUInt32LE(at) !== magic) {
      at += 8 // padding
      continue
    }
    const found = []
    let entry = at + elf.readUInt16LE(at + 6)
    const end = entry + Number(elf.readBigUInt64LE(at + 8))
    while (entry < end) {
      found.push(`${kinds.get(elf.readUInt16LE(entry)) ?? "?"}${elf.readUInt32LE(entry + 28)}`)
      entry += elf.readUInt32LE(entry + 4) + Number(elf.readBigUInt64LE(entry + 8))
    }
    containers.push(found)
    at = end
  }
  return containers
}

/** Of a little-endian 64-bit ELF file. */
function section(elf, name) {
  const table = Number(elf.readBigUInt64LE(0x28))
  const [bytes, count, names] = [0x3a, 0x3c, 0x3e].map((at) => elf.readUInt16LE(at))
  const header = (i) => {
    const at = table + i * bytes
    const [offset, size] = [0x18, 0x20].map((field) => Number(elf.readBigUInt64LE(at + field)))
    return { name: elf.readUInt32LE(at), offset, size }
  }
  const texts = header(names).offset
  for (let i = 0; i < count; i++) {
    const at = texts + header(i).name
    if (elf.toString("latin1", at, elf.indexOf(0, at)) === name) return header(i)
  }
  throw new Error(`Expected a section ${name} but the library has none`)
}

/** Prints what the library holds; false where something is missing. */
export function showDeviceCode(library) {
  const containers = deviceCode(library)
  let isComplete = containers.length > 0
  for (const kind of wanted) {
    const count = containers.filter((found) => found.includes(kind)).length
    console.log(`${library}: ${kind} in ${count} of ${containers.length} kernel files`)
    if (count < containers.length) isComplete = false
  }
  return isComplete
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const built = join(fileURLToPath(new URL("..", import.meta.url)), "build/Release/nasp_cuda.so")
  process.exit(showDeviceCode(process.argv[2] ?? built) ? 0 : 1)
}
