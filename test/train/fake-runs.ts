/** Small runs on the fake engine, for tests that mock src/native.js with it. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach } from "vitest"

import { generateTextures } from "../../src/data/generated.js"
import type { SearchEvent } from "../../src/train/events.js"
import type { SearchOptions } from "../../src/train/plan.js"
import { resetFake } from "./fake-native.js"

export const data = generateTextures(200, 3)

/** 100 images train, 13 steps an epoch: 12 whole batches of 8 and one of 4. */
export const small: SearchOptions = {
  data,
  epochs: 3,
  batch: 8,
  channels: 4,
  layers: 3,
  seed: 7,
  checkpointEvery: 5,
}

/** A fresh fake engine and an empty folder for each test. @returns paths in that folder */
export function useFakeRuns(name: string): (path: string) => string {
  let folder = ""
  beforeEach(() => {
    resetFake()
    folder = mkdtempSync(join(tmpdir(), `nasp-${name}-`))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))
  return (path) => join(folder, path)
}

export async function collect(events: AsyncIterable<SearchEvent>): Promise<SearchEvent[]> {
  const list: SearchEvent[] = []
  for await (const event of events) list.push(event)
  return list
}
