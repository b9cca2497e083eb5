/** The folder that a source of files needs, asked for by whoever takes it: the search's options, and `load`. */
import { invalid } from "../expect.js"

/** @throws NaspError ERR_NASP_ARGUMENT */
export function checkSourceFolder(name: string, folder: unknown, source: string): asserts folder is string {
  if (typeof folder !== "string" || folder === "")
    throw invalid(name, `the folder of ${source}'s files (--data-dir)`, folder)
}
