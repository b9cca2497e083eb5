// node scripts/tile-spills.mjs [ADDON]: how often the CPU's register tiles go to the stack, read from the addon's code: vector
// loads and stores there beside multiply-adds, for AVX-512 and AVX2 in float32. Fails where a tile has more than half as many,
// or where there is no tile: the compiler has then given up holding its sums in registers, which costs half of a kernel's
// speed and shows in no test. Needs objdump (binutils) and a build by g++.
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const tiles = [
  "dense_pixels",
  "dense_weight_gradient_tile",
  "depthwise_row",
  "depthwise_taps",
  "depthwise_weight_gradient_tile",
  "winograd_products",
  "winograd_gradient_products",
]
const limit = 0.5

const addon = process.argv[2] ?? fileURLToPath(new URL("../build/Release/nasp.node", import.meta.url))
const { status, stdout, stderr, error } = spawnSync(
  "objdump",
  ["-d", "-C", "--no-show-raw-insn", "--no-addresses", addon],
  { encoding: "utf8", maxBuffer: 1 << 30 },
)
if (status !== 0) {
  console.error(`Expected objdump to read ${addon} but it said: ${error?.message ?? stderr.trim()}`)
  process.exit(1)
}

const rows = new Map() // name -> { products, stack }
let row = null
for (const line of stdout.split("\n")) {
  const head = /^<void nasp::(avx512|avx2)::(\w+)<nasp::\w+::Lanes<float, \d+>((?:, \w+)*) ?>\(.*>:$/.exec(
    line,
  )
  if (head) {
    const [, isa, tile, rest] = head
    row = tiles.includes(tile) ? { products: 0, stack: 0 } : null
    if (row) rows.set(`${isa} ${tile}<${rest.slice(2)}>`, row)
  } else if (/^<.*>:$/.test(line)) {
    row = null
  } else if (row && /%[yz]mm/.test(line)) {
    if (/\tvfmadd/.test(line)) row.products++
    if (/\(%r[sb]p\)/.test(line)) row.stack++
  }
}

let bad = 0
console.log("multiply-adds   stack  tile")
for (const [name, { products, stack }] of [...rows].sort()) {
  const over = products === 0 || stack > limit * products
  bad += over ? 1 : 0
  console.log(
    `${String(products).padStart(13)} ${String(stack).padStart(7)}  ${name}${over ? "  SPILLS" : ""}`,
  )
}
console.log(`${rows.size} tiles, ${bad} spill`)
process.exit(rows.size > 0 && bad === 0 ? 0 : 1)
