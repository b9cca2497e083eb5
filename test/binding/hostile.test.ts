/** What JavaScript throws from getters, whatever it is, comes back as it was thrown; nothing of it is asked. */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

import { expect, test } from "vitest"

import { addon, makeSession } from "../net/sessions.js"

// node-addon-api asks what is thrown for this property.
const asked = "4bda9e7e-4913-4dbc-95de-891cbf66598e-errorVal"
const refuses = () => {
  throw new Error("was asked")
}
const proxy = new Proxy({}, { has: () => true, get: refuses, getOwnPropertyDescriptor: refuses })
const accessor = Object.defineProperty({}, asked, { get: refuses })
const thrown: [string, unknown][] = [
  ["a proxy whose traps throw", proxy],
  ["an accessor that throws", accessor],
  ["an error with such an accessor", Object.defineProperty(new Error("own"), asked, { get: refuses })],
  ["an error", new TypeError("own")],
  ["a frozen object", Object.freeze({})],
  ["a number", 5],
  ["a string", "text"],
  ["undefined", undefined],
  ["null", null],
  ["a symbol", Symbol("own")],
  ["a bigint", 3n],
  ["a function", () => 1],
]

function caught(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new Error("nothing was thrown")
}

test.each(thrown)("%s, from a getter of a constructor, a call and a step", async (_, value) => {
  const options = {
    get channels() {
      throw value
    },
    get value() {
      throw value
    },
    get keepBatch() {
      throw value
    },
  } as never
  const session = makeSession("darts7")
  try {
    expect(caught(() => new addon.Session(options)) === value).toBe(true)
    expect(caught(() => session.discretise(options)) === value).toBe(true)
    const reason = await session.architectureGradient(0, options).then(
      () => "nothing was thrown",
      (reason: unknown) => [reason],
    )
    expect(reason[0] === value).toBe(true)
  } finally {
    session.dispose()
  }
})

// In a process of its own: the class is the environment's.
test("a class of errors that constructs something else is left alone", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url))
  const body = `
    const addon = require(${JSON.stringify(`${root}/node_modules/node-gyp-build`)})(${JSON.stringify(root)})
    const proxy = new Proxy({}, { has: () => true, get() { throw new Error("was asked") } })
    addon.setErrorClass(class { constructor() { return proxy } })
    try { new addon.Session({}) } catch (error) { process.stdout.write(String(error instanceof Error) + error.code) }`
  const { stdout, signal } = spawnSync(process.execPath, ["-e", body], { encoding: "utf8" })
  expect(signal).toBe(null)
  expect(stdout).toBe("trueERR_NASP_ARGUMENT")
})

test("names of gigabytes are refused before they are read", () => {
  const long = "x".repeat(2 ** 28)
  expect(() => addon.operationCost(long, 4, 4, 1)).toThrow(
    /at most 1000 bytes for op but received "x{80}\.\.\."/,
  )
  const session = makeSession("darts7")
  expect(() => new addon.Session({ ...session.options, precision: long as never })).toThrow(
    /at most 1000 bytes for precision but/,
  )
  try {
    expect(() => session.read("€".repeat(1000))).toThrow(/received "€{26}\.\.\."/)
    expect(() => session.combine("a", { "weights\0x": 1 })).toThrow(/name of a weight vector/)
  } finally {
    session.dispose()
  }
})

test("a frozen session is rebuilt all the same", () => {
  const session = makeSession("darts7")
  try {
    Object.freeze(session)
    session.rebuild(4, 2)
    expect(session.tensors().some(({ name }) => name.startsWith("cells.3."))).toBe(true)
  } finally {
    session.dispose()
  }
})
