/** What a figure was measured on; printed beside every one. */
import { cpuName } from "../machine.js"
import type { NativeAddon } from "../native.js"

export interface Machine {
  cpu: string
  threads: number
  isa: string
  runtime: string
}

/** `threads` as asked for, 0 = what the process may use. */
export function describeMachine(native: NativeAddon, threads: number): Machine {
  const info = native.info()
  return {
    cpu: cpuName(),
    threads: threads || info.threads,
    isa: info.chosen,
    runtime: `Node ${process.versions.node}`,
  }
}

export function machineLine({ cpu, threads, isa, runtime }: Machine): string {
  return `${cpu}, ${threads} ${threads === 1 ? "thread" : "threads"}, ${isa}, ${runtime}`
}
