/**
 * `codex-flow telegram setup`: makes a bot send its updates to the edge and know its commands. It shows what would change,
 * and changes it with --yes. Bot token and webhook secret come from the environment alone, and are never shown.
 */
import type { Command } from "commander";
import { EdgeUnreachableError } from "../../client/edge-errors.ts";
import { connectionReason, parseBaseUrl } from "../../client/transport.ts";
import { TELEGRAM_WEBHOOK_PATH } from "../../contract/chat/telegram-commands.ts";
import { readSecretList } from "../../contract/secret-list.ts";
import { createBotApi, TELEGRAM_API_URL, type BotApi } from "../telegram/bot-api.ts";
import {
  setupPlan,
  type BotUser,
  type Change,
  type MenuEntry,
  type SetupPlan,
  type WebhookInfo,
} from "../telegram/setup-plan.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples } from "./option-values.ts";
import { UsageError } from "./problem.ts";

/** Time for the edge's answer to the question whether it knows the secret. */
const EDGE_TIMEOUT_MS = 15_000;
const UNAUTHORIZED = 401;
const SECOND_MS = 1000;

export function registerTelegram(program: Command, act: Act): void {
  const telegram = program.command("telegram").description("The Telegram bot of an edge");
  const setup = telegram
    .command("setup")
    .description("Point a bot's webhook at the edge and register its commands; shows the changes first")
    .option("--yes", "make the changes");
  examples(setup, [
    ["codex-flow telegram setup --url https://flows.example.workers.dev", "what would change"],
    ["codex-flow telegram setup --url https://flows.example.workers.dev --yes", "change it"],
    [
      "TELEGRAM_BOT_TOKEN=… TELEGRAM_WEBHOOK_SECRETS=… codex-flow telegram setup --yes",
      "token of BotFather, and the secrets that the edge was given",
    ],
  ]);
  act<{ yes?: boolean }>(setup, setUp);
}

async function setUp(invocation: Invocation, { yes = false }: { yes?: boolean }): Promise<number> {
  const { environment } = invocation.host;
  const token = botToken(environment["TELEGRAM_BOT_TOKEN"]);
  const secret = webhookSecret(environment["TELEGRAM_WEBHOOK_SECRETS"]);
  const apiUrl = environment["TELEGRAM_API_URL"];
  const edgeUrl = parseBaseUrl((await invocation.connection("none")).url.value);
  // A Bot API server of one's own takes any URL.
  if (apiUrl === undefined && !edgeUrl.startsWith("https://"))
    throw new UsageError(
      `Telegram sends updates to https URLs only, not to ${edgeUrl}`,
      "pass --url https://…",
    );
  const api = createBotApi(token, apiUrl ?? TELEGRAM_API_URL);

  const bot = await api.call<BotUser>("getMe");
  const info = await api.call<WebhookInfo>("getWebhookInfo");
  const plan = setupPlan(edgeUrl, bot, info, await api.call<MenuEntry[]>("getMyCommands"));
  if (yes) {
    await expectKnownSecret(edgeUrl, secret);
    await apply(api, plan, secret);
  }
  const changes = [...plan.webhookChanges, ...plan.commandChanges];
  const setup = {
    bot: { id: bot.id, name: bot.username, privacy: bot.can_read_all_group_messages !== true },
    changes,
    ...troubleOf(info),
    pending: info.pending_update_count,
    applied: yes,
  };
  const { renderTelegramSetup } = await import("./render/telegram.ts");
  await invocation.output.show(setup, (style) => renderTelegramSetup(style, setup));
  invocation.output.note(({ colors }) => colors.dim(howItStands(changes, yes)));
  return EXIT.ok;
}

async function apply(api: BotApi, plan: SetupPlan, secret: string): Promise<void> {
  await api.call("setWebhook", { ...plan.webhook, secret_token: secret });
  if (plan.commandChanges.length > 0) await api.call("setMyCommands", { commands: plan.commands });
}

function howItStands(changes: Change[], applied: boolean): string {
  const secret = "the webhook's secret, which Telegram never shows,";
  if (applied)
    return changes.length === 0
      ? `nothing else was to change; ${secret} was set again`
      : `done; ${secret} was set too`;
  return changes.length === 0
    ? `nothing is to change; with --yes ${secret} is set again`
    : "nothing was changed: --yes does it";
}

function troubleOf({ last_error_message, last_error_date }: WebhookInfo): {
  trouble?: { message: string; at?: string };
} {
  if (last_error_message === undefined) return {};
  const at = last_error_date === undefined ? {} : { at: new Date(last_error_date * SECOND_MS).toISOString() };
  return { trouble: { message: last_error_message, ...at } };
}

function botToken(token: string | undefined): string {
  if (token === undefined || token === "")
    throw new UsageError(
      "no bot token is given",
      "set TELEGRAM_BOT_TOKEN to the token that BotFather gave you (and put the same: wrangler secret put TELEGRAM_BOT_TOKEN)",
    );
  if (!/^[0-9]+:[A-Za-z0-9_-]+$/.test(token))
    throw new UsageError(
      "TELEGRAM_BOT_TOKEN does not look like a bot's token",
      "copy it again from BotFather: digits, a colon, then letters, digits, - and _",
    );
  return token;
}

/** The first of the list: the newest, by the way secrets are rotated here. */
function webhookSecret(setting: string | undefined): string {
  const { secrets, unused } = readSecretList(setting);
  const [secret] = secrets;
  const [bad] = unused;
  if (bad?.position === 1 || (secret === undefined && bad !== undefined))
    throw new UsageError(
      `value ${bad.position} of TELEGRAM_WEBHOOK_SECRETS is not used: ${bad.reason}`,
      "make one with: openssl rand -hex 32",
    );
  if (secret === undefined)
    throw new UsageError(
      "no webhook secret is given",
      "set TELEGRAM_WEBHOOK_SECRETS, and put the same: openssl rand -hex 32, wrangler secret put TELEGRAM_WEBHOOK_SECRETS",
    );
  if (!/^[A-Za-z0-9_-]{1,256}$/.test(secret))
    throw new UsageError(
      "the first of TELEGRAM_WEBHOOK_SECRETS is none that Telegram takes",
      "use 16 to 256 letters, digits, - and _: openssl rand -hex 32",
    );
  return secret;
}

/** An update that asks for nothing: 200 says that the edge knows the secret. Nothing is stored. */
async function expectKnownSecret(edgeUrl: string, secret: string): Promise<void> {
  let status: number;
  try {
    const response = await fetch(`${edgeUrl}${TELEGRAM_WEBHOOK_PATH}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-telegram-bot-api-secret-token": secret },
      body: JSON.stringify({ update_id: 0 }),
      signal: AbortSignal.timeout(EDGE_TIMEOUT_MS),
    });
    await response.body?.cancel();
    status = response.status;
  } catch (error) {
    throw new EdgeUnreachableError(edgeUrl, connectionReason(error), error);
  }
  if (status === UNAUTHORIZED)
    throw new UsageError(
      `the edge at ${edgeUrl} does not know this webhook secret, or has no bot`,
      "put what you have here: wrangler secret put TELEGRAM_WEBHOOK_SECRETS, wrangler secret put TELEGRAM_BOT_TOKEN",
    );
  if (status !== 200)
    throw new UsageError(
      `${edgeUrl}${TELEGRAM_WEBHOOK_PATH} answered ${status}`,
      "deploy an edge that knows Telegram, or correct --url",
    );
}
