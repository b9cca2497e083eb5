/** PC-DARTS' step: alpha and beta move together, against their gradients, once the warm epochs are over. */
import { expect, test } from "vitest"

import { adamFromJson, type AdamJson } from "../../src/methods/adam.js"
import { readMatrices } from "../../src/methods/matrices.js"
import { gradientThroughPartial, mixPartial } from "../../src/methods/pc-darts.js"
import { loadBatch } from "../net/sessions.js"
import { stepAt, validationBatch, withMethod, type Running } from "./running.js"
import { cellTypes } from "../../src/spaces/index.js"

const archLr = 6e-4
const setting = {
  options: { warmEpochs: 2 },
  net: { channels: 8, partialChannels: 4 },
  settings: { channels: 8, archLr },
}

/** beta of the normal cell's edges, then of the reduction cell's. */
const betasOf = ({ method }: Running) => adamFromJson(method.save!() as AdamJson).values

test("Adam's first step moves every entry of alpha and beta by its rate, down the gradient", () =>
  withMethod("pc-darts", setting, async (running) => {
    const { session, space } = running
    const alpha = readMatrices(session)
    const start = betasOf(running)
    expect(start).toHaveLength(28)

    const parts = { normal: start.slice(0, 14), reduce: start.slice(14) }
    const mixture = mixPartial({ session, space }, alpha, parts)
    await session.architectureGradient(loadBatch(session, validationBatch))
    const gradient = gradientThroughPartial({ session, space }, mixture)

    await stepAt(running, { epoch: 2 })
    const moved = betasOf(running)
    const beta = [...gradient.beta.normal, ...gradient.beta.reduce]
    beta.forEach((g, e) => {
      expect(Math.sign(moved[e]! - start[e]!), `beta ${e}`).toBe(-Math.sign(g))
      // lr |g| / (|g| + 1e-8)
      expect(Math.abs(moved[e]! - start[e]!) / archLr, `beta ${e}`).toBeCloseTo(1, 2)
    })
    const after = readMatrices(session)
    for (const type of cellTypes) {
      const moves = after[type].map((a, i) => a - alpha[type][i]!)
      expect([...moves].map(Math.sign)).toEqual([...gradient.alpha[type]].map((g) => -Math.sign(g)))
    }

    // A second step, by the moments of both: entries whose gradient keeps its sign go on.
    await stepAt(running, { epoch: 2, step: 1 })
    const further = betasOf(running)
    const goOn = beta.filter((g, e) => Math.sign(further[e]! - moved[e]!) === -Math.sign(g)).length
    expect(goOn).toBeGreaterThan(24)
    expect(adamFromJson(running.method.save!() as AdamJson).state.step).toBe(2)
  }))

test("the mixture that the weights learn with is that of the moved alpha and beta", () =>
  withMethod("pc-darts", { ...setting, settings: { channels: 8, archLr: 0.5 } }, async (running) => {
    const { session, space } = running
    await stepAt(running, { epoch: 2 })
    const used = readMatrices(session, "selected.alphas")
    const beta = betasOf(running)
    mixPartial({ session, space }, readMatrices(session), {
      normal: beta.slice(0, 14),
      reduce: beta.slice(14),
    })
    expect(used).toEqual(readMatrices(session, "selected.alphas"))
    const bypasses = running.calls.filter(({ name }) => name === "setBypass").slice(-2)
    const softmax = [beta[0]!, beta[1]!].map(Math.exp)
    expect((bypasses[0]!.given[1] as Float64Array)[0]).toBeCloseTo(
      softmax[0]! / (softmax[0]! + softmax[1]!),
      12,
    )
  }))

test("in the warm epochs both stay", () =>
  withMethod("pc-darts", setting, async (running) => {
    const [alpha, beta] = [readMatrices(running.session), betasOf(running)]
    await stepAt(running, { epoch: 1, lr: 0.1 })
    expect(readMatrices(running.session)).toEqual(alpha)
    expect(betasOf(running)).toEqual(beta)
  }))
