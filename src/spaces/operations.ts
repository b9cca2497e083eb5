/**
 * Names of operations. The list and its aliases are the engine's (native/ops/op_list.inc); here spellings found in
 * published genotypes are brought to it: spaces for underscores, `conv` or `pool` left out, letter case.
 */
import { invalid } from "../expect.js"
import { loadNative } from "../native.js"

export interface KnownOperation {
  name: string
  aliases: string[]
}

/**
 * The canonical name: `conv 3x3` -> `conv_3x3`, `sep_3x3` -> `sep_conv_3x3`, `skip` -> `skip_connect`.
 * @throws NaspError ERR_NASP_ARGUMENT if the engine has no such operation
 */
export function canonicalOperation(spelling: string): string {
  return operationAmong(spelling, loadNative().operations())
}

/** The same among these operations. @throws NaspError ERR_NASP_ARGUMENT */
export function operationAmong(spelling: string, known: readonly KnownOperation[]): string {
  const found = findOperation(spelling, known)
  if (!found) throw invalid("an operation", `one of ${known.map((o) => o.name).join(", ")}`, spelling)
  return found.name
}

/** The one of these that the spelling means. */
export function findOperation(
  spelling: unknown,
  known: readonly KnownOperation[],
): KnownOperation | undefined {
  const plain = typeof spelling === "string" ? simplify(spelling) : null
  return known.find(({ name, aliases }) => [name, ...aliases].some((s) => simplify(s) === plain))
}

// sep_conv_3x3, "sep conv 3x3", Sep-Conv3x3 and sep_3x3 are all "sep3x3"; conv_3x3 is "conv3x3".
function simplify(spelling: string): string {
  const plain = spelling.toLowerCase().replace(/[\s_-]+/g, "")
  return plain
    .replace(/^(sep|dil)conv/, "$1")
    .replace(/^(max|avg)pool/, "$1")
    .replace(/^(identity|skip)$/, "skipconnect")
}
