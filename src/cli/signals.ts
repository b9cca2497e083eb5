/** The signals that end a command's work: the first has it finish its step and save, a second one stops it at once. */
import { constants } from "node:os"

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/** What a command says of the first. */
export const finishing = "finishing the step, or what follows an epoch, and saving; once more stops at once"

/** @returns what takes the listeners away */
export function onSignals(first: (signal: NodeJS.Signals) => void, second: () => void): () => void {
  let isFirst = true
  const listener = (signal: NodeJS.Signals) => {
    if (isFirst) first(signal)
    else if (signal !== "SIGHUP") second() // one terminal that closes sends several: the kernel's and its shell's
    isFirst = false
  }
  for (const signal of signals) process.on(signal, listener)
  return () => {
    for (const signal of signals) process.off(signal, listener)
  }
}

/** 128 + the signal's number, as shells do. */
export function exitCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}
