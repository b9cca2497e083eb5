/** SVG as text: elements with their attributes escaped, numbers cut to what a picture can show. */

type Attributes = Record<string, string | number | undefined>

export function element(name: string, attributes: Attributes, ...children: string[]): string {
  const given = Object.entries(attributes).filter(([, value]) => value !== undefined)
  const text = given.map(([key, value]) => ` ${key}="${escape(shown(value as string | number))}"`).join("")
  return children.length === 0 ? `<${name}${text}/>` : `<${name}${text}>${children.join("")}</${name}>`
}

export function text(attributes: Attributes, content: string): string {
  return element("text", attributes, escape(content))
}

/** What a screen reader says, and a browser where the pointer rests. */
export function title(content: string): string {
  return element("title", {}, escape(content))
}

/** Width of a line of text in pixels, near enough to place a legend: there is no font to ask. */
export function textWidth(content: string, size: number): number {
  return content.length * size * 0.56
}

function shown(value: string | number): string {
  return typeof value === "number" ? String(Math.round(value * 100) / 100) : value
}

function escape(value: string): string {
  return value
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
}
