/**
 * Choices while an option is being typed. Discord asks at every key, and shows what comes within three seconds: nothing is
 * written down, and nothing is shown to those who may not see it. What is sent off at last is judged anew.
 */
import { beginningOf } from "../../contract/chat/short-text.ts";
import { visibleText } from "../../contract/visible-text.ts";
import { mayNow } from "../chat/access.ts";
import type { Asker } from "../chat/asker.ts";
import { askOutbox } from "../chat/outbox.ts";
import { eventTypes } from "../chat/start.ts";
import { newestRuns } from "../chat/watch.ts";
import { catalog } from "../catalog/catalog.ts";
import type { Env } from "../env.ts";
import { COMMANDS } from "./commands/index.ts";
import type { ReadCommand } from "./interaction.ts";

export interface Choice {
  name: string;
  value: string;
}

/** Of a list, by Discord; and of a choice's name. */
const CHOICES_MAX = 25;
const NAME_MAX_CHARS = 100;

export async function choicesFor(env: Env, asker: Asker, { path, focused }: ReadCommand): Promise<Choice[]> {
  const command = Object.hasOwn(COMMANDS, path) ? COMMANDS[path] : undefined;
  if (command === undefined || focused === undefined) return [];
  if (!(await mayNow(env, asker, command.scope))) return [];
  const typed = focused.value.trim().toLowerCase();
  return (await candidates(env, asker, path, focused.name))
    .filter(({ name, value }) => `${name} ${value}`.toLowerCase().includes(typed))
    .slice(0, CHOICES_MAX)
    .map(({ name, value }) => ({ name: beginningOf(visibleText(name), NAME_MAX_CHARS), value }));
}

async function candidates(env: Env, asker: Asker, path: string, option: string): Promise<Choice[]> {
  const all = path.startsWith("channel ") ? ["*"] : [];
  switch (option) {
    case "type":
      return [...all, ...eventTypes()].map((type) => ({ name: type, value: type })).filter(fits);
    case "flow":
      return [...all, ...catalog.flows.map(({ name }) => name)].map((name) => ({ name, value: name }));
    case "run":
      return runChoices(env, asker);
    default:
      return [];
  }
}

function fits({ value }: Choice): boolean {
  return value.length <= NAME_MAX_CHARS;
}

/** Those of this channel first, then the newest of all. */
async function runChoices(env: Env, asker: Asker): Promise<Choice[]> {
  const [here, newest] = await Promise.all([
    askOutbox(env, asker.place.platform, (outbox) => outbox.runsOfChannel(asker.place)),
    newestRuns(env, {}, CHOICES_MAX),
  ]);
  const labels = new Map(
    newest.items.map((run) => [
      run.id,
      `${run.flowName}/${run.stepName} · ${run.effectiveStatus} · ${run.id}`,
    ]),
  );
  return [...new Set([...(here ?? []), ...labels.keys()])].map((id) => ({
    name: labels.get(id) ?? `here · ${id}`,
    value: id,
  }));
}
