/** The option `cost` as text, as the command line has it. */
import { invalid } from "./expect.js"
import { readRegularFile } from "./read-file.js"

/**
 * @param text params, flops, or a JSON file of costs by operation name
 * @throws NaspError ERR_NASP_ARGUMENT for a file that cannot be read
 */
export function readCost(text: string): unknown {
  if (text === "params" || text === "flops") return text
  try {
    return JSON.parse(readRegularFile(text).toString())
  } catch (error) {
    throw invalid(
      "cost",
      "params, flops or a JSON file of costs by operation name",
      `${text} (${(error as Error).message})`,
    )
  }
}
