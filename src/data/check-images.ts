/** What images given by value must be, said before anything is made of them, and what is kept of them. */
import { checkNames, invalid } from "../expect.js"
import { fewestImages } from "./halves.js"
import type { ImageData } from "./index.js"

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value)
const isWhole = (value: unknown, from: number, to: number) =>
  Number.isInteger(value) && (value as number) >= from && (value as number) <= to

const names = ["classes", "channels", "size", "images", "labels", "mean", "std", "augment"]

/**
 * The images as they are when this is called, checked: what their giver changes afterwards is not seen. Of the pixels,
 * which any bytes may be, there is no copy.
 * @throws NaspError ERR_NASP_ARGUMENT that names the field, the expectation and the value
 */
export function copyImages(given: Partial<Record<keyof ImageData, unknown>>): ImageData {
  const data = { ...given }
  checkImages(data)
  const { classes, labels, mean, std, augment } = data
  return {
    ...data, // first: the fields' order is in the hash of the data
    classes: [...classes],
    labels: Uint8Array.from(labels),
    mean: [...mean],
    std: [...std],
    augment: { ...augment },
  }
}

function checkImages(data: Partial<Record<keyof ImageData, unknown>>): asserts data is ImageData {
  const { classes, channels, size, images, labels, mean, std, augment } = data
  checkNames("a field of data", data, names)
  const check = (holds: boolean, name: keyof ImageData, expected: string, value: unknown = data[name]) => {
    if (!holds) throw invalid(`data.${name}`, expected, value)
  }
  const areNames = Array.isArray(classes) && classes.every((name) => typeof name === "string")
  check(areNames && isWhole(classes.length, 2, 256), "classes", "2 to 256 names")
  check(isWhole(channels, 1, 64), "channels", "an integer from 1 to 64")
  check(isWhole(size, 4, 4096), "size", "an integer from 4 to 4096")
  const bytes = labels instanceof Uint8Array ? labels : null
  check(
    bytes !== null && bytes.length >= fewestImages,
    "labels",
    `a Uint8Array of a label an image, ${fewestImages} images at least`,
  )
  const count = bytes!.length
  const pixels = (channels as number) * (size as number) ** 2
  const shape = `${count} * ${String(channels)} * ${String(size)} * ${String(size)}`
  const isThere = images instanceof Uint8Array && images.length === count * pixels
  check(isThere, "images", `a Uint8Array of ${count * pixels} bytes (${shape}, as many images as labels)`)
  const most = (classes as string[]).length - 1
  const stranger = bytes!.findIndex((label) => label > most)
  check(stranger < 0, "labels", `labels from 0 to ${most}`, `${bytes![stranger]} (image ${stranger})`)
  for (const [name, values] of [["mean", mean] as const, ["std", std] as const]) {
    const numbers = Array.isArray(values) && values.length === channels && values.every(isNumber)
    check(numbers, name, `${String(channels)} finite numbers, one a channel`)
  }
  check(
    (std as number[]).every((value) => value > 0),
    "std",
    "numbers above 0",
  )
  const { pad, flip } = (augment ?? {}) as Partial<Record<"pad" | "flip", unknown>>
  check(
    isWhole(pad, 0, 4096) && typeof flip === "boolean",
    "augment",
    "{ pad: 0 to 4096, flip: true or false }",
  )
  checkNames("a field of data.augment", augment as object, ["pad", "flip"])
}
