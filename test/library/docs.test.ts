/** Tables of the documents, against what they are tables of. */
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

import { expect, test } from "vitest"

import { flagOf } from "../../src/cli/flags.js"
import { evaluationsText } from "../../src/methods/evaluations.js"
import { methods } from "../../src/methods/index.js"
import { resolveFields } from "../../src/expect.js"
import { spaces } from "../../src/spaces/index.js"

const root = fileURLToPath(new URL("../..", import.meta.url))
const read = (path: string) => readFileSync(`${root}/${path}`, "utf8")

/** Cells of the lines that are rows of tables, without the heads. */
function rowsOf(text: string): string[][] {
  const cells = (line: string) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim())
  const tables = text.match(/(?:^\|.*\|$\n?)+/gm) ?? []
  return tables.flatMap((table) => {
    const [head, ...rows] = table.trim().split("\n").map(cells)
    for (const row of rows) expect(row, `as many cells as ${head!.join(", ")}`).toHaveLength(head!.length)
    return rows.slice(1)
  })
}

const documents = ["README.md", ...readdirSync(`${root}/docs`).map((name) => `docs/${name}`)]

test.each(documents)("tables of %s have as many cells in every row as in their head", (path) => {
  rowsOf(read(path))
})

test.each(documents)("links of %s lead to files that are there", (path) => {
  const folder = path.includes("/") ? "docs" : "."
  for (const [, target] of read(path).matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g))
    expect(() => read(`${folder}/${target}`), `${path} to ${target}`).not.toThrow()
})

test("docs/methods.md has every method, with the evaluations of its definition", () => {
  const rows = rowsOf(read("docs/methods.md"))
  for (const method of methods) {
    const row = rows.find(([name]) => name!.split(", ").includes(`\`${method.name}\``))
    expect(row, method.name).toBeDefined()
    if (row![2] === "as nasp") continue
    const { architecture, weights } = method.evaluations(resolveFields(method.fields, {}))
    expect(row![2], method.name).toContain(evaluationsText(architecture))
    expect(row![3], method.name).toContain(evaluationsText(weights))
  }
})

/** Defaults by flag, as a table says them: "`--a`, `--b`" beside "1 (below 10 steps none), `x`". */
function defaultsOf(flags: string, defaults: string): [flag: string, said: string][] {
  const said = defaults
    .replace(/\s*\([^)]*\)|`/g, "")
    .split(", ")
    .map((value) => value.replace(/^(\d),(\d{3})$/, "$1$2"))
  return [...flags.matchAll(/`(--[\w-]+)`/g)].map(([, flag], i) => [flag!, said[i] ?? ""])
}

test("docs/methods.md has every option of each method, with its default", () => {
  const [, others, own] = read("docs/methods.md").split(/^## (?:Options of the others|NASP: options)$/m)
  let names = ""
  const rows = rowsOf(others!.split(/^## /m)[0]!).map(([first, ...rest]) => [
    (names = first || names),
    ...rest,
  ])
  const table = (name: string) =>
    name === "nasp"
      ? rowsOf(own!.split(/^## /m)[0]!).flatMap(([flags, values]) => defaultsOf(flags!, values!))
      : rows
          .filter(([names]) => names!.split(", ").includes(`\`${name}\``))
          .flatMap(([, flags, values]) => defaultsOf(flags!, values!))
  for (const { name, fields } of methods) {
    if (["lazy-pa", "pa"].includes(name)) continue // nasp's, but for a default
    const said = new Map(table(name))
    expect([...said.keys()].sort(), name).toEqual(Object.keys(fields).map(flagOf).sort())
    for (const [field, { initial }] of Object.entries(fields)) {
      if (initial === null) continue // the table says in words what it stands for
      const value = said.get(flagOf(field))!
      expect(typeof initial === "number" ? Number(value) : value, `${name}'s ${field}`).toBe(
        typeof initial === "number" ? initial : String(initial),
      )
    }
  }
})

test("an option that several methods have means the same in each of them", () => {
  const fields = methods.flatMap((method) => Object.entries(method.fields))
  for (const [name, { about, expected }] of fields)
    for (const [other, field] of fields)
      if (other === name) expect([field.about, field.expected], name).toEqual([about, expected])
})

test("docs/spaces.md has every space", () => {
  const text = read("docs/spaces.md")
  for (const { name } of spaces) expect(text, name).toContain(`\`${name}\``)
})

test("docs/api.md explains every code of an error that the sources raise, and src/errors.ts has it", () => {
  const files = ["src", "native"].flatMap((tree) =>
    readdirSync(`${root}/${tree}`, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(ts|cpp|h)$/.test(name))
      .map((name) => `${tree}/${name}`),
  )
  const raised = new Set(files.flatMap((file) => read(file).match(/ERR_NASP_[A-Z_]+/g) ?? []))
  const listed = new Set(read("src/errors.ts").match(/ERR_NASP_[A-Z_]+/g))
  const explained = new Set(
    rowsOf(read("docs/api.md")).flatMap(([code]) => code!.match(/ERR_NASP_[A-Z_]+/g) ?? []),
  )
  expect([...listed].sort()).toEqual([...raised].sort())
  expect([...explained].sort()).toEqual([...raised].sort())
})
