import type { Space } from "./index.js"

const operations = [
  "none",
  "max_pool_3x3",
  "avg_pool_3x3",
  "skip_connect",
  "sep_conv_3x3",
  "sep_conv_5x5",
  "dil_conv_3x3",
  "dil_conv_5x5",
]

/** quark0/darts cnn/genotypes.py, PRIMITIVES. */
export const darts: Space = {
  name: "darts",
  about: "the 8 operations of DARTS, with none, in both cell types",
  normal: operations,
  reduce: operations,
}
