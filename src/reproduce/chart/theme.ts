/**
 * Colours and sizes of every picture. Light or dark follows the reader's setting; a viewer without one shows light.
 * Series differ in colour and in dash, so that they can be told apart without colour.
 */

interface SeriesLook {
  light: string
  dark: string
  dash: string | undefined
}

// The first are Okabe and Ito's, which the colour-blind can tell apart, darkened on white and lightened on black. As
// many as a space has operations (12) and the registry sides.
const looks: readonly SeriesLook[] = [
  { light: "#0068a8", dark: "#58a6ff", dash: undefined },
  { light: "#c44e00", dark: "#ff9248", dash: "7 3" },
  { light: "#00805c", dark: "#3fcf9e", dash: "2 3" },
  { light: "#a8407d", dark: "#e58cc0", dash: "9 3 2 3" },
  { light: "#8a6d00", dark: "#e3b341", dash: "5 2" },
  { light: "#5b5fc7", dark: "#a5a8ff", dash: "1 2" },
  { light: "#4d7a1f", dark: "#9fd356", dash: "12 3" },
  { light: "#7a4b2a", dark: "#d0a27f", dash: "4 2 1 2" },
  { light: "#1f7a8c", dark: "#5fd0e6", dash: "3 3 9 3" },
  { light: "#b3261e", dark: "#ff8a80", dash: "6 6" },
  { light: "#5c5c5c", dark: "#b0b0b0", dash: "1 4" },
  { light: "#6f3fa0", dark: "#c9a0ff", dash: "14 4 2 4" },
  { light: "#9c5400", dark: "#ffb066", dash: "8 2 8 6" },
]

export const size = { title: 15, label: 12, tick: 11, caption: 11 } as const

/** Class and dash of series number `index`. */
export function seriesLook(index: number): { className: string; dash: string | undefined } {
  const at = index % looks.length
  return { className: `s${at}`, dash: looks[at]?.dash }
}

export function styleSheet(): string {
  const rules = (tone: "light" | "dark", paper: string, ink: string, faint: string) =>
    [
      `.paper{fill:${paper}}`,
      `text{fill:${ink}}`,
      `.faint{fill:none;stroke:${faint}}`,
      `.axis{fill:none;stroke:${ink}}`,
      ...looks.map((look, i) => `.s${i}{stroke:${look[tone]};fill:${look[tone]}}`),
    ].join("")
  return [
    "text{font-family:system-ui,'DejaVu Sans',Helvetica,Arial,sans-serif}",
    rules("light", "#ffffff", "#1f2328", "#d9dee3"),
    ".line{stroke-width:2;stroke-linejoin:round}.thin{stroke-width:1.3}",
    ".band{fill-opacity:.16}",
    `@media (prefers-color-scheme:dark){${rules("dark", "#0d1117", "#e6edf3", "#30363d")}}`,
    ".line{fill:none}.band,.mark{stroke:none}",
  ].join("")
}
