/** The figures that compare methods, by their names on the command line. Table 6 is a timing of its own: table6.ts. */
import { completeness } from "./completeness.js"
import type { Comparison } from "./comparison.js"
import { figure3 } from "./figure3.js"
import { figure4 } from "./figure4.js"
import { secondOrder } from "./second-order.js"
import { section45 } from "./section-4-5.js"

export const comparisons: readonly Comparison[] = [figure3, figure4, section45, completeness, secondOrder]
