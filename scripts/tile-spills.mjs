// node scripts/tile-spills.mjs [ADDON]: what the CPU's register tiles do beside multiply-adds that they need not, read from the
// addon's code for AVX-512 (zen4's too) and AVX2 in float32: vector loads and stores on the stack, where the compiler has given
// up holding sums in registers, and weights spread by an instruction of their own: from register to register, which takes a
// multiply-add's place where a load takes none, and in crossed tiles any, which takes an addition's. Both cost up to half of a
// kernel's speed and show in no test. Fails where a tile has more than so many a multiply-add, or where there is none of a kind.
// Needs objdump (binutils) and a build by g++.
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
const limits = { stack: 0.2, spread: 0.05 }

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

const rows = new Map() // name -> { products, stack, spread }
const kinds = new Set(["avx2", "avx512", "zen4"].flatMap((isa) => tiles.map((tile) => `${isa} ${tile}`)))
let row = null
for (const line of stdout.split("\n")) {
  const head = /^<void nasp::(avx512|avx2|zen4)::(\w+)<nasp::\w+::Lanes<float, \d+>(.*?) ?>\(/.exec(line)
  if (head) {
    const [, isa, tile, rest] = head
    const spreads = rest.includes("Crossed") ? /\tvbroadcasts[sd]/ : /\tvbroadcasts[sd]\s+%xmm/
    row = tiles.includes(tile) ? { products: 0, stack: 0, spread: 0, spreads } : null
    kinds.delete(`${isa} ${tile}`)
    if (row) rows.set(`${isa} ${tile}<${rest.slice(2).replace(/nasp::\w+::(\w+)<.*>/, "$1")}>`, row)
  } else if (/^<.*>:$/.test(line)) {
    row = null
  } else if (row && /%[yz]mm/.test(line)) {
    if (/\tv(fmadd|dpbf16ps)/.test(line)) row.products++
    if (/\(%r[sb]p\)/.test(line)) row.stack++
    if (row.spreads.test(line)) row.spread++
  }
}

let bad = 0
console.log("multiply-adds   stack  spread  tile")
for (const [name, { products, stack, spread }] of [...rows].sort()) {
  const over = products === 0 || stack > limits.stack * products || spread > limits.spread * products
  bad += over ? 1 : 0
  console.log(
    `${String(products).padStart(13)} ${String(stack).padStart(7)} ${String(spread).padStart(7)}  ${name}${over ? "  SPILLS" : ""}`,
  )
}
console.log(`${rows.size} tiles, ${bad} spill`)
if (kinds.size > 0) console.error(`Expected tiles of every kind but found none of ${[...kinds].join(", ")}`)
process.exit(kinds.size === 0 && bad === 0 ? 0 : 1)
