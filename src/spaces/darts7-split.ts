import type { Space } from "./index.js"

/** NASP paper, section 4.1, read strictly: identity and convolutions | identity and pools, 7 operations in all. */
export const darts7Split: Space = {
  name: "darts7-split",
  about: "the 7 operations split: convolutions in the normal cell, pools in the reduction cell",
  normal: ["skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"],
  reduce: ["skip_connect", "max_pool_3x3", "avg_pool_3x3"],
}
