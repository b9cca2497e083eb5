// How a refused value is shown: whatever it is, the message is one line and nothing else is thrown.
import { describe, expect, it } from "vitest"

import { invalid, numbersField, resolveFields } from "../src/expect.js"

const circular: Record<string, unknown> = {}
circular.self = circular
const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
const throws = (): never => {
  throw new Error("its own")
}

describe("a refused value", () => {
  it.each<[string, unknown, string]>([
    ["text", "x", "x"],
    ["an empty string", "", "an empty string"],
    ["a BigInt", 5n, "5"],
    ["a BigInt within", { a: [5n] }, '{"a":["5"]}'],
    ["a symbol", Symbol("s"), "Symbol(s)"],
    ["symbols within", { a: Symbol("s"), b: [Symbol("s")] }, '{"b":[null]}'],
    ["an object without a prototype", Object.create(null), "{}"],
    ["a toString that throws", { toString: throws }, "{}"],
    [
      "a function that cannot be shown",
      Object.setPrototypeOf(() => 1, null),
      "an object that cannot be shown",
    ],
    ["nothing at all", undefined, "undefined"],
    ["bytes", new Uint8Array(3), "Uint8Array of 3 bytes"],
    ["an object without JSON", { toJSON: () => undefined }, "[object Object]"],
    ["a circle", circular, "an object that cannot be shown"],
    ["a toJSON that throws", { toJSON: throws }, "an object that cannot be shown"],
    [
      "a proxy that throws",
      new Proxy({}, { ownKeys: throws, get: throws }),
      "an object that cannot be shown",
    ],
    ["a revoked proxy", revoked(), "an object that cannot be shown"],
    ["a long text", "x".repeat(1000), `${"x".repeat(117)}...`],
    ["a long list", new Array(1000).fill(1), `[${"1,".repeat(58)}...`],
  ])("%s", (_, value, shown) => {
    expect(invalid("field", "another", value)).toMatchObject({
      code: "ERR_NASP_ARGUMENT",
      message: `Expected another for field but received ${shown}`,
    })
  })
})

describe("fields' values", () => {
  it("are copies: neither their giver nor the table's defaults share them", () => {
    const field = numbersField([0, 0], 0, 1, "of this test")
    const given = [1, 1]
    const values = [resolveFields({ field }, { field: given }), resolveFields({ field }, {})]
    given[0] = 9
    values[1]!.field[0] = 9
    expect(values[0]).toEqual({ field: [1, 1] })
    expect(field.initial).toEqual([0, 0])
  })
})
