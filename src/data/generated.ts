/**
 * Ten classes of textures that a convolutional net tells apart and a linear model cannot: gratings of five
 * orientations and two wavelengths. Phase and colour (with its sign) are random, so that every class has the same
 * mean image and no pixel tells anything; only how neighbours go together does. No download, same bytes everywhere.
 *
 * Classes alternate, so that any prefix of the records is balanced.
 */
import type { DataSource, ImageData } from "./index.js"

const size = 32
const orientations = 5
const wavelengths = [4, 8]
const contrast = 40
const noise = 40

export const generated: DataSource = {
  name: "generated",
  about: "ten classes of generated textures, no download: for trying things out and for tests",
  needsFolder: false,
  load: () => generateTextures(4000, 1),
}

/** `count` images from a seed. */
export function generateTextures(count: number, seed: number): ImageData {
  const random = mulberry32(seed)
  const classes = wavelengths.flatMap((w) =>
    Array.from({ length: orientations }, (_, o) => `${Math.round((180 * o) / orientations)} degrees, ${w} pixels`),
  )
  const images = new Uint8Array(count * 3 * size * size) // (N, 3, 32, 32)
  const labels = new Uint8Array(count)
  const wave = new Float64Array(size * size)
  let at = 0
  for (let i = 0; i < count; i++) {
    const label = i % classes.length
    labels[i] = label
    const angle = ((label % orientations) + 0.4 * (random() - 0.5)) * (Math.PI / orientations)
    const wavelength = (wavelengths[Math.floor(label / orientations)] as number) * (0.9 + 0.2 * random())
    grating(wave, angle, wavelength, 2 * Math.PI * random())
    for (let c = 0; c < 3; c++) {
      const amplitude = contrast * (2 * random() - 1)
      for (let p = 0; p < wave.length; p++) {
        images[at++] = Math.max(0, Math.min(255, 128 + amplitude * (wave[p] as number) + noise * (2 * random() - 1)))
      }
    }
  }
  return {
    classes,
    channels: 3,
    size,
    images,
    labels,
    mean: [0.5, 0.5, 0.5],
    std: [0.15, 0.15, 0.15],
    augment: { pad: 0, flip: false }, // a flip would turn one orientation into another
  }
}

// cos(kx x + ky y + phase) as a sum of products, so that an image costs 4 * size cosines.
function grating(wave: Float64Array, angle: number, wavelength: number, phase: number): void {
  const kx = (2 * Math.PI * Math.cos(angle)) / wavelength
  const ky = (2 * Math.PI * Math.sin(angle)) / wavelength
  const across = Array.from({ length: size }, (_, x) => [Math.cos(kx * x + phase), Math.sin(kx * x + phase)] as const)
  for (let y = 0; y < size; y++) {
    const cos = Math.cos(ky * y)
    const sin = Math.sin(ky * y)
    across.forEach(([c, s], x) => (wave[y * size + x] = c * cos - s * sin))
  }
}

// Tommy Ettinger's mulberry32: 32 bits of state, uniform in [0, 1).
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 15), z | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296
  }
}
