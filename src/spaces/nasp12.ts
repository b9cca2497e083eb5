import type { Space } from "./index.js"

/** NASP-codes genotypes.py: convolutions in the normal cell, pools in the reduction cell, 12 operations in all. */
export const nasp12: Space = {
  name: "nasp12",
  about: "the released code's space: 8 operations in the normal cell, 5 in the reduction cell",
  normal: [
    "skip_connect",
    "conv_3x1_1x3",
    "dil_conv_3x3",
    "conv_1x1",
    "conv_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
  ],
  reduce: ["skip_connect", "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7"],
}
