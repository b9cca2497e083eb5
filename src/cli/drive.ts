/**
 * Runs a search to its end for the command line. A signal finishes the running step, saves and says how to go on; a
 * second one stops at once.
 */
import type { SearchEvent } from "../train/events.js"
import type { SearchOptions } from "../train/plan.js"
import { search, type SearchResult } from "../train/search.js"
import type { Progress } from "./progress.js"
import { exitCode, finishing, onSignals } from "./signals.js"

/** null where a second signal stopped the search at once. */
export async function drive(
  options: SearchOptions,
  progress: Progress,
  onEvent: (event: SearchEvent) => void = () => {},
): Promise<SearchResult | null> {
  const abort = new AbortController()
  const running = search({ ...options, signal: abort.signal })
  let received: NodeJS.Signals | null = null
  let folder: string | null = null
  const first = (signal: NodeJS.Signals) => {
    received = signal
    running.stop()
    progress.clear()
    process.stderr.write(`${finishing}\n`)
  }
  const ignoreSignals = onSignals(first, () => abort.abort())
  // A reader that went away (nasp search | head) is a reason to stop, not to crash.
  const onPipe = () => running.stop()
  const streams = [process.stdout, process.stderr]
  for (const stream of streams) stream.on("error", onPipe)
  try {
    for await (const event of running) {
      if (event.type === "start" || event.type === "resume") folder = event.out
      progress.show(event)
      onEvent(event)
    }
    const result = await running.result()
    if (result.status === "stopped" && result.out !== null)
      process.stderr.write(`stopped after step ${result.step}${howToGoOn(result.out)}\n`)
    if (received !== null && result.status === "stopped") process.exitCode = exitCode(received)
    return result
  } catch (error) {
    if (received === null || !abort.signal.aborted) throw error
    process.stderr.write(
      `stopped at once; the last checkpoint stays${folder === null ? "" : howToGoOn(folder)}\n`,
    )
    process.exitCode = exitCode(received)
    return null
  } finally {
    progress.clear()
    ignoreSignals()
    for (const stream of streams) stream.off("error", onPipe)
  }
}

const howToGoOn = (folder: string) => `; go on with: nasp search --resume ${shellWord(folder)}`

export function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
