/**
 * Texts that are filled from an event: `{{payload.repo}}`, or `{{payload.repo?}}` where it may be absent. What such a
 * path means is said here, once; what becomes of one that leads nowhere is the caller's to say. Only what the values
 * say themselves is there (no prototype), and what is filled in is never read as a template again.
 */
const PLACEHOLDER = /\{\{\s*([A-Za-z0-9_$.-]+)(\?)?\s*\}\}/g;

export interface Placeholder {
  /** Keys with dots between them. */
  path: string;
  /** It ends in `?`. */
  optional: boolean;
  /** Where it begins in the template, in characters. */
  offset: number;
}

/** Puts what `fill` says in the place of each placeholder. */
export function fillPlaceholders(template: string, fill: (placeholder: Placeholder) => string): string {
  return template.replace(PLACEHOLDER, (_whole, path: string, mark: string | undefined, offset: number) =>
    fill({ path, optional: mark !== undefined, offset }),
  );
}

/** What stands at a path, as text: an object as JSON; undefined when there is nothing, or null. */
export function textAt(values: unknown, path: string): string | undefined {
  let current = values;
  for (const key of path.split(".")) {
    if (current === null || typeof current !== "object" || !Object.hasOwn(current, key)) return undefined;
    current = (current as Record<string, unknown>)[key];
  }
  if (current === undefined || current === null) return undefined;
  return typeof current === "string" ? current : JSON.stringify(current);
}
