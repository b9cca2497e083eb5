import { afterEach, describe, expect, test } from "vitest"

import { NaspError } from "../../src/errors.js"
import type { NativeSession, NativeSessionOptions } from "../../src/native.js"
import {
  addon,
  alphaUpdate,
  discrete,
  loadBatch,
  makeSession,
  values,
  weightUpdate,
} from "../net/sessions.js"

const made: NativeSession[] = []
afterEach(() => made.splice(0).forEach((session) => session.dispose()))

function open(options: Partial<NativeSessionOptions> = {}): NativeSession {
  const session = makeSession("nasp12", { precision: "f32", ...options })
  session.discretise(discrete)
  made.push(session)
  return session
}

/** A session whose steps take long enough (a tenth of a second and more) to be met in their middle. */
const slow = () => open({ channels: 16, layers: 5, imageSize: 16, batch: 32, dense: true })
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => "resolved",
    (error: unknown) => (error instanceof NaspError ? error.code : `not a NaspError: ${String(error)}`),
  )
function thrown(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    return error instanceof NaspError ? error.code : `not a NaspError: ${String(error)}`
  }
  return "nothing"
}

describe("one job a session", () => {
  test("a second step rejects, synchronous calls throw, and afterwards all is well", async () => {
    const session = open()
    const [first, second] = [loadBatch(session, 0), loadBatch(session, 1)]
    const running = session.architectureGradient(first)
    expect(await code(session.weightStep(second, weightUpdate))).toBe("ERR_NASP_BUSY")
    expect(await code(running)).toBe("resolved")
    const again = session.weightStep(second, weightUpdate)
    const name = "alphas_normal"
    const values = new Float32Array(14 * 8)
    expect(thrown(() => session.read(name))).toBe("ERR_NASP_BUSY")
    expect(thrown(() => session.write(name, values))).toBe("ERR_NASP_BUSY")
    expect(thrown(() => session.discretise(discrete))).toBe("ERR_NASP_BUSY")
    expect(thrown(() => session.updateAlpha(alphaUpdate))).toBe("ERR_NASP_BUSY")
    expect(thrown(() => session.memory())).toBe("ERR_NASP_BUSY")
    expect(thrown(() => session.tensors())).toBe("ERR_NASP_BUSY")
    expect(thrown(() => loadBatch(session, 2))).toBe("ERR_NASP_BUSY")
    expect(await code(again)).toBe("resolved")
    expect(session.read(name)).toHaveLength(14 * 8)
  })

  test("batches are queued while a step runs", async () => {
    const session = open()
    const dataset = smallDataset()
    const augment = { pad: 1, flip: true, cutout: 0, seed: 1, counter: 0 }
    const ticket = session.queue(dataset, Uint32Array.from([0, 1]), augment)
    const running = session.evaluate(ticket)
    const next = session.queue(dataset, Uint32Array.from([1, 2]), augment)
    expect(next).not.toBe(ticket)
    await running
    expect((await session.evaluate(next)).count).toBe(2)
  })

  test("at most 8 batches are outstanding", async () => {
    const session = open()
    const tickets = Array.from({ length: 8 }, (_, i) => loadBatch(session, i))
    expect(thrown(() => loadBatch(session, 8))).toBe("ERR_NASP_BUSY")
    for (const ticket of tickets) await session.evaluate(ticket)
    expect(thrown(() => loadBatch(session, 8))).toBe("nothing")
  })

  test("a ticket is good for one step", async () => {
    const session = open()
    const ticket = loadBatch(session, 0)
    await session.evaluate(ticket)
    expect(await code(session.evaluate(ticket))).toBe("ERR_NASP_ARGUMENT")
    expect(await code(session.evaluate(12345))).toBe("ERR_NASP_ARGUMENT")
  })
})

describe("cancel", () => {
  test("without a step it does nothing", async () => {
    const session = open()
    session.cancel()
    expect(await code(session.evaluate(loadBatch(session, 0)))).toBe("resolved")
    session.cancel()
    expect(await code(session.evaluate(loadBatch(session, 1)))).toBe("resolved")
  })

  test("at once and in the middle of a step", async () => {
    const session = slow()
    for (const wait of [0, 1, 5, 20]) {
      const step = session.architectureGradient(loadBatch(session, wait))
      if (wait > 0) await pause(wait)
      session.cancel()
      expect(await code(step)).toBe("ERR_NASP_ABORTED")
    }
    expect(await code(session.evaluate(loadBatch(session, 9)))).toBe("resolved")
  })

  test("cancelled steps keep no batch", async () => {
    const session = open()
    for (let i = 0; i < 10; i++) {
      const step = session.evaluate(loadBatch(session, i))
      session.cancel()
      await code(step)
    }
    expect(await code(session.evaluate(loadBatch(session, 0)))).toBe("resolved")
  })
})

describe("dispose", () => {
  test("is idempotent, and everything afterwards says so", async () => {
    const session = open()
    const ticket = loadBatch(session, 0)
    session.dispose()
    session.dispose()
    expect(thrown(() => session.read("alphas_normal"))).toBe("ERR_NASP_DISPOSED")
    expect(thrown(() => session.tensors())).toBe("ERR_NASP_DISPOSED")
    expect(thrown(() => session.cancel())).toBe("ERR_NASP_DISPOSED")
    expect(thrown(() => loadBatch(session, 1))).toBe("ERR_NASP_DISPOSED")
    expect(thrown(() => session.memory())).toBe("ERR_NASP_DISPOSED")
    expect(await code(session.evaluate(ticket))).toBe("ERR_NASP_DISPOSED")
    expect(session.options.channels).toBe(2)
  })

  test("stops the running step", async () => {
    for (const wait of [0, 20]) {
      const session = slow()
      const step = session.architectureGradient(loadBatch(session, 0))
      if (wait > 0) await pause(wait)
      session.dispose()
      session.dispose()
      expect(await code(step)).toBe("ERR_NASP_ABORTED")
    }
  })

  test("with batches being prepared", () => {
    const session = open()
    const augment = { pad: 4, flip: true, cutout: 4, seed: 1, counter: 0 }
    for (let i = 0; i < 8; i++) session.queue(smallDataset(), Uint32Array.from([0, 1, 2]), augment)
    session.dispose()
  })

  test("gives the memory back", async () => {
    const run = async () => {
      const session = open({ channels: 8 })
      await session.weightStep(loadBatch(session, 0), weightUpdate)
      session.dispose()
      made.length = 0
    }
    for (let i = 0; i < 5; i++) await run()
    const before = process.memoryUsage().rss
    for (let i = 0; i < 40; i++) await run()
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(60)
  })
})

test("two sessions at once give what each gives alone", async () => {
  const losses = async (session: NativeSession) => {
    const found: number[] = []
    for (let i = 0; i < 4; i++)
      found.push((await session.weightStep(loadBatch(session, i), weightUpdate)).loss)
    return found
  }
  const alone = await losses(open({ seed: 3 }))
  const [one, two] = await Promise.all([losses(open({ seed: 3 })), losses(open({ seed: 4 }))])
  expect(one).toEqual(alone)
  expect(two).not.toEqual(alone)
})

test("values come out as they went in, as copies", () => {
  const session = open()
  const name = "alphas_reduce"
  const written = values(
    "f32",
    Array.from(session.read(name), (_, i) => i / 100),
  )
  session.write(name, written)
  const read = session.read(name)
  expect(read).toEqual(written)
  read[0] = 7
  expect(session.read(name)).toEqual(written)
})

function smallDataset() {
  return new addon.Dataset({
    images: Uint8Array.from({ length: 3 * 3 * 8 * 8 }, (_, i) => i % 256),
    labels: Uint8Array.from([0, 1, 2]),
    ...{ channels: 3, height: 8, width: 8, mean: [0, 0, 0], std: [1, 1, 1] },
  })
}
