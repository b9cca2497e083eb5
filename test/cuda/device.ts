/** Where the tests of the CUDA backend run: on the emulation (docs/cuda.md), or with NASP_TEST_DEVICE=cuda on a card. */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

import { onDevice, type Place } from "../../src/device.js"
import { loadNative } from "../../src/native.js"

export const root = fileURLToPath(new URL("../..", import.meta.url))
export const device: Place = process.env.NASP_TEST_DEVICE === "cuda" ? "cuda" : "cuda-emulated"
export const isEmulated = device === "cuda-emulated"
export const isBuilt = !isEmulated || existsSync(`${root}build/emulation/nasp_cuda_emu.so`)
export const native = loadNative()
export const there = onDevice(native, device)

const absent = "build/emulation has no nasp_cuda_emu.so (npm run build:cuda -- --emulation)"
if (!isBuilt && process.env.NASP_REQUIRE_CUDA) throw new Error(absent)
if (!isBuilt) console.log(`skipped: ${absent}`)
