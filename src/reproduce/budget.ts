/** How long each run of a comparison lasts: `30m`, `2h`, `90s` of search time, `4000` steps or `5epochs`. */
import { invalid } from "../expect.js"

export type Budget = { seconds: number } | { steps: number } | { epochs: number }

const secondsIn: Record<string, number> = { s: 1, m: 60, h: 3600 }
const expected = "a time (90s, 30m, 2h), a number of steps (4000) or of epochs (5epochs)"

/** @throws NaspError ERR_NASP_ARGUMENT */
export function parseBudget(text: string): Budget {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/.exec(text) ?? []
  const amount = Number(digits)
  if (!(amount > 0)) throw invalid("budget", expected, text)
  const seconds = secondsIn[unit]
  if (seconds !== undefined) return { seconds: amount * seconds }
  if (!Number.isInteger(amount)) throw invalid("budget", expected, text)
  if (/^(steps?)?$/.test(unit)) return { steps: amount }
  if (/^epochs?$/.test(unit)) return { epochs: amount }
  throw invalid("budget", expected, text)
}
