/**
 * Texts cut to a length. Platforms count UTF-16 units and refuse half of a character that takes two: a text is never cut
 * between the two, and the half that a stranger sent us is replaced before it is sent on.
 */

/** The first `most` units, less one where that would halve a character. */
export function beginningOf(text: string, most: number): string {
  return text.length <= most ? text : text.slice(0, isHalved(text, most) ? most - 1 : most);
}

/** The last `most` units, less one where that would halve a character. */
export function endOf(text: string, most: number): string {
  const from = text.length - most;
  return from <= 0 ? text : text.slice(isHalved(text, from) ? from + 1 : from);
}

/** At most so many units; what is left out shows. */
export function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${beginningOf(text, most - 1)}…`;
}

/** A cut there would stand between the two units of one character. */
function isHalved(text: string, at: number): boolean {
  return isBetween(text.charCodeAt(at - 1), 0xd800, 0xdbff) && isBetween(text.charCodeAt(at), 0xdc00, 0xdfff);
}

function isBetween(unit: number, first: number, last: number): boolean {
  return unit >= first && unit <= last;
}
