/** The one class of errors: what the native engine throws are instances of it as well. */

/** What each means stands in docs/api.md; the engine's are those of native/core/error.h. */
export type ErrorCode =
  | "ERR_NASP_ABORTED"
  | "ERR_NASP_ADDON"
  | "ERR_NASP_ARGUMENT"
  | "ERR_NASP_BUSY"
  | "ERR_NASP_CHECKPOINT"
  | "ERR_NASP_DATA"
  | "ERR_NASP_DISPOSED"
  | "ERR_NASP_DIVERGED"
  | "ERR_NASP_FORMAT"
  | "ERR_NASP_INTERNAL"
  | "ERR_NASP_IO"
  | "ERR_NASP_LOCKED"
  | "ERR_NASP_OUT_OF_MEMORY"
  | "ERR_NASP_RUN_FOLDER"
  | "ERR_NASP_SHAPE"
  | "ERR_NASP_UNKNOWN_TENSOR"
  | "ERR_NASP_UNSUPPORTED"

export class NaspError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "NaspError"
    this.code = code
  }
}
