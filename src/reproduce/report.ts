/** What an artefact comes to: data for programs, rows for a spreadsheet, pictures, and text for a terminal. */
import { join } from "node:path"

import { makeFolder, ioError, writeWhole } from "../train/files.js"
import { csv, type Cell } from "./text-table.js"

export interface Report {
  /** <artefact>.json */
  json: unknown
  /** <artefact>.csv */
  csv: { header: readonly string[]; rows: readonly (readonly Cell[])[] }
  /** By file name without .svg. */
  pictures: Record<string, string>
  /** For a terminal. */
  text: string
}

/**
 * @returns the files
 * @throws NaspError ERR_NASP_IO
 */
export function writeReport(folder: string, artefact: string, report: Report): string[] {
  try {
    makeFolder(folder)
  } catch (error) {
    throw ioError("write", folder, error)
  }
  const files: [string, string][] = [
    [`${artefact}.json`, `${JSON.stringify(report.json, null, 2)}\n`],
    [`${artefact}.csv`, csv(report.csv.header, report.csv.rows)],
    ...Object.entries(report.pictures).map(([name, svg]): [string, string] => [`${name}.svg`, svg]),
  ]
  return files.map(([name, content]) => {
    writeWhole(join(folder, name), content)
    return join(folder, name)
  })
}
