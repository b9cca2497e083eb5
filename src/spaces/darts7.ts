import { darts } from "./darts.js"
import type { Space } from "./index.js"

const operations = darts.normal.filter((operation) => operation !== "none")

/** NASP paper, section 4.1: the space of DARTS with 7 operations (without none). */
export const darts7: Space = {
  name: "darts7",
  about: "the 7 operations of DARTS without none in both cell types",
  normal: operations,
  reduce: operations,
}
