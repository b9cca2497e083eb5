/** Worker threads and processes that end while the engine works. */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"

import { expect, test } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))

// Runs as it stands in a child process or a worker thread. `step(session)` is a step of a tenth of a second and more.
const prelude = `
  const addon = require(${JSON.stringify(`${root}/node_modules/node-gyp-build`)})(${JSON.stringify(root)})
  addon.setErrorClass(class extends Error { constructor(code, message) { super(message); this.code = code } })
  process.once("exit", () => addon.cancelAll())
  const operations = ["none", "skip_connect", "sep_conv_3x3", "dil_conv_5x5", "max_pool_3x3"]
  const make = () => {
    const session = new addon.Session({ channels: 16, layers: 5, classes: 10, imageSize: 16, imageChannels: 3, batch: 32,
      normal: operations, reduce: operations, precision: "f32", isa: "", threads: 2, dense: true, seed: 1 })
    session.discretise({ value: "one", edges: "two", epsilon: 0, counter: 0 })
    return session
  }
  const step = (session) =>
    session.architectureGradient(session.load(new Float32Array(32 * 3 * 16 * 16), new Int32Array(32)))
  const forever = (session) => step(session).then(() => forever(session), () => {})
`
const run = (body: string) =>
  spawnSync(process.execPath, ["-e", prelude + body], { encoding: "utf8", timeout: 60_000 })

test.each([
  ["leaves in the middle of a step", `step(make()); setTimeout(() => process.exit(7), 20)`, 7],
  ["leaves at once", `step(make()); process.exit(7)`, 7],
  ["ends by itself with sessions open", `make(); step(make()).then(() => { process.exitCode = 7 })`, 7],
  [
    "ends with batches not used",
    `const s = make(); s.load(new Float32Array(768), new Int32Array(1)); process.exitCode = 7`,
    7,
  ],
  ["throws in the middle of a step", `step(make()); setTimeout(() => { throw new Error("out") }, 20)`, 1],
  [
    "leaves while disposing",
    `const s = make(); step(s).catch(() => {}); setTimeout(() => { s.dispose(); process.exit(7) }, 20)`,
    7,
  ],
])("a process that %s", (_, body, status) => {
  const child = run(body)
  expect(child.signal, child.stderr).toBe(null)
  expect(child.status, child.stderr).toBe(status)
})

test("a signal's default action", () => {
  const child = run(`forever(make()); setTimeout(() => process.kill(process.pid, "SIGTERM"), 30)`)
  expect(child.signal).toBe("SIGTERM")
})

function start(body: string): Worker {
  return new Worker(`${prelude}; const { parentPort } = require("node:worker_threads"); ${body}`, {
    eval: true,
  })
}
const message = (worker: Worker) =>
  new Promise<unknown>((resolve, reject) => worker.once("message", resolve).once("error", reject))

test("the addon works in the main thread and in worker threads at once", async () => {
  const body = `step(make()).then(({ loss }) => parentPort.postMessage(loss))`
  const losses = await Promise.all([message(start(body)), message(start(body))])
  expect(losses[0]).toBeTypeOf("number")
  expect(losses[0]).toBe(losses[1])
})

test("worker threads are terminated in the middle of steps", async () => {
  for (const wait of [0, 1, 10, 30]) {
    const worker = start(`forever(make()); forever(make()); parentPort.postMessage("running")`)
    expect(await message(worker)).toBe("running")
    await new Promise((resolve) => setTimeout(resolve, wait))
    expect(await worker.terminate()).toBe(1)
  }
})

// Minutes of steps, were they waited for: cells of 400 layers, one after another, in four sessions.
test("worker threads that are terminated wait for none of their steps", { timeout: 60_000 }, async () => {
  const worker = start(`
    const deep = () => {
      const session = new addon.Session({ channels: 8, layers: 400, classes: 10, imageSize: 32, imageChannels: 3, batch: 32,
        normal: operations, reduce: operations, precision: "f32", isa: "", threads: 1, dense: false, seed: 1 })
      session.discretise({ value: "one", edges: "two", epsilon: 0, counter: 0 })
      return session
    }
    const x = new Float32Array(32 * 3 * 32 * 32)
    for (let i = 0; i < 4; i++) {
      const session = deep()
      session.architectureGradient(session.load(x, new Int32Array(32)))
    }
    parentPort.postMessage("running")`)
  expect(await message(worker)).toBe("running")
  expect(await worker.terminate()).toBe(1)
})

const timing = `addon.timeOperation({ op: "sep_conv_5x5", channels: 16, height: 16, width: 16, batch: 8, stride: 1,
  affine: false, precision: "f32", threads: 1 }, "both", 1e6)`

test("a timing of hours ends with its worker thread, and with the process", async () => {
  const worker = start(`${timing}; parentPort.postMessage("running")`)
  expect(await message(worker)).toBe("running")
  expect(await worker.terminate()).toBe(1)
  expect(run(`${timing}; setTimeout(() => process.exit(7), 20)`).status).toBe(7)
})

test("a timing that is cancelled says so", () => {
  const child = run(
    `${timing}.catch(({ code }) => process.stdout.write(code)); setTimeout(() => addon.cancelAll(), 20)`,
  )
  expect(child.stdout).toBe("ERR_NASP_ABORTED")
})
