/** A row of the tables of malformed requests. */
import type { CallOptions } from "./api.ts";

export interface MalformedRequest extends CallOptions {
  /** The route of HTTP_ROUTES that is meant: "post /events". */
  route: string;
  what: string;
  /** What is sent, where it is not what the route says: another method, another path. */
  method?: string;
  path?: string;
  status: number;
  code: string;
  /** What `details` name, in their order. */
  at: string[];
}

/** Rows that are aimed at one route. */
export function rows(
  route: string,
  ...table: [
    what: string,
    sent: CallOptions & { method?: string; path?: string },
    status: number,
    code: string,
    at: string[],
  ][]
): MalformedRequest[] {
  return table.map(([what, sent, status, code, at]) => ({ route, what, ...sent, status, code, at }));
}
