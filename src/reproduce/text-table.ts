/** Tables for a terminal, and the same rows as CSV (RFC 4180, one header line). */

export type Cell = string | number | null

/** Columns aligned: numbers to the right, text to the left; null is shown as "-". */
export function textTable(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const shown = rows.map((cells) => cells.map((cell) => (cell === null ? "-" : String(cell))))
  const widths = header.map((name, i) =>
    Math.max(name.length, ...shown.map((cells) => cells[i]?.length ?? 0)),
  )
  const isText = header.map((_, i) =>
    rows.some((cells) => typeof cells[i] === "string" && !isNumber(cells[i])),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (isText[i] ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd()
  return [line(header), ...shown.map(line)].join("\n")
}

function isNumber(cell: Cell | undefined): boolean {
  return typeof cell === "string" && /^[-+]?[\d.]/.test(cell)
}

export function csv(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const quoted = (cell: Cell) => {
    const text = cell === null ? "" : String(cell)
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  return [header, ...rows].map((cells) => `${cells.map(quoted).join(",")}\n`).join("")
}

/** A number in `digits` significant digits, null as null. */
export function rounded(value: number | null | undefined, digits = 3): string | null {
  return value === null || value === undefined ? null : String(Number(value.toPrecision(digits)))
}

/** "44.1 ± 0.3" */
export function withSpread(
  value: { mean: number; std: number | null } | null,
  write: (v: number) => string,
): string | null {
  if (value === null) return null
  return value.std === null ? write(value.mean) : `${write(value.mean)} ± ${write(value.std)}`
}
