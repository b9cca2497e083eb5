/** What an artefact comes to: data for programs, rows for a spreadsheet, pictures, and text for a terminal. */
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

import { makeFolder, ioError, temporaryOf, writeWhole } from "../train/files.js"
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
 * Makes the folder, and a file in it that goes again: what cannot be written is said before hours are measured.
 * @throws NaspError ERR_NASP_IO
 */
export function prepareFolder(folder: string): void {
  const probe = temporaryOf(join(folder, "report"))
  try {
    makeFolder(folder)
    writeFileSync(probe, "")
    rmSync(probe)
  } catch (error) {
    throw ioError("write", folder, error)
  }
}

/**
 * @returns the files
 * @throws NaspError ERR_NASP_IO
 */
export function writeReport(folder: string, artefact: string, report: Report): string[] {
  prepareFolder(folder)
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
