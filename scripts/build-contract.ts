/**
 * Compiles the schemas of contract/ into contract/generated/: validators as plain code, for workerd and Node alike,
 * and the OpenAPI document. Writes a file only when it changes, since a running `wrangler dev` watches them.
 */
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { Ajv2020 } from "ajv/dist/2020.js";
import standaloneCode from "ajv/dist/standalone/index.js";
import { build } from "esbuild";
import type { TSchema } from "typebox";
import { AgentItem } from "../contract/agent-item.ts";
import { DecideRequest } from "../contract/approvals.ts";
import { BudgetRequest } from "../contract/budget.ts";
import { GrantRequest, ServerRequest } from "../contract/chat/audit.ts";
import { TelegramUpdate } from "../contract/chat/telegram-update.ts";
import { ChatPostRequest } from "../contract/chat/requests.ts";
import { FinalAnswer, PromptFrontMatter, ScriptFrontMatter } from "../contract/codex-prompt.ts";
import { FlowEventInput } from "../contract/flow-event.ts";
import { AckRequest, CancelRequest, ReplayRequest } from "../contract/http-bodies.ts";
import { MessageRequest } from "../contract/messages.ts";
import { ControlRequest, GuardRequest, RelaySessionRequest } from "../contract/relay.ts";
import { openApiDocument } from "../contract/openapi.ts";
import { CONTROL_DOWN, CONTROL_UP, RUN_DOWN, RUN_UP } from "../contract/runner-link.ts";
import { projectPath, writeIfChanged } from "./project.ts";

const require = createRequire(import.meta.url);

function prefixed(prefix: string, schemas: Record<string, TSchema>): Record<string, TSchema> {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [`${prefix}_${name}`, schema]));
}

function withoutIds(schema: TSchema): object {
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
    key === "$id" ? undefined : value,
  ) as object;
}

/** Schemas that allow unknown fields at every level. */
function opened(schemas: Record<string, TSchema>): Record<string, TSchema> {
  return JSON.parse(JSON.stringify(schemas), (key, value: unknown) =>
    key === "additionalProperties" && value === false ? undefined : value,
  ) as Record<string, TSchema>;
}

export async function buildContract(): Promise<void> {
  const folder = projectPath("contract/generated");
  await mkdir(folder, { recursive: true });
  await writeValidators(
    `${folder}/validators`,
    {
      FlowEventInput,
      ReplayRequest,
      AckRequest,
      CancelRequest,
      AgentItem,
      DecideRequest,
      MessageRequest,
      BudgetRequest,
      RelaySessionRequest,
      GuardRequest,
      ControlRequest,
      ChatPostRequest,
      GrantRequest,
      ServerRequest,
    },
    { allErrors: true },
  );
  // Of the runner alone: the Worker's bundle has no use for them.
  await writeValidators(
    `${folder}/codex-validators`,
    { FinalAnswer, PromptFrontMatter, ScriptFrontMatter },
    { allErrors: true },
  );
  // Frames have lists of thousands: a fault for each item would cost a hundred times the frame. The first one is enough.
  // Nobody reads the faults of an update.
  await writeValidators(
    `${folder}/frame-validators`,
    { ...prefixed("control", CONTROL_UP), ...prefixed("run", RUN_UP), TelegramUpdate },
    { allErrors: false },
  );
  // Read by the runner, which ignores what a newer edge says beyond its own schema: fields as well as types of frames.
  await writeValidators(
    `${folder}/down-frame-validators`,
    { ...opened(prefixed("control", CONTROL_DOWN)), ...opened(prefixed("run", RUN_DOWN)) },
    { allErrors: false },
  );
  const { version } = JSON.parse(await readFile(projectPath("package.json"), "utf8")) as { version: string };
  await writeIfChanged(`${folder}/openapi.json`, JSON.stringify(openApiDocument(version)));
}

async function writeValidators(
  file: string,
  schemas: Record<string, TSchema>,
  { allErrors }: { allErrors: boolean },
): Promise<void> {
  const ajv = new Ajv2020({ code: { source: true, esm: true }, allErrors, strict: true });
  const addFormats = require("ajv-formats") as (target: Ajv2020) => void;
  addFormats(ajv);
  for (const [name, schema] of Object.entries(schemas)) ajv.addSchema(withoutIds(schema), name);
  const names = Object.fromEntries(Object.keys(schemas).map((name) => [name, name]));

  // The standalone code still requires ajv's small runtime; bundled, it loads anywhere.
  const bundled = await build({
    stdin: { contents: standaloneCode(ajv, names), resolveDir: projectPath(), loader: "js" },
    bundle: true,
    format: "esm",
    write: false,
  });
  const declarations = Object.keys(schemas).map((name) => `export const ${name}: CompiledCheck;`);
  await writeIfChanged(`${file}.js`, bundled.outputFiles[0]?.text ?? "");
  await writeIfChanged(
    `${file}.d.ts`,
    [`import type { CompiledCheck } from "../validate.ts";`, ...declarations, ""].join("\n"),
  );
}
