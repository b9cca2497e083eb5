/**
 * How a running search looks: a line an epoch on stdout; on stderr a bar with the time left where that is a terminal,
 * otherwise a plain line now and then.
 */
import { percent } from "../percent.js"
import { upkeep } from "../train/epoch-totals.js"
import type { EpochEvent, SearchEvent, StartEvent } from "../train/events.js"

const barWidth = 24
/** Seconds between plain lines. */
const plainEvery = 30

export interface Progress {
  show(event: SearchEvent): void
  /** Clears the bar, for something else to be printed. */
  clear(): void
}

/** Warnings alone, on stderr. */
export function quietProgress(): Progress {
  return {
    show(event) {
      if (event.type === "warning") process.stderr.write(`warning: ${event.message}\n`)
    },
    clear() {},
  }
}

/** Every event as one line of JSON on stdout. */
export function jsonProgress(): Progress {
  return { show: (event) => void process.stdout.write(`${JSON.stringify(event)}\n`), clear() {} }
}

export function textProgress(): Progress {
  const terminal = process.stderr.isTTY
  let start: StartEvent | null = null
  let began = 0
  let shown = 0
  const clear = () => {
    if (terminal) process.stderr.write("\r\x1b[K")
  }
  const line = (text: string) => {
    clear()
    process.stdout.write(`${text}\n`)
  }
  const seconds = () => performance.now() / 1000

  return {
    clear,
    show(event) {
      if (event.type === "start" || event.type === "resume") {
        start = event
        began = shown = seconds()
        line(startLine(event))
      } else if (event.type === "step" && start) {
        const now = seconds()
        if (now - shown < (terminal ? 0.1 : plainEvery)) return
        shown = now
        const left = ((now - began) / (event.step - start.step)) * (start.last_step - event.step)
        const inEpoch = event.step - event.epoch * start.steps_per_epoch
        const done = inEpoch / start.steps_per_epoch
        const filled = Math.round(barWidth * done)
        const bar = terminal ? `[${"█".repeat(filled)}${"·".repeat(barWidth - filled)}] ` : ""
        const text = `epoch ${event.epoch + 1}/${start.epochs} ${bar}step ${event.step}/${start.last_step}  loss ${event.loss.toFixed(3)}  ${duration(left)} left`
        process.stderr.write(
          terminal ? `\r\x1b[K${text.slice(0, (process.stderr.columns || 80) - 1)}` : `${text}\n`,
        )
      } else if (event.type === "epoch" && start) {
        line(epochLine(event, start))
      } else if (event.type === "warning") {
        clear()
        process.stderr.write(`warning: ${event.message}\n`)
      } else if (event.type === "early_stop") {
        line(`ends early: ${event.reason}`)
      } else if (event.type === "finished" || event.type === "stopped") {
        clear()
      }
    },
  }
}

function startLine(event: StartEvent): string {
  const what = `${event.method} on ${event.space}, ${event.data}: ${event.last_step} steps, ${event.steps_per_epoch} an epoch`
  const where = `${event.isa}, ${event.threads} ${event.threads === 1 ? "thread" : "threads"}`
  const from = event.type === "resume" ? `going on after step ${event.step}: ` : ""
  return `${from}${what}; ${where}${event.out === null ? "" : `; ${event.out}`}`
}

function epochLine(event: EpochEvent, start: StartEvent): string {
  const s = event.seconds
  const time = (value: number) => (value < 10 ? value.toFixed(1) : value.toFixed(0))
  return [
    `epoch ${event.epoch + 1}/${start.epochs}`,
    `train loss ${event.train_loss.toFixed(3)} acc ${percent(event.train_acc)} %`,
    `validation loss ${event.val_loss.toFixed(3)} acc ${percent(event.val_acc)} %`,
    `${time(s.total)} s (alpha ${time(s.alpha_forward)} + ${time(s.alpha_backward)}, weights ${time(s.weight_forward)} + ${time(s.weight_backward)}, validation ${time(s.validation)}; data, log and checkpoints ${percent(upkeep(s))} %)`,
    `peak ${megabytes(event.peak_bytes.activations + event.peak_bytes.allocated)} engine, ${megabytes(event.peak_bytes.resident)} process`,
    `${event.flipped} edges flipped, skips ${event.skips.normal} + ${event.skips.reduce}`,
    event.agrees ? "softmax ranking agrees" : "softmax ranking differs",
  ].join(" | ")
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`
}

function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  if (s < 60) return `${s} s`
  const minutes = Math.floor(s / 60)
  if (minutes < 60) return `${minutes} min ${s % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
