/** A session that was logged, shown again as a new one: its items and texts as they stand in the log, and no agent. */
import type { AgentItem } from "../../contract/agent-item.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { StartStep } from "../steps/start-step.ts";
import { Redactor } from "../steps/redaction.ts";
import { OutputChunker } from "../steps/output-chunker.ts";
import { shown, type OutputPolicy } from "./output-policy.ts";
import type { SessionDisplay } from "./session.ts";
import { SessionSummary } from "./session-summary.ts";
import type { LoggedStream, StreamLog } from "./stream-log.ts";

const NOTHING_LEFT = { empty: true, survivors: [] };

export function replayStarter(
  { steps }: LoggedStream,
  policy: OutputPolicy,
  log: StreamLog,
  display: SessionDisplay,
): StartStep {
  return ({ env }, events) => {
    const redactor = new Redactor(env.secrets);
    let stopped: "canceled" | "abandoned" | undefined;
    const run = async (): Promise<AttemptEnd> => {
      // Events are heard from the next turn on.
      await Promise.resolve();
      const summary = new SessionSummary("");
      const chunker = new OutputChunker((stream, text) => {
        events.output(stream, text);
      });
      for (const step of steps) {
        if (stopped !== undefined) break;
        if ("text" in step) {
          chunker.add(step.stream === "stderr" ? "stderr" : "stdout", redactor.text(step.text));
          log.write({ type: "text", stream: step.stream, text: step.text });
          continue;
        }
        chunker.flush();
        const item = redactor.value(step.item) as AgentItem;
        summary.note(item);
        log.write({ type: "item", item });
        const visible = shown(item, policy);
        if (visible === undefined) continue;
        events.output("agent", JSON.stringify(visible));
        display.item(visible);
      }
      chunker.flush();
      if (stopped !== undefined) return { reason: stopped, tree: NOTHING_LEFT };
      events.result({ ...summary.result(0), message: "Shown again from its log" });
      return { reason: "exited", exit: { code: 0, signal: null }, tree: NOTHING_LEFT };
    };
    return {
      pid: undefined,
      cancel: (reason) => {
        stopped = reason;
      },
      pause: () => undefined,
      resume: () => undefined,
      ended: run(),
    };
  };
}
