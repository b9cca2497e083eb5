/** The files of a finished run. Free of time stamps: equal runs leave equal bytes. */
import { existsSync } from "node:fs"
import { join } from "node:path"

import { genotypeToJson, genotypeToText } from "../genotype.js"
import type { Derived } from "../methods/index.js"
import type { NativeSession, Values } from "../native.js"
import { encodeSafetensors, readSafetensors, tensor } from "../safetensors.js"
import { writeWhole } from "./files.js"

/** @throws NaspError ERR_NASP_IO */
export function writeOutputs(run: string, session: NativeSession, { searched, softmax }: Derived): void {
  const infos = session.tensors()
  const tensors = (groups: string[]) =>
    infos.filter((t) => groups.includes(t.group)).map((t) => tensor(t.name, t.shape, session.read(t.name)))
  writeWhole(join(run, "weights.safetensors"), encodeSafetensors(tensors(["parameter", "buffer"])))
  writeWhole(join(run, "alpha.safetensors"), encodeSafetensors(tensors(["alpha"])))
  writeWhole(join(run, "genotype-softmax.json"), genotypeToJson(softmax))
  writeWhole(join(run, "genotype.txt"), `${genotypeToText(searched)}\n`)
  writeWhole(join(run, "genotype.json"), genotypeToJson(searched))
}

/** The alpha that a finished run was left with; without its file, as it is. */
export function restoreAlpha(session: NativeSession, run: string): void {
  const file = join(run, "alpha.safetensors")
  if (!existsSync(file)) return
  for (const { name, data } of readSafetensors(file).tensors.values()) session.write(name, data as Values)
}
