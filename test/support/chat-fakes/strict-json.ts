/** JSON as chat platforms read it: text with half a character in it is none, escaped or not. */

/** Throws a SyntaxError for what a platform would refuse. */
export function strictJson(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value === "string" && !value.isWellFormed())
      throw new SyntaxError("half of a surrogate pair stands alone");
    return value;
  });
}
