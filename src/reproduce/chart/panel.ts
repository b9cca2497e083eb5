/** One pair of axes with its lines, bands and marks. */
import { extent } from "d3-array"
import { scaleLinear, type ScaleLinear } from "d3-scale"
import { area, line } from "d3-shape"

import { element, text } from "./svg.js"
import { seriesLook, size } from "./theme.js"

export interface Point {
  x: number
  y: number
}

export interface Series {
  /** Number of its colour and dash: the same thing looks the same in every panel and picture. */
  look: number
  points: readonly Point[]
  /** Mean - std to mean + std. */
  band?: readonly { x: number; low: number; high: number }[]
  /** Dots on top, such as where an operation is selected. */
  marks?: readonly Point[]
}

export interface Panel {
  title: string
  /** With the unit. */
  x: string
  y: string
  series: readonly Series[]
  /** Shared by panels that are to be compared. Default: what is drawn. */
  yDomain?: readonly [number, number]
  /** What y never leaves: the axis ends there at the latest. */
  yBounds?: readonly [number, number]
  /** How a value of y is written; step: between ticks. Default: as a number. */
  yTick?: (value: number, step: number) => string
}

interface Frame {
  left: number
  top: number
  width: number
  height: number
  /** Small multiples: fewer ticks, thinner lines. */
  small: boolean
}

/** Beside the labels of y: its name, and the gaps around it. A digit of a label is about so wide. */
const nameRoom = 30
const digitWidth = 6.4

/** So few that each is shown as a dot. */
const fewPoints = 12

type Scale = ScaleLinear<number, number>

/** Fractions as per cent, with the digits that tell ticks apart. */
export function percentTick(value: number, step: number): string {
  const digits = Math.max(1, -Math.floor(Math.log10(100 * step) + 1e-9))
  return String(Number((100 * value).toFixed(digits)))
}

export function drawPanel(panel: Panel, frame: Frame): string {
  const margin = frame.small
    ? { left: 40, right: 8, top: 18, bottom: 30 }
    : { left: 62, right: 14, top: 26, bottom: 46 }
  const right = frame.left + frame.width - margin.right
  const bottom = frame.top + frame.height - margin.bottom
  const y = scaleLinear(domainOf(panel, "y"), [bottom, frame.top + margin.top])
  if (!panel.yDomain) y.nice(frame.small ? 3 : 5)
  const [least, most] = panel.yBounds ?? [-Infinity, Infinity]
  y.domain(y.domain().map((end) => Math.min(most, Math.max(least, end))))
  const longest = Math.max(0, ...yTicks(panel, y, frame.small).map(({ label }) => label.length))
  if (!frame.small) margin.left = Math.max(margin.left, nameRoom + longest * digitWidth)
  const x = scaleLinear(domainOf(panel, "x"), [frame.left + margin.left, right])
  return element(
    "g",
    {},
    text(
      {
        x: frame.left + margin.left,
        y: frame.top + margin.top - 8,
        "font-size": size.label,
        "font-weight": 600,
      },
      panel.title,
    ),
    axes(panel, x, y, frame),
    ...panel.series.flatMap((series) => drawSeries(series, x, y, frame.small)),
  )
}

function domainOf(panel: Panel, axis: "x" | "y"): [number, number] {
  if (axis === "y" && panel.yDomain) return [...panel.yDomain]
  const values = panel.series.flatMap((s) => [
    ...s.points.map((p) => p[axis]),
    ...(axis === "y" ? (s.band ?? []).flatMap((b) => [b.low, b.high]) : []),
  ])
  const [low, high] = extent(axis === "x" ? [0, ...values] : values)
  if (low === undefined || high === undefined) return [0, 1]
  const room = low === high ? Math.abs(low) * 0.1 || 0.5 : 0
  return [axis === "x" ? low : low - room, high + room]
}

function yTicks(panel: Panel, y: Scale, small: boolean): { value: number; label: string }[] {
  const count = small ? 3 : 5
  const ticks = y.ticks(count)
  const step = ticks.length > 1 ? ticks[1]! - ticks[0]! : 1
  const write = panel.yTick ?? y.tickFormat(count)
  return ticks.map((value) => ({ value, label: write(value, step) }))
}

function axes(panel: Panel, x: Scale, y: Scale, { left: outside, small }: Frame): string {
  const [left = 0, right = 0] = x.range()
  const [bottom = 0, top = 0] = y.range()
  const xFormat = x.tickFormat(small ? 3 : 6)
  const tickSize = small ? 9 : size.tick
  const horizontal = yTicks(panel, y, small).flatMap(({ value: v, label }) => [
    element("line", { class: "faint", x1: left, x2: right, y1: y(v), y2: y(v) }),
    text({ x: left - 6, y: y(v) + tickSize / 3, "font-size": tickSize, "text-anchor": "end" }, label),
  ])
  const vertical = x
    .ticks(small ? 3 : 6)
    .flatMap((v) => [
      element("line", { class: "axis", x1: x(v), x2: x(v), y1: bottom, y2: bottom + 4 }),
      text({ x: x(v), y: bottom + tickSize + 6, "font-size": tickSize, "text-anchor": "middle" }, xFormat(v)),
    ])
  const middle = { x: (left + right) / 2, y: (top + bottom) / 2 }
  const names = small
    ? []
    : [
        text({ x: middle.x, y: bottom + 36, "font-size": size.label, "text-anchor": "middle" }, panel.x),
        text(
          {
            "font-size": size.label,
            "text-anchor": "middle",
            transform: `translate(${Math.round(outside + 16)} ${Math.round(middle.y)}) rotate(-90)`,
          },
          panel.y,
        ),
      ]
  const frame = element("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` })
  return [...horizontal, frame, ...vertical, ...names].join("")
}

function drawSeries({ look, points, band, marks }: Series, x: Scale, y: Scale, small: boolean): string[] {
  const { className, dash } = seriesLook(look)
  const parts: string[] = []
  const [only, ...more] = band ?? []
  if (only && more.length === 0) {
    const ends = { x1: x(only.x), x2: x(only.x), y1: y(only.low), y2: y(only.high) }
    parts.push(element("line", { class: `${className} ${small ? "thin " : ""}line`, ...ends }))
  } else if (band && only) {
    const d = area<{ x: number; low: number; high: number }>(
      (p) => x(p.x),
      (p) => y(p.low),
      (p) => y(p.high),
    ).digits(2)(band)
    parts.push(element("path", { class: `${className} band`, d: d ?? "" }))
  }
  const d = line<Point>(
    (p) => x(p.x),
    (p) => y(p.y),
  ).digits(2)(points)
  parts.push(
    element("path", {
      class: `${className} ${small ? "thin " : ""}line`,
      d: d ?? "",
      "stroke-dasharray": dash,
    }),
  )
  const dots = marks ?? (points.length <= fewPoints ? points : [])
  for (const p of dots)
    parts.push(element("circle", { class: `${className} mark`, cx: x(p.x), cy: y(p.y), r: small ? 2.7 : 3 }))
  return parts
}
