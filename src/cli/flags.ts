/** Command-line flags from tables of fields, and back: only what was given, so that defaults stay in one place. */
import type { Command } from "commander"

import type { Fields } from "../expect.js"

/** archLr -> --arch-lr */
export function flagOf(field: string): string {
  return `--${field.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`
}

export function addFlags(command: Command, fields: Fields): Command {
  for (const [name, { about, placeholder, initial }] of Object.entries(fields)) {
    const flag = flagOf(name)
    const shown = placeholder === "" || initial === null ? about : `${about} (default ${String(initial)})`
    command.option(placeholder === "" ? flag : `${flag} ${placeholder}`, shown)
  }
  return command
}

/** The given ones of these fields; numbers as numbers. Whether they are good is for the fields to say. */
export function givenOf(fields: Fields, options: Record<string, unknown>): Record<string, unknown> {
  const given: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    const value = options[name]
    if (value !== undefined)
      given[name] = typeof value === "string" && field.parse ? field.parse(value) : value
  }
  return given
}
