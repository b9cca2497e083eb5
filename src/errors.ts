/** The one class of errors: what the native engine throws are instances of it as well. */

/**
 * `ERR_NASP_ARGUMENT`, `ERR_NASP_SHAPE`, `ERR_NASP_DIVERGED`, `ERR_NASP_ABORTED`, … — the engine's are listed in
 * native/core/error.h.
 */
export class NaspError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "NaspError"
    this.code = code
  }
}
