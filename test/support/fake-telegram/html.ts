/** Telegram's HTML: which tags it knows, and what text remains when they are taken out. Anything else is an error. */

const TAGS = new Set([
  "b",
  "strong",
  "i",
  "em",
  "u",
  "ins",
  "s",
  "strike",
  "del",
  "span",
  "tg-spoiler",
  "a",
  "tg-emoji",
  "code",
  "pre",
  "blockquote",
]);
const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"' };
const TOKEN = /<(\/?)([a-z-]*)((?:\s[^<>]*)?)>|&(#\d+|#x[0-9a-f]+|[a-z]+);|[<>&]|[^<>&]+/gi;
/** Tag → attributes that it may have. */
const ATTRIBUTES: Record<string, RegExp> = {
  a: /^\s+href=("[^"]*"|'[^']*')\s*$/,
  span: /^\s+class="tg-spoiler"\s*$/,
  "tg-emoji": /^\s+emoji-id="\d+"\s*$/,
  code: /^\s+class="language-[^"]+"\s*$/,
  blockquote: /^\s+expandable\s*$/,
};

/** The text after parsing; throws an Error with Telegram's words for what it cannot parse. */
export function textOfHtml(html: string): string {
  const open: string[] = [];
  let text = "";
  for (const { 0: token, 1: closing, 2: name = "", 3: attributes = "", 4: entity, index } of html.matchAll(
    TOKEN,
  )) {
    if (entity !== undefined) {
      text += entityText(entity, index);
      continue;
    }
    if (closing === undefined) {
      // Telegram forgives a lone > or &, and this project does not: what is not escaped was not meant.
      if (token === "<" || token === ">" || token === "&")
        throw new Error(
          `can't parse entities: unescaped "${token}" at byte offset ${byteOffset(html, index)}`,
        );
      text += token;
      continue;
    }
    const tag = name.toLowerCase();
    if (!TAGS.has(tag))
      throw new Error(
        `can't parse entities: Unsupported start tag "${tag}" at byte offset ${byteOffset(html, index)}`,
      );
    if (closing === "/") {
      const expected = open.pop();
      if (expected !== tag)
        throw new Error(
          `can't parse entities: Unmatched end tag at byte offset ${byteOffset(html, index)}, expected "</${expected ?? ""}>", found "</${tag}>"`,
        );
    } else {
      if (attributes.trim() !== "" && ATTRIBUTES[tag]?.test(attributes) !== true)
        throw new Error(
          `can't parse entities: attributes of "${tag}" at byte offset ${byteOffset(html, index)}`,
        );
      open.push(tag);
    }
  }
  const left = open.at(-1);
  if (left !== undefined)
    throw new Error(`can't parse entities: Can't find end tag corresponding to start tag "${left}"`);
  return text;
}

function entityText(entity: string, index: number): string {
  if (entity.startsWith("#")) {
    const hexadecimal = entity[1]?.toLowerCase() === "x";
    return String.fromCodePoint(Number.parseInt(entity.slice(hexadecimal ? 2 : 1), hexadecimal ? 16 : 10));
  }
  const known = ENTITIES[entity];
  if (known === undefined) throw new Error(`can't parse entities: unknown entity &${entity}; at ${index}`);
  return known;
}

function byteOffset(text: string, index: number): number {
  return Buffer.byteLength(text.slice(0, index));
}
