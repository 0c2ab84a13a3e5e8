/** `codex-flow runs logs`: what is stored, or live to the end of the run. */
import type { ApprovalView, OutputChunkView, RunView } from "../../client/http.ts";
import { missingToken } from "./configuration.ts";
import { EXIT, exitCodeOfRuns } from "./exit-codes.ts";
import type { Invocation } from "./invocation.ts";
import { createLogPrinter } from "./log-printer.ts";
import { pendingText } from "./render/approvals.ts";
import { resultLine, runSentence } from "./render/run.ts";
import { durationText } from "./render/text.ts";
import { isOver } from "./run-outcome.ts";
import { resolveRun } from "./short-ids.ts";
import { followRun, type TailOptions } from "./tail.ts";
import { untilInterrupted } from "./watching.ts";

/** Prints what is stored now, page by page; with --json all pages as one document. */
export async function printLogs(invocation: Invocation, typed: string): Promise<number> {
  const { client } = await invocation.connect();
  const id = await resolveRun(client, typed);
  const { output } = invocation;
  const printer = createLogPrinter(output);
  const kept: OutputChunkView[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await client.getOutput(id, { after });
    if (output.json) kept.push(...page.output);
    else for (const chunk of page.output) printer.chunk(chunk);
    const last = page.complete || page.output.length === 0 || page.cursor === after;
    after = page.cursor;
    if (!last) continue;
    printer.end();
    if (output.json) await output.show({ ...page, output: kept }, () => "");
    else if (!page.complete) printer.remark(`not over yet; follow it with: codex-flow runs logs -f ${id}`);
    return EXIT.ok;
  }
}

/** Prints live until the run is over, and says how it ended; with --json one line a frame. */
export async function followLogs(invocation: Invocation, typed: string): Promise<number> {
  const { client, connection } = await invocation.connect();
  if (connection.token === undefined) throw missingToken(connection, false);
  const id = await resolveRun(client, typed);
  const { output } = invocation;
  const printer = createLogPrinter(output, { live: true });
  // Asked for by itself: only this answer knows why a run waits.
  let run = await client.getRun(id);
  if (!output.json && run.status === "queued") printer.remark(runSentence(run) || "queued");

  const asked = new Set<string>();
  const tail: TailOptions = {
    url: client.url,
    token: connection.token.value,
    runId: id,
    onFrame(frame) {
      if (output.json) output.line(frame);
      if (frame.type === "run") {
        run = frame.run as RunView;
        if (!output.json)
          for (const approval of newlyAsked(run, asked))
            printer.notice((style) => pendingText(style, approval));
      } else if (frame.type === "output" && !output.json)
        for (const chunk of frame.chunks) printer.chunk(chunk);
    },
    onDrop(reason, delayMs) {
      if (!output.json)
        printer.remark(`connection lost: ${reason}; trying again in ${durationText(delayMs)}`);
    },
  };
  await untilInterrupted(
    output,
    () => (isOver(run) ? [] : [id]),
    () => followRun(tail),
    () => {
      printer.end();
    },
  );
  printer.end();
  const ended = run;
  output.note((style) => resultLine(style, ended));
  return exitCodeOfRuns([ended]);
}

/** Approvals that wait and were not told of yet; `told` is added to. */
function newlyAsked(run: RunView, told: Set<string>): ApprovalView[] {
  const asked = (run.approvals ?? []).filter(({ id, state }) => state === "pending" && !told.has(id));
  for (const { id } of asked) told.add(id);
  return asked;
}
