// What a checkpoint is worth that was changed after it was written, with its checksum and, as older ones are, without.
import { readFileSync, writeFileSync } from "node:fs"
import { beforeEach, describe, expect, it, vi } from "vitest"

import { decodeSafetensors, encodeSafetensors, tensor } from "../../src/safetensors.js"
import { listCheckpoints, loadCheckpoint, savedStep } from "../../src/train/checkpoint.js"
import { search } from "../../src/train/search.js"
import { fakeAddon } from "./fake-native.js"
import { collect, data, small, useFakeRuns } from "./fake-runs.js"

vi.mock("../../src/native.js", () => ({ loadNative: () => fakeAddon }))

const at = useFakeRuns("checkpoint")
beforeEach(() => search({ ...small, keepCheckpoints: 3, steps: 15, out: at("run") }).result())

const newest = () => listCheckpoints(at("run")).at(-1)!.file

/** Without a checksum, and with these entries of its progress replaced. */
function changed(progress: object): string {
  const { tensors, metadata } = decodeSafetensors(readFileSync(newest()), "x")
  const state = JSON.parse(metadata.nasp!) as { config: string; progress: object }
  const nasp = JSON.stringify({ ...state, progress: { ...state.progress, ...progress } })
  writeFileSync(newest(), encodeSafetensors(tensors.values(), { nasp }))
  return state.config
}

function load(hash: string) {
  const warnings: string[] = []
  return {
    step: loadCheckpoint(at("run"), hash, (message) => warnings.push(message))?.progress.step,
    warnings,
  }
}

describe("a checkpoint without a checksum", () => {
  it("is read as it is", () => {
    expect(load(changed({}))).toEqual({ step: 15, warnings: [] })
    expect(load(changed({ eigenvalues: undefined, ended: undefined }))).toEqual({ step: 15, warnings: [] })
  })

  it.each([
    { step: -1 },
    { totals: "x" },
    { totals: { loss: 1, correct: 1, count: -1 } },
    { epochSelection: {} },
    { selection: null },
    { selection: [0] },
    { selection: new Array(28).fill(-2) },
    { best: true },
    { best: { epoch: 0 } },
    { eigenvalues: 1e9 },
    { eigenvalues: ["x"] },
    { ended: true },
  ])("is damaged with %j, and the one before is taken", async (progress) => {
    expect(load(changed(progress))).toEqual({
      step: 10,
      warnings: [expect.stringMatching(/step-0000000015.* is damaged and left out: it is no checkpoint/)],
    })
    expect(savedStep(at("run"))).toBe(10)
    const told = await collect(search({ resume: at("run"), data }))
    expect(told[1]).toMatchObject({ type: "resume", step: 10 })
  })
})

describe("a checkpoint with one", () => {
  it("is damaged where a tensor, or what stands beside them, is another", () => {
    const whole = readFileSync(newest())
    const { tensors, metadata } = decodeSafetensors(whole, "x")
    const { config } = JSON.parse(metadata.nasp!) as { config: string }
    expect(load(config)).toEqual({ step: 15, warnings: [] })
    const others = [
      encodeSafetensors([...tensors.values(), tensor("w", [1], new Float32Array(1))].slice(1), metadata),
      encodeSafetensors(tensors.values(), { ...metadata, nasp: metadata.nasp!.replace("15", "14") }),
      Buffer.concat([whole.subarray(0, -1), Buffer.of(whole.at(-1)! ^ 1)]),
    ]
    for (const bytes of others) {
      writeFileSync(newest(), bytes)
      expect(load(config)).toEqual({
        step: 10,
        warnings: [expect.stringMatching(/step-0000000015.* its checksum is another one/)],
      })
    }
  })
})
