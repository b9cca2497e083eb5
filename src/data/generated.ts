/**
 * Ten classes of textures that a convolutional net tells apart and a linear model cannot: patches of stripes in five
 * orientations and two wavelengths, scattered over noise. Place, phase and colour (with its sign) of every patch are
 * random, so that an image and its negative are equally likely: no pixel tells anything, and by symmetry the best
 * linear model is the constant one. No download, the same bytes everywhere.
 *
 * Classes alternate, so that any prefix of the records is balanced.
 */
import { invalid } from "../expect.js"
import { mulberry32 } from "../mulberry32.js"
import type { DataSource, ImageData } from "./index.js"

const size = 32
const orientations = 5
const wavelengths = [4, 8]
const patches = 6
const radius = 6
const contrast = 80
const noise = 50

export const generated: DataSource = {
  name: "generated",
  about: "ten classes of generated textures, no download: for trying things out and for tests",
  needsFolder: false,
  load: () => generateTextures(4000, 1),
}

const most = 1_000_000

/**
 * `count` images from a seed.
 * @throws NaspError ERR_NASP_ARGUMENT
 */
export function generateTextures(count: number, seed: number): ImageData {
  if (!Number.isInteger(count) || count < 1 || count > most)
    throw invalid("count", `an integer from 1 to ${most}`, count)
  if (!Number.isSafeInteger(seed)) throw invalid("seed", "an integer", seed)
  const random = mulberry32(seed)
  const classes = wavelengths.flatMap((w) =>
    Array.from(
      { length: orientations },
      (_, o) => `${Math.round((180 * o) / orientations)} degrees, ${w} pixels`,
    ),
  )
  const images = new Uint8Array(count * 3 * size * size) // (N, 3, 32, 32)
  const labels = new Uint8Array(count)
  const waves = new Float64Array(3 * size * size) // (3, 32, 32)
  for (let i = 0; i < count; i++) {
    const label = i % classes.length
    labels[i] = label
    waves.fill(0)
    for (let p = 0; p < patches; p++) addPatch(waves, label, random)
    waves.forEach((wave, p) => {
      const value = 128 + wave + noise * (2 * random() - 1)
      images[i * waves.length + p] = Math.max(0, Math.min(255, value))
    })
  }
  return {
    classes,
    channels: 3,
    size,
    images,
    labels,
    mean: [0.5, 0.5, 0.5],
    std: [0.13, 0.13, 0.13],
    augment: { pad: 0, flip: false }, // a flip would turn one orientation into another
  }
}

// Stripes of the class in a round window that fades out towards its edge.
function addPatch(waves: Float64Array, label: number, random: () => number): void {
  const angle = ((label % orientations) + 0.4 * (random() - 0.5)) * (Math.PI / orientations)
  const wavelength = (wavelengths[Math.floor(label / orientations)] as number) * (0.9 + 0.2 * random())
  const kx = (2 * Math.PI * Math.cos(angle)) / wavelength
  const ky = (2 * Math.PI * Math.sin(angle)) / wavelength
  const phase = 2 * Math.PI * random()
  const [cx, cy] = [size * random(), size * random()]
  const colour = [0, 1, 2].map(() => contrast * (2 * random() - 1))
  for (let y = Math.max(0, Math.ceil(cy - radius)); y <= Math.min(size - 1, cy + radius); y++) {
    for (let x = Math.max(0, Math.ceil(cx - radius)); x <= Math.min(size - 1, cx + radius); x++) {
      const window = 1 - ((x - cx) ** 2 + (y - cy) ** 2) / radius ** 2
      if (window <= 0) continue
      const wave = window * Math.cos(kx * (x - cx) + ky * (y - cy) + phase)
      colour.forEach((amplitude, c) => {
        const at = c * size * size + y * size + x
        waves[at] = (waves[at] as number) + amplitude * wave
      })
    }
  }
}
