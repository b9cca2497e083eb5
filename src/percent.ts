/** 0.4412 as "44.1". */
export function percent(fraction: number): string {
  return (100 * fraction).toFixed(1)
}
