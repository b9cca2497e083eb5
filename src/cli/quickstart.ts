/** `nasp quickstart`: a small search on generated data to its end, in well under a minute, and what to do next. */
import type { Command } from "commander"

import { drawGenotype } from "../draw-genotype.js"
import { percent } from "../percent.js"
import { drive, shellWord } from "./drive.js"
import { textProgress } from "./progress.js"

const classes = 10

export function register(program: Command): void {
  program
    .command("quickstart")
    .description("a small search on generated data, under a minute")
    .allowExcessArguments(false)
    .action(run)
}

async function run(): Promise<void> {
  const out = { parent: "runs", name: "quickstart" }
  let accuracy = NaN
  const result = await drive(
    { space: "nasp12", epochs: 2, batch: 32, channels: 8, layers: 4, lr: 0.05, archLr: 3e-3, seed: 1, out },
    textProgress(),
    (event) => {
      if (event.type === "epoch") accuracy = event.val_acc
    },
  )
  if (result?.status !== "finished") return
  const next = [
    [
      "nasp search --data cifar10 --data-dir DIR",
      "the search on CIFAR-10, its binary version unpacked in DIR",
    ],
    ["nasp search --help", "spaces, options, resuming"],
    [`cat ${shellWord(result.out!)}/genotype.json`, "what a run leaves behind"],
  ] as const
  process.stdout.write(`
${drawGenotype(result.genotype)}

validation accuracy ${percent(accuracy)} %, chance ${percent(1 / classes)} %
This cell comes from generated data and some hundred steps: it shows that everything works, and means nothing.

What to run next:
${next.map(([command, what]) => `  ${command.padEnd(44)} ${what}`).join("\n")}
(npx nasp, where the package is not installed globally)
`)
}
