/**
 * Codex's requests for leave as approvals of the contract, and decisions as Codex's answers. Pure; the only file that
 * knows both forms.
 */
import type { ApprovalDecision, ApprovalRequest } from "../../../contract/approvals.ts";
import type { ServerMethods } from "../protocol.ts";
import type { ThreadHandlers } from "../shared-server.ts";
import type { CodexSettings } from "./prompt-template.ts";
import type { PlannedChange } from "./work-record.ts";

type Params<Method extends keyof ServerMethods> = ServerMethods[Method]["params"];
type Answer<Method extends keyof ServerMethods> = ServerMethods[Method]["result"];

/** Without the id, which the step gives. */
export type Asked = Omit<ApprovalRequest, "id">;

const TITLE_CHARS = 512;
const DETAIL_CHARS = 4096;
const DETAIL_END_CHARS = 1024;
const REASON_CHARS = 1024;
const CWD_CHARS = 1024;
const ALL: ApprovalDecision[] = ["accept", "accept_for_session", "decline", "cancel"];

/**
 * Always dangerous: under "on-request" Codex asks only for what its sandbox forbids, and under "untrusted" a command that
 * was allowed and meets the sandbox is run again without it; one that wants none from the beginning looks the same.
 */
export function commandApproval(params: Params<"item/commandExecution/requestApproval">): Asked {
  const { networkApprovalContext, additionalPermissions } = params;
  const command = params.command ?? "a command";
  return asked("command", command, {
    detail: [
      command,
      ...(additionalPermissions == null ? [] : [`with more permissions: ${whole(additionalPermissions)}`]),
      ...(networkApprovalContext == null ? [] : [`with network: ${whole(networkApprovalContext)}`]),
    ].join("\n\n"),
    cwd: params.cwd ?? undefined,
    reason: params.reason ?? undefined,
    dangerous: true,
  });
}

/**
 * @param change what the request is about, as the item before it has told
 * @param escalates Codex asks only for what its sandbox would not allow
 */
export function fileChangeApproval(
  params: Params<"item/fileChange/requestApproval">,
  change: PlannedChange | undefined,
  escalates: boolean,
): Asked {
  const { paths = [], diff = "", leaves = true } = change ?? {};
  const what = paths.length === 0 ? "files" : paths.join(", ");
  return asked("file_change", `change ${what}`, {
    detail: diff,
    cwd: params.grantRoot ?? undefined,
    reason: params.reason ?? undefined,
    dangerous: escalates || leaves || params.grantRoot != null,
  });
}

/** The title says what is asked for; why, is the model's own word for it. */
export function permissionsApproval(params: Params<"item/permissions/requestApproval">): Asked {
  const { network, fileSystem } = params.permissions;
  const wanted = [
    ...(network === null ? [] : ["the network"]),
    ...(fileSystem === null ? [] : [`files ${JSON.stringify(fileSystem)}`]),
  ];
  return asked("permissions", `more than the sandbox gives: ${wanted.join(", ")}`, {
    detail: whole(params.permissions),
    cwd: params.cwd,
    reason: params.reason ?? undefined,
    dangerous: true,
  });
}

/** With what the tool would be called with, or where a page would lead: the question alone may not say. */
export function elicitationApproval(params: Params<"mcpServer/elicitation/request">): Asked {
  const text = "message" in params ? params.message : params.description;
  return asked("tool", `${params.serverName}: ${text}`, {
    detail: [text, ...("url" in params ? [params.url] : []), ...toolParameters(params)].join("\n\n"),
    decisions: ["accept", "decline", "cancel"],
  });
}

function toolParameters({ _meta: meta }: Params<"mcpServer/elicitation/request">): string[] {
  const known =
    meta !== null && typeof meta === "object" && !Array.isArray(meta) ? meta["tool_params"] : undefined;
  return known === undefined || known === null ? [] : [whole(known)];
}

function whole(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

function asked(
  kind: ApprovalRequest["kind"],
  title: string,
  more: {
    detail?: string | undefined;
    cwd?: string | undefined;
    reason?: string | undefined;
    dangerous?: boolean;
    decisions?: ApprovalDecision[];
  },
): Asked {
  const { detail, cwd, reason, dangerous, decisions } = more;
  return {
    kind,
    title: cut(oneLine(title), TITLE_CHARS) || kind,
    ...(detail === undefined ? {} : { detail: bothEnds(detail) }),
    ...(cwd === undefined ? {} : { cwd: cut(cwd, CWD_CHARS) }),
    ...(reason === undefined ? {} : { reason: cut(reason, REASON_CHARS) }),
    decisions: decisions ?? ALL,
    ...(dangerous === true ? { dangerous } : {}),
  };
}

/** Its first line with something in it; that there are more is shown, since they may be the worse ones. */
function oneLine(text: string): string {
  const [first = "", ...more] = text.trim().split("\n");
  return more.length === 0 ? first : `${first} …`;
}

/** Its beginning and its end, and how much is between: what is worst may stand last. */
function bothEnds(text: string): string {
  if (text.length <= DETAIL_CHARS) return text;
  const end = text.slice(-DETAIL_END_CHARS);
  const note = (leftOut: number): string => `\n… ${leftOut} characters are not shown …\n`;
  const begins = DETAIL_CHARS - DETAIL_END_CHARS - note(text.length).length;
  return `${text.slice(0, begins)}${note(text.length - begins - DETAIL_END_CHARS)}${end}`.toWellFormed();
}

function cut(text: string, maxChars: number): string {
  return (text.length <= maxChars ? text : `${text.slice(0, maxChars - 1)}…`).toWellFormed();
}

const CODEX_DECISION = {
  accept: "accept",
  accept_for_session: "acceptForSession",
  decline: "decline",
  cancel: "cancel",
} as const;

export function commandAnswer(decision: ApprovalDecision): Answer<"item/commandExecution/requestApproval"> {
  return { decision: CODEX_DECISION[decision] };
}

export function fileChangeAnswer(decision: ApprovalDecision): Answer<"item/fileChange/requestApproval"> {
  return { decision: CODEX_DECISION[decision] };
}

/** What was asked for, or nothing: Codex has no word for a refusal here. */
export function permissionsAnswer(
  decision: ApprovalDecision,
  { permissions }: Params<"item/permissions/requestApproval">,
): Answer<"item/permissions/requestApproval"> {
  if (decision === "decline" || decision === "cancel") return { permissions: {}, scope: "turn" };
  const { network, fileSystem } = permissions;
  return {
    permissions: {
      ...(network === null ? {} : { network }),
      ...(fileSystem === null ? {} : { fileSystem }),
    },
    scope: decision === "accept_for_session" ? "session" : "turn",
  };
}

export function elicitationAnswer(decision: ApprovalDecision): Answer<"mcpServer/elicitation/request"> {
  const accepted = decision === "accept" || decision === "accept_for_session";
  return {
    action: accepted ? "accept" : decision === "cancel" ? "cancel" : "decline",
    content: accepted ? {} : null,
    _meta: null,
  };
}

/** Nobody sits at this keyboard: the model is told to decide by itself, and to say so. */
export function questionAnswer({
  questions,
}: Params<"item/tool/requestUserInput">): Answer<"item/tool/requestUserInput"> {
  const answers = ["Nobody is here to answer. Decide yourself, and say in your answer what you assumed."];
  return { answers: Object.fromEntries(questions.map(({ id }) => [id, { answers }])) };
}

/**
 * Handlers of one thread's requests, around the one question `ask`.
 * @param redacted takes the secrets out of what Codex has sent, before any of it is cut (invariant 15): half a secret is
 *     none that could still be found.
 */
export function approvalHandlers(given: {
  policy: CodexSettings["approvalPolicy"];
  changeOf(itemId: string): PlannedChange | undefined;
  redacted<Value>(value: Value): Value;
  ask(asked: Asked, withdrawn: AbortSignal): Promise<ApprovalDecision>;
}): ThreadHandlers {
  const { policy, changeOf, redacted, ask } = given;
  // Under "untrusted" Codex asks for each change of files, under "on-request" only for what its sandbox forbids.
  const escalates = policy !== "untrusted";
  return {
    "item/commandExecution/requestApproval": async (params, withdrawn) =>
      commandAnswer(await ask(commandApproval(redacted(params)), withdrawn)),
    "item/fileChange/requestApproval": async (params, withdrawn) => {
      const change = redacted(changeOf(params.itemId));
      return fileChangeAnswer(await ask(fileChangeApproval(redacted(params), change, escalates), withdrawn));
    },
    "item/permissions/requestApproval": async (params, withdrawn) =>
      permissionsAnswer(await ask(permissionsApproval(redacted(params)), withdrawn), params),
    "mcpServer/elicitation/request": async (params, withdrawn) =>
      elicitationAnswer(await ask(elicitationApproval(redacted(params)), withdrawn)),
    "item/tool/requestUserInput": (params) => Promise.resolve(questionAnswer(params)),
  };
}
