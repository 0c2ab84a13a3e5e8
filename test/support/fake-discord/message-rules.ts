/**
 * What Discord refuses in a message although its OpenAPI allows it, and what this project forbids itself. Pure: body
 * and present state in, broken rules out.
 */
import { COMPONENTS_V2, EPHEMERAL, type Component, type Content } from "./world.ts";

export interface BrokenRule {
  rule: string;
  path: string[];
  message: string;
  /** Discord takes it; the project must not do it. */
  tolerated?: true;
}

export interface AllowedMentions {
  parse?: Array<string | null> | null;
  users?: Array<string | null> | null;
  roles?: Array<string | null> | null;
}

/** Any body that makes or changes a message, after its schema was checked. */
export interface MessageBody {
  content?: string | null;
  embeds?: Array<Record<string, unknown>> | null;
  components?: Component[] | null;
  flags?: number | null;
  allowed_mentions?: AllowedMentions | null;
  attachments?: unknown[] | null;
  sticker_ids?: string[] | null;
  poll?: unknown;
  nonce?: string | number | null;
  enforce_nonce?: boolean | null;
  message_reference?: { message_id?: string } | null;
}

export interface MessageContext {
  /** Whether the message may be for one user only: answers to interactions, when they are created. */
  mayBeEphemeral: boolean;
  /** What an edit changes; undefined for a new message. */
  existing: Content | undefined;
}

const CONTENT_CHARS = 2_000;
const EMBED_CHARS = 6_000;
const ROWS = 5;
const V2_COMPONENTS = 40;
const V2_TEXT_CHARS = 4_000;

const ROW = 1;
const BUTTON = 2;
const SELECTS = [3, 5, 6, 7, 8];
const TEXT_DISPLAY = 10;
const LINK_STYLE = 5;
const PREMIUM_STYLE = 6;

export function brokenMessageRules(body: MessageBody, context: MessageContext): BrokenRule[] {
  const after = applied(body, context.existing);
  const v2 = (after.flags & COMPONENTS_V2) !== 0;
  const broken: BrokenRule[] = [];
  const breaks = (rule: string, path: string[], message: string): void => {
    broken.push({ rule, path, message });
  };
  if (chars(body.content) > CONTENT_CHARS)
    breaks("content_length", ["content"], `Must be ${CONTENT_CHARS} or fewer in length.`);
  if (isEmpty(after, body)) breaks("empty_message", [], "Cannot send an empty message");
  const embedChars = after.embeds.reduce((sum, embed) => sum + charsOfEmbed(embed), 0);
  if (embedChars > EMBED_CHARS)
    breaks("embed_total", ["embeds"], `Embed size exceeds maximum size of ${EMBED_CHARS}`);
  if (((body.flags ?? 0) & EPHEMERAL) !== 0 && !context.mayBeEphemeral)
    breaks("ephemeral", ["flags"], "only the first answer or a follow-up to an interaction can be ephemeral");
  if (context.existing !== undefined && typeof body.flags === "number")
    if ((context.existing.flags & COMPONENTS_V2) !== 0 && !v2)
      breaks("v2_flag_removed", ["flags"], "the flag IS_COMPONENTS_V2 cannot be removed");
  broken.push(...brokenComponentRules(after.components));
  broken.push(...(v2 ? brokenV2(after, body) : brokenLegacy(after.components)));
  if (!forbidsMentions(body.allowed_mentions))
    broken.push({
      rule: "mentions_on",
      path: ["allowed_mentions"],
      message: "allowed_mentions must have parse: [], edits included: without it Discord looks for mentions",
      tolerated: true,
    });
  return broken;
}

/** What the message shows after this body. */
export function applied(body: MessageBody, existing: Content | undefined): Content {
  const value = <T>(given: T | null | undefined, before: T | undefined, none: T): T =>
    given === undefined ? (before ?? none) : (given ?? none);
  return {
    content: value(body.content, existing?.content, ""),
    embeds: value(body.embeds, existing?.embeds, []),
    components: value(body.components, existing?.components, []),
    // EPHEMERAL and LOADING are Discord's to keep; the rest is as the body says.
    flags: (body.flags ?? existing?.flags ?? 0) | ((existing?.flags ?? 0) & EPHEMERAL),
  };
}

/** Rules about buttons and selects, in messages and in modals. */
export function brokenComponentRules(components: Component[]): BrokenRule[] {
  const broken: BrokenRule[] = [];
  const seen = new Set<string>();
  walk(components, ["components"], (component, path) => {
    const id = component["custom_id"];
    if (typeof id === "string") {
      if (seen.has(id))
        broken.push({
          rule: "custom_id_duplicate",
          path: [...path, "custom_id"],
          message: "Component custom id cannot be duplicated",
        });
      seen.add(id);
    }
    if (component.type === BUTTON) broken.push(...brokenButton(component, path));
    if (component.type === ROW) {
      const inside = component["components"] as Component[];
      if (inside.length > 1 && inside.some(({ type }) => SELECTS.includes(type)))
        broken.push({
          rule: "row_of_select",
          path: [...path, "components"],
          message: "a select takes the whole row",
        });
    }
    const { min_values: min, max_values: max } = component as { min_values?: number; max_values?: number };
    if (typeof min === "number" && typeof max === "number" && min > max)
      broken.push({
        rule: "select_values",
        path: [...path, "min_values"],
        message: "is more than max_values",
      });
  });
  return broken;
}

function brokenButton(button: Component, path: string[]): BrokenRule[] {
  const broken: BrokenRule[] = [];
  const { style, custom_id: id, url, label, emoji } = button;
  const none = (value: unknown): boolean => value === undefined || value === null || value === "";
  if (style === LINK_STYLE ? !none(id) : style !== PREMIUM_STYLE && none(id))
    broken.push({
      rule: "custom_id_missing",
      path: [...path, "custom_id"],
      message:
        style === LINK_STYLE
          ? "a link button cannot have a custom id"
          : "A custom id is required for this button",
    });
  if (style === LINK_STYLE ? none(url) : !none(url))
    broken.push({
      rule: "button_url",
      path: [...path, "url"],
      message: "a url belongs to a link button only",
    });
  if (none(label) && none(emoji) && style !== PREMIUM_STYLE)
    broken.push({ rule: "button_label", path, message: "A button needs a label or an emoji" });
  return broken;
}

function brokenLegacy(components: Component[]): BrokenRule[] {
  const broken: BrokenRule[] = [];
  if (components.length > ROWS)
    broken.push({ rule: "rows", path: ["components"], message: `Must be ${ROWS} or fewer in length.` });
  components.forEach(({ type }, index) => {
    if (type !== ROW)
      broken.push({
        rule: "v2_flag_missing",
        path: ["components", String(index), "type"],
        message: "needs the flag IS_COMPONENTS_V2",
      });
  });
  return broken;
}

function brokenV2(after: Content, body: MessageBody): BrokenRule[] {
  const broken: BrokenRule[] = [];
  if (after.content !== "" || after.embeds.length > 0 || (body.poll ?? undefined) !== undefined)
    broken.push({
      rule: "v2_content",
      path: ["flags"],
      message: "content, embeds and polls cannot be used with IS_COMPONENTS_V2",
    });
  let count = 0;
  let text = 0;
  walk(after.components, [], (component) => {
    count += 1;
    if (component.type === TEXT_DISPLAY) text += chars(component["content"]);
  });
  if (count > V2_COMPONENTS)
    broken.push({
      rule: "v2_components",
      path: ["components"],
      message: `at most ${V2_COMPONENTS} components, nested ones included`,
    });
  if (text > V2_TEXT_CHARS)
    broken.push({
      rule: "v2_text",
      path: ["components"],
      message: `at most ${V2_TEXT_CHARS} characters over all text displays`,
    });
  return broken;
}

/** Whom a new message rings, as `user:1`, `role:2`, `everyone`. */
export function rung(shown: Content, mentions: AllowedMentions | null | undefined): string[] {
  const parts = [shown.content];
  walk(shown.components, [], (component) => {
    if (component.type === TEXT_DISPLAY) parts.push(String(component["content"]));
  });
  const text = parts.join("\n");
  const may = (kind: "users" | "roles" | "everyone", id?: string): boolean =>
    (mentions ?? undefined) === undefined ||
    mentions?.parse?.includes(kind) === true ||
    (kind !== "everyone" && id !== undefined && mentions?.[kind]?.includes(id) === true);
  const found = [...text.matchAll(/<@!?(\d+)>|<@&(\d+)>|@(everyone|here)\b/g)].flatMap(([, user, role]) => {
    if (user !== undefined) return may("users", user) ? [`user:${user}`] : [];
    if (role !== undefined) return may("roles", role) ? [`role:${role}`] : [];
    return may("everyone") ? ["everyone"] : [];
  });
  return [...new Set(found)];
}

/** Calls back for each component, nested ones after the one that holds them. */
export function walk(
  components: Component[],
  path: string[],
  visit: (component: Component, path: string[]) => void,
): void {
  components.forEach((component, index) => {
    const here = [...path, String(index)];
    visit(component, here);
    if (Array.isArray(component["components"]))
      walk(component["components"] as Component[], [...here, "components"], visit);
    for (const key of ["accessory", "component"])
      if (typeof component[key] === "object" && component[key] !== null)
        visit(component[key] as Component, [...here, key]);
  });
}

function forbidsMentions(mentions: AllowedMentions | null | undefined): boolean {
  return mentions?.parse?.length === 0;
}

function isEmpty(after: Content, body: MessageBody): boolean {
  return (
    after.content.trim() === "" &&
    after.embeds.length === 0 &&
    after.components.length === 0 &&
    (body.attachments ?? []).length === 0 &&
    (body.sticker_ids ?? []).length === 0 &&
    (body.poll ?? undefined) === undefined
  );
}

/** Discord counts title, description, field names and values, footer and author. */
function charsOfEmbed(embed: Record<string, unknown>): number {
  const fields = (embed["fields"] ?? []) as Array<Record<string, unknown>>;
  const named = [embed["footer"], embed["author"]] as Array<Record<string, unknown> | null | undefined>;
  return (
    chars(embed["title"]) +
    chars(embed["description"]) +
    fields.reduce((sum, field) => sum + chars(field["name"]) + chars(field["value"]), 0) +
    chars(named[0]?.["text"]) +
    chars(named[1]?.["name"])
  );
}

/** As Discord counts: code points. */
function chars(text: unknown): number {
  return typeof text === "string" ? Array.from(text).length : 0;
}
