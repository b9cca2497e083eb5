/** Mean and standard deviation over seeds, of single numbers and of curves. */
import { deviation, mean } from "d3-array"

import type { Point } from "./chart/panel.js"

export interface Summary {
  mean: number
  /** Of the sample (n - 1); null for a single value. */
  std: number | null
  n: number
}

/** @returns null for no values */
export function summarise(values: readonly number[]): Summary | null {
  const average = mean(values)
  return average === undefined ? null : { mean: average, std: deviation(values) ?? null, n: values.length }
}

export interface CurvePoint extends Summary {
  x: number
}

/**
 * The curves' mean where all of them have a point, at exactly the same x: for epochs and steps. Where they have none in
 * common, as where all of them ended inside the first epoch, point by point.
 */
export function meanAtCommonPoints(curves: readonly (readonly Point[])[]): CurvePoint[] {
  const drawn = curves.filter((curve) => curve.length > 0)
  const common = pointsInCommon(drawn)
  return common.length > 0 || drawn.length === 0 ? common : meanByOrder(drawn)
}

function pointsInCommon(curves: readonly (readonly Point[])[]): CurvePoint[] {
  const [first = [], ...others] = curves
  const maps = others.map((curve) => new Map(curve.map(({ x, y }) => [x, y])))
  return first.flatMap(({ x, y }) => {
    const values = [y, ...maps.map((map) => map.get(x))].filter((v) => v !== undefined)
    const summary = summarise(values)
    return summary && values.length === curves.length ? [{ x, ...summary }] : []
  })
}

/**
 * The curves' mean where all of them have values, straight lines drawn between their points: for seconds, which differ
 * from run to run. At as many places, evenly spaced, as the longest curve has points; a single curve stays as it is.
 * Where no place has them all, as with runs of an epoch or two, point by point: first points, second ones, and so on.
 */
export function meanInterpolated(curves: readonly (readonly Point[])[]): CurvePoint[] {
  const drawn = curves.filter((curve) => curve.length > 0)
  const [only] = drawn
  if (!only) return []
  if (drawn.length === 1) return only.map(({ x, y }) => ({ x, mean: y, std: null, n: 1 }))
  const from = Math.max(...drawn.map((curve) => (curve[0] as Point).x))
  const to = Math.min(...drawn.map((curve) => (curve[curve.length - 1] as Point).x))
  const count = Math.max(...drawn.map((curve) => curve.length))
  if (to < from) return meanByOrder(drawn)
  const places = count === 1 || to === from ? [from] : range(from, to, count)
  return places.flatMap((x) => {
    const summary = summarise(drawn.map((curve) => interpolate(curve, x)))
    return summary ? [{ x, ...summary }] : []
  })
}

function meanByOrder(curves: readonly (readonly Point[])[]): CurvePoint[] {
  const count = Math.min(...curves.map((curve) => curve.length))
  return Array.from({ length: count }, (_, i) => curves.map((curve) => curve[i] as Point)).flatMap(
    (points) => {
      const [x, y] = [summarise(points.map((p) => p.x)), summarise(points.map((p) => p.y))]
      return x && y ? [{ x: x.mean, ...y }] : []
    },
  )
}

function range(from: number, to: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1))
}

function interpolate(curve: readonly Point[], x: number): number {
  const after = curve.findIndex((p) => p.x >= x)
  const right = curve[after < 0 ? curve.length - 1 : after] as Point
  const left = curve[Math.max(0, after - 1)] as Point
  if (after <= 0 || right.x === left.x) return right.y
  return left.y + ((right.y - left.y) * (x - left.x)) / (right.x - left.x)
}

/** What lineChart draws of it. */
export function drawable(curve: readonly CurvePoint[]): {
  points: Point[]
  band?: { x: number; low: number; high: number }[]
} {
  const points = curve.map(({ x, mean: y }) => ({ x, y }))
  const band = curve.flatMap(({ x, mean: y, std }) =>
    std === null ? [] : [{ x, low: y - std, high: y + std }],
  )
  return band.length > 0 ? { points, band } : { points }
}
