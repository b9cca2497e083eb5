/**
 * The two halves of a data set: the first half of the records trains the weights, the second half validates and
 * trains alpha (train_portion 0.5, as released). A record or a batch of one half cannot stand where one of the other
 * is wanted: their types differ, though both are plain numbers when the program runs.
 */

import { NaspError } from "../errors.js"

declare const half: unique symbol
type Of<H extends "train" | "validation", T> = T & { readonly [half]: H }

/** Indices of records into the whole data set. */
export type TrainRecords = Of<"train", Uint32Array>
export type ValidationRecords = Of<"validation", Uint32Array>

/** A prepared batch of one half; it is a number to the engine, which uses it up in one step. */
export type TrainTicket = Of<"train", number>
export type ValidationTicket = Of<"validation", number>

/** What was measured on one half, such as an accuracy. */
export type TrainFigure = Of<"train", number>
export type ValidationFigure = Of<"validation", number>

export interface Half<Records> {
  count: number
  /** Positions within the half to records of the data set. */
  records(positions: ArrayLike<number>): Records
}

export interface Halves {
  train: Half<TrainRecords>
  validation: Half<ValidationRecords>
}

/** One for each half. */
export const fewestImages = 2

/** @throws NaspError ERR_NASP_DATA where a half would be empty */
export function halvesOf(count: number): Halves {
  if (count < fewestImages) {
    throw new NaspError(
      "ERR_NASP_DATA",
      `Expected ${fewestImages} images at least, one to train and one to validate, but received ${count}`,
    )
  }
  const train = Math.floor(count / 2)
  const from = (positions: ArrayLike<number>, first: number) => Uint32Array.from(positions, (p) => first + p)
  return {
    train: { count: train, records: (positions) => from(positions, 0) as TrainRecords },
    validation: {
      count: count - train,
      records: (positions) => from(positions, train) as ValidationRecords,
    },
  }
}
