/** The flags of all methods' own options, each with the methods that have it and their defaults. */
import { readCost } from "../cost-file.js"
import type { Fields } from "../expect.js"
import { methods } from "../methods/index.js"

// One flag for all methods that have a field of this name: a name means the same in all of them, defaults may differ.
function mergedFields(): Fields {
  const merged: Fields = {}
  for (const { fields } of methods) {
    for (const [name, field] of Object.entries(fields)) {
      const having = methods.filter((method) => Object.hasOwn(method.fields, name))
      const byDefault = new Map<string, string[]>()
      for (const method of having) {
        const initial = method.fields[name]!.initial === null ? "" : String(method.fields[name]!.initial)
        byDefault.set(initial, [...(byDefault.get(initial) ?? []), method.name])
      }
      const defaults = [...byDefault].map(
        ([initial, names]) => names.join(", ") + (initial && `: ${initial}`),
      )
      merged[name] = { ...field, initial: null, about: `${field.about} (${defaults.join("; ")})` }
      if (name === "cost") merged[name].parse = readCost
    }
  }
  return merged
}

export const methodFields = mergedFields()
