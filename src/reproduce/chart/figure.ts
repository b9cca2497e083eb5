/** A picture: a title, panels in a grid, one legend for all of them, and lines that say how it came about. */
import { drawPanel, type Panel } from "./panel.js"
import { element, text, textWidth, title } from "./svg.js"
import { seriesLook, size, styleSheet } from "./theme.js"

interface LegendEntry {
  look: number
  label: string
}

export interface Figure {
  title: string
  panels: readonly Panel[]
  columns: number
  legend: readonly LegendEntry[]
  /** What was run, on what. Long lines are broken. */
  caption: readonly string[]
  /** Small multiples: many small panels. */
  small?: boolean
}

const margin = 16
const leastWidth = 560
const lineHeight = 16
const titleHeight = 20

/** @returns the SVG document */
export function drawFigure(figure: Figure): string {
  const panel = figure.small
    ? { width: 196, height: 150 }
    : { width: Math.max(430, leastWidth / figure.columns), height: 310 }
  const width = panel.width * figure.columns + 2 * margin
  const rows = Math.ceil(figure.panels.length / figure.columns)
  const titles = broken(figure.title, width - 2 * margin, size.title)
  const head = margin + 34 + (titles.length - 1) * titleHeight
  const { entries, height: legendHeight } = legend(figure.legend, width, head)
  const top = head + legendHeight + (figure.small ? 8 : 0)
  const below = top + rows * panel.height + 18
  const caption = figure.caption.flatMap((line) => broken(line, width - 2 * margin, size.caption))
  const height = below + caption.length * lineHeight + margin - 6
  const parts = [
    element("style", {}, styleSheet()),
    element("rect", { class: "paper", width, height }),
    ...titles.map((line, i) =>
      text(
        { x: margin, y: margin + 12 + i * titleHeight, "font-size": size.title, "font-weight": 600 },
        line,
      ),
    ),
    ...entries,
    ...figure.panels.map((p, i) =>
      drawPanel(p, {
        left: margin + (i % figure.columns) * panel.width,
        top: top + Math.floor(i / figure.columns) * panel.height,
        ...panel,
        small: figure.small ?? false,
      }),
    ),
    ...caption.map((line, i) =>
      text({ x: margin, y: below + i * lineHeight, "font-size": size.caption }, line),
    ),
  ]
  const canvas = { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` }
  return `${element("svg", { ...canvas, role: "img" }, title(figure.title), ...parts)}\n`
}

function legend(
  entries: readonly LegendEntry[],
  width: number,
  top: number,
): { entries: string[]; height: number } {
  let x = margin
  let y = top
  const drawn = entries.map(({ look, label }) => {
    const wide = 34 + textWidth(label, size.label) + 18
    if (x > margin && x + wide > width - margin) {
      x = margin
      y += 20
    }
    const { className, dash } = seriesLook(look)
    const sample = { class: `${className} line`, d: `M${x} ${y}H${x + 26}`, "stroke-dasharray": dash }
    const entry = element("path", sample) + text({ x: x + 32, y: y + 4, "font-size": size.label }, label)
    x += wide
    return entry
  })
  return { entries: drawn, height: entries.length === 0 ? 0 : y - top + 16 }
}

function broken(line: string, width: number, fontSize: number): string[] {
  const lines: string[] = []
  let current = ""
  for (const word of line.split(" ")) {
    const longer = current === "" ? word : `${current} ${word}`
    if (textWidth(longer, fontSize) > width && current !== "") {
      lines.push(current)
      current = word
    } else current = longer
  }
  return [...lines, current]
}
