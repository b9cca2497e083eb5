/**
 * Where the engine computes: on the CPU, or on a CUDA device through nasp_cuda.so (docs/cuda.md). To the native side a
 * device is one more instruction set: sessions and operations ask for it by name.
 */
import { choiceField, type Field } from "./expect.js"
import type { NativeAddon, NativeSessionOptions } from "./native.js"

// The CUDA backend on the CPU, for tests: accepted, but no part of the package, and in no help.
type Emulated = "cuda-emulated"
export type Place = "cpu" | "cuda" | Emulated
export type Device = Place | "auto"

const accepting = <D extends string>(field: Field<D>): Field<D | Emulated> => ({
  ...field,
  accepts: (value) => value === "cuda-emulated" || field.accepts(value),
})

/** A device by its name. */
export const placeField = accepting(choiceField("cpu", ["cpu", "cuda"], "where to compute"))
/** The same, or whatever can be used. */
export const deviceField = accepting(
  choiceField(
    "cpu",
    ["cpu", "cuda", "auto"],
    "where to compute: the CPU, a CUDA device, or that where it can be used",
  ),
)

/** The addon whose sessions and operations run on `device`; "cpu": the addon as it is. */
export function onDevice(addon: NativeAddon, device: Place): NativeAddon {
  if (device === "cpu") return addon
  const there = <T extends { isa?: string }>(options: T): T => ({ ...options, isa: options.isa || device })
  const open = function (options: NativeSessionOptions) {
    return new addon.Session(there(options))
  } as unknown as NativeAddon["Session"]
  return {
    ...addon,
    Session: open,
    runOperation: (request) => addon.runOperation(there(request)),
    timeOperation: (request, pass, repeats) => addon.timeOperation(there(request), pass, repeats),
  }
}

/** "auto" is cuda where a device can be used, and else the CPU; `note` then says why, in one line. */
export function chooseDevice(addon: NativeAddon, device: Device): { device: Place; note: string | null } {
  if (device !== "auto") return { device, note: null }
  const { absence } = addon.cudaStatus()
  if (absence === null) return { device: "cuda", note: null }
  return { device: "cpu", note: `device auto takes the CPU: ${absence}` }
}
