/**
 * The log of a run as a page for people: plain text, by a link that a chat has given them (chat-outbox/log-link.ts). No
 * token opens it, and the link opens nothing else. It stands in no OpenAPI document: programs read /runs/{id}/output.
 */
import { Hono, type Context } from "hono";
import { UnauthorizedError } from "../../contract/errors.ts";
import { isLogLink } from "../../durable-objects/chat-outbox/log-link.ts";
import type { AppContext } from "../app-context.ts";
import { located, unknownRun } from "./located-run.ts";

/** Nobody finds it by searching, and no browser takes what a step has printed for anything but text. */
const HEADERS = {
  "content-type": "text/plain; charset=utf-8",
  "x-robots-tag": "noindex, nofollow",
};

export const runLogRoutes = new Hono<AppContext>().all("/runs/:id/log", readLog);

async function readLog(context: Context<AppContext>): Promise<Response> {
  const { object, n, id } = located(context);
  const { until = "", sig = "" } = context.req.query();
  if (!isLogLink(context.env, id, { until, sig }, Date.now()))
    throw new UnauthorizedError("this link is over, or none of this edge: ask for the log in the chat again");
  const run = await object.runView(n);
  if (run === undefined) throw unknownRun(id);
  const head = `${run.flowName}/${run.stepName} ${id}: ${run.effectiveStatus}\n\n`;
  return new Response(
    textOf(head, (after) => object.output(n, after)),
    { headers: HEADERS },
  );
}

interface Page {
  output: { cursor: string; text: string }[];
  complete: boolean;
}

/** Page by page, as fast as it is read: an output may be larger than what the Worker may hold. */
function textOf(
  head: string,
  page: (after: string | undefined) => Promise<Page | undefined>,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let after: string | undefined;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(head));
    },
    async pull(controller) {
      // Chunks without words are passed over: nothing is asked again before something was given.
      for (let text = ""; text === "";) {
        const read = await page(after);
        text = (read?.output ?? []).map((chunk) => chunk.text).join("");
        after = read?.output.at(-1)?.cursor;
        if (text !== "") controller.enqueue(encoder.encode(text));
        if (after === undefined || read?.complete === true) {
          controller.close();
          return;
        }
      }
    },
  });
}
