/** What a figure was measured on; printed beside every one. */
import type { Place } from "../device.js"
import { cpuName } from "../machine.js"
import type { NativeAddon } from "../native.js"

export interface Machine {
  cpu: string
  threads: number
  isa: string
  runtime: string
}

/** `threads` as asked for, 0 = what the process may use. A device stands in the instruction set's place. */
export function describeMachine(native: NativeAddon, threads: number, device: Place = "cpu"): Machine {
  const info = native.info()
  return {
    cpu: cpuName(),
    threads: threads || info.threads,
    isa: device === "cpu" ? info.chosen : device,
    runtime: `Node ${process.versions.node}`,
  }
}

/** Of a run, whose events do not hold the runtime, without it. */
export function machineLine({ cpu, threads, isa, ...machine }: Omit<Machine, "runtime"> | Machine): string {
  const runtime = "runtime" in machine ? `, ${machine.runtime}` : ""
  return `${cpu}, ${threads} ${threads === 1 ? "thread" : "threads"}, ${isa}${runtime}`
}
