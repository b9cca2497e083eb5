#!/usr/bin/env node
/**
 * The command `nasp`. Exit codes: 0 done, 1 an error, 2 a wrong call, 129, 130 and 143 stopped by SIGHUP, SIGINT and
 * SIGTERM.
 * Errors are one line on stderr, never a stack trace.
 */
import { Command, CommanderError } from "commander"

import { NaspError } from "../errors.js"
import { version } from "../version.js"
import * as bench from "./bench.js"
import * as doctor from "./doctor.js"
import * as quickstart from "./quickstart.js"
import * as reproduce from "./reproduce.js"
import * as search from "./search.js"
import * as verify from "./verify.js"

const program = new Command("nasp")
  .description("Neural architecture search via proximal iterations (NASP, AAAI 2020) on a native engine")
  .version(version)
  .exitOverride()
  .showHelpAfterError("(see --help)")
  .addHelpText(
    "after",
    `
Examples:
  nasp quickstart                                          a small search on generated data, under a minute
  nasp search --data cifar10 --data-dir DIR --out RUN      the search of the paper
  nasp search --resume RUN                                 go on after an interruption
  nasp reproduce figure3 --budget 30m                      the paper's figures and tables on this machine
  nasp doctor                                              what was built and what is used`,
  )

for (const command of [search, quickstart, doctor, verify, bench, reproduce]) command.register(program)

// A reader that went away (nasp ... | head; EIO: a terminal) is no error; a full disk is. A search takes either as a reason to
// stop and save, and listens too.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE" || error.code === "EIO" || process.exitCode === 1) return
    if (stream.listenerCount("error") === 1) throw error
    process.exitCode = 1
    process.stderr.write(`nasp: ${error.message}\n`)
  })
}
process.on("uncaughtException", (error) => {
  process.stderr.write(`nasp: ${error.message}\n`)
  process.exit(1)
})

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2 // commander has said it
  process.stderr.write(`nasp: ${error instanceof Error ? error.message : String(error)}\n`)
  return error instanceof NaspError && error.code === "ERR_NASP_ARGUMENT" ? 2 : 1
}
