/** What is said before searches that run and find little or nothing, and not before others. */
import { expect, test } from "vitest"

import { generateTextures } from "../../src/data/generated.js"
import { search, type Search } from "../../src/train/search.js"

const data = generateTextures(64, 2)

async function warnings(options: Parameters<typeof search>[0]): Promise<string[]> {
  const small = { data, channels: 4, layers: 3, batch: 16, epochs: 2, steps: 1 }
  const run: Search = search({ ...small, ...options })
  const found: string[] = []
  for await (const event of run) {
    if (event.type === "warning") found.push(event.message)
    else if (event.type === "start") break
  }
  await run.dispose()
  return found
}

test.each([
  ["pc-darts", { warmEpochs: 15 }],
  ["pdarts", { warmEpochs: 10 }],
  ["asap", {}],
])("%s learns alpha in no epoch of a short run", async (method, options) => {
  expect(await warnings({ method, options, space: "darts7" })).toEqual([
    expect.stringContaining(`${method} learns alpha in no epoch of this run (1)`),
  ])
})

test.each([
  ["nasp", {}, "nasp starts with the first operation of every row, in space darts none"],
  ["pa", {}, "pa starts with the first operation"],
])("%s cannot leave none where rows tie", async (method, options, text) => {
  expect(await warnings({ method, options, space: "darts" })).toEqual([expect.stringContaining(text)])
})

test.each([
  [
    33,
    ["a batch of 33 is more than the 32 images of the training half: every epoch is one step of all of them"],
  ],
  [32, []],
])("batches of %i", async (batch, said) => {
  expect(await warnings({ method: "nasp", space: "nasp12", batch })).toEqual(said)
})

test.each([
  ["nasp", { alphaNoise: 1e-3 }, "darts"],
  ["nasp", {}, "nasp12"],
  ["darts", {}, "darts"],
  ["snas", {}, "darts7"],
  ["random", {}, "darts"],
  ["pc-darts", { warmEpochs: 0 }, "darts7"],
])("nothing is said of %s, %j in %s", async (method, options, space) => {
  expect(await warnings({ method, options, space })).toEqual([])
})
