/**
 * The public API of nasp: searches, genotypes, data by value, safetensors, and the engine's own account of itself.
 */
export { search, type Search, type SearchResult } from "./train/search.js"
export type { SearchOptions } from "./train/plan.js"
export type { NumberedFolder } from "./train/run-folder.js"
export type { TrainFigure, ValidationFigure } from "./data/halves.js"
export type {
  CellRows,
  CheckpointEvent,
  DerivedFigures,
  EarlyStopEvent,
  EndEvent,
  EpochEvent,
  OrdersEvent,
  PhaseSeconds,
  SearchEvent,
  StartEvent,
  StepEvent,
  WarningEvent,
} from "./train/events.js"
export { searchFields, type SearchConfig } from "./train/config.js"
export { NaspError, type ErrorCode } from "./errors.js"
export type { Field } from "./expect.js"
export {
  genotypeFromJson,
  genotypeFromText,
  genotypeToJson,
  genotypeToText,
  type Genotype,
  type GenotypeEdge,
} from "./genotype.js"
export { searchedGenotype, softmaxGenotype, type CellMatrices, type Matrix } from "./derive.js"
export { drawGenotype } from "./draw-genotype.js"
export { findSpace, spaces, type Space } from "./spaces/index.js"
export { canonicalOperation } from "./spaces/operations.js"
export { methods, type MethodOptions, type SearchMethod } from "./methods/index.js"
export { dataSources, findDataSource, type DataSource, type ImageData } from "./data/index.js"
export { generateTextures } from "./data/generated.js"
export {
  decodeSafetensors,
  encodeSafetensors,
  readSafetensors,
  tensor,
  type Dtype,
  type Tensor,
  type TensorData,
  type TensorFile,
} from "./safetensors.js"
export { loadNative, use } from "./native.js"
export type {
  AlphaUpdateOptions,
  AugmentOptions,
  CudaStatus,
  DiscretiseOptions,
  GradientOptions,
  NamedTensor,
  NativeAddon,
  NativeDataset,
  NativeInfo,
  NativeSession,
  NativeSessionOptions,
  OperationPass,
  OperationRequest,
  OperationResult,
  Precision,
  ProbePrecision,
  StepResult,
  TensorGroup,
  TensorInfo,
  Values,
  WeightUpdateOptions,
} from "./native.js"
