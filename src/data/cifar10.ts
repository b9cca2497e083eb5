/**
 * CIFAR-10 in its official binary format (www.cs.toronto.edu/~kriz/cifar.html, "binary version"): records of 3073
 * bytes, one label (0..9), then 1024 red, 1024 green, 1024 blue bytes, each plane row by row. The number of records
 * comes from the file's size. Only the training batches are read: a search never sees the test set.
 */
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"

import { NaspError } from "../errors.js"
import { readRegularFile } from "../read-file.js"
import { checkSourceFolder } from "./check-folder.js"
import type { DataSource, ImageData } from "./index.js"

const classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
const pixels = 3 * 32 * 32
const record = 1 + pixels

export const cifar10: DataSource = {
  name: "cifar10",
  about: "CIFAR-10, official binary format: data_batch_*.bin in --data-dir or its cifar-10-batches-bin",
  needsFolder: true,
  load,
}

function load(folder: string): ImageData {
  checkSourceFolder("folder", folder, cifar10.name)
  const files = batchFiles(folder)
  const batches = files.map(readBatch)
  const count = batches.reduce((n, batch) => n + batch.length / record, 0)
  const images = new Uint8Array(count * pixels) // (N, 3, 32, 32)
  const labels = new Uint8Array(count)
  let i = 0
  for (const batch of batches) {
    for (let at = 0; at < batch.length; at += record, i++) {
      labels[i] = batch[at] as number
      images.set(batch.subarray(at + 1, at + record), i * pixels)
    }
  }
  return {
    classes,
    channels: 3,
    size: 32,
    images,
    labels,
    // quark0/darts cnn/utils.py
    mean: [0.49139968, 0.48215827, 0.44653124],
    std: [0.24703233, 0.24348505, 0.26158768],
    augment: { pad: 4, flip: true },
  }
}

// data_batch_1.bin, data_batch_2.bin, ... in the order of their numbers.
function batchFiles(folder: string): string[] {
  if (!existsSync(folder)) throw wrong(`the folder ${folder} does not exist`)
  if (!statSync(folder).isDirectory()) throw wrong(`${folder} is not a folder`)
  for (const place of [folder, join(folder, "cifar-10-batches-bin")]) {
    if (!existsSync(place)) continue
    const found = reading(() => readdirSync(place)).filter((name) => /^data_batch_\d+\.bin$/.test(name))
    if (found.length > 0) {
      const number = (name: string) => Number(/\d+/.exec(name)?.[0])
      return found.sort((a, b) => number(a) - number(b)).map((name) => join(place, name))
    }
  }
  throw wrong(
    `there is no data_batch_1.bin in ${folder} nor in its cifar-10-batches-bin; unpack cifar-10-binary.tar.gz there`,
  )
}

function readBatch(file: string): Uint8Array {
  const bytes = reading(() => readRegularFile(file))
  if (bytes.length === 0 || bytes.length % record !== 0) {
    throw wrong(
      `${file} has ${bytes.length} bytes, not a whole number of ${record}-byte records: truncated or another format`,
    )
  }
  for (let at = 0; at < bytes.length; at += record) {
    const label = bytes[at] as number
    if (label >= classes.length) {
      throw wrong(
        `record ${at / record} of ${file} has label ${label}, not one of 0 to ${classes.length - 1}: another format`,
      )
    }
  }
  return bytes
}

function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw wrong((error as Error).message)
  }
}

function wrong(why: string): NaspError {
  return new NaspError("ERR_NASP_DATA", `CIFAR-10 cannot be read: ${why}`)
}
