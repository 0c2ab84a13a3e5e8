/** How records name the caller of the HTTP interface. */

/**
 * `api`, or `api: <by>`. The caller chooses `by`, so the prefix keeps it from reading like a user of a chat, whom the
 * edge itself has identified (`discord:1 (ada)`).
 */
export function apiCaller(by: string | undefined): string {
  return by === undefined ? "api" : `api: ${by}`;
}
