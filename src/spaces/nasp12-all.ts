import type { Space } from "./index.js"

const operations = [
  "skip_connect",
  "conv_3x1_1x3",
  "dil_conv_3x3",
  "avg_pool_3x3",
  "max_pool_3x3",
  "max_pool_5x5",
  "max_pool_7x7",
  "conv_1x1",
  "conv_3x3",
  "sep_conv_3x3",
  "sep_conv_5x5",
  "sep_conv_7x7",
]

/** NASP paper, appendix B.3: the 12 operations in the order of its list, here on every edge of both cell types. */
export const nasp12All: Space = {
  name: "nasp12-all",
  about: "all 12 operations of the paper's B.3 in both cell types",
  normal: operations,
  reduce: operations,
}
