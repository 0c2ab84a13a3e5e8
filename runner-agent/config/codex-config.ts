/**
 * The table `[codex]` of runner.toml: which Codex the box has, what it may be given, and what flow packages may ask of it.
 * A flow package cannot grant itself any of this.
 */
import Type, { type Static } from "typebox";

const closed = { additionalProperties: false } as const;
const VARIABLES_MAX = 64;
const TRUSTED_MAX = 256;
const PRICES_MAX = 64;
const AbsolutePath = Type.String({ pattern: "^/" });
const Dollars = Type.Number({ minimum: 0 });

export const CodexTable = Type.Object(
  {
    command: Type.Optional(Type.String({ minLength: 1 })),
    url: Type.Optional(Type.String({ pattern: "^(ws|unix)://" })),
    home: Type.Optional(AbsolutePath),
    env: Type.Optional(
      Type.Array(Type.String({ pattern: "^[A-Za-z_][A-Za-z0-9_]*$" }), {
        maxItems: VARIABLES_MAX,
        uniqueItems: true,
      }),
    ),
    trusted: Type.Optional(Type.Array(AbsolutePath, { maxItems: TRUSTED_MAX })),
    allow_danger_full_access: Type.Optional(Type.Boolean()),
    config: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    prices: Type.Optional(
      Type.Record(
        Type.String({ minLength: 1 }),
        Type.Object({ input: Dollars, cached_input: Type.Optional(Dollars), output: Dollars }, closed),
        { maxProperties: PRICES_MAX },
      ),
    ),
  },
  closed,
);
type CodexTable = Static<typeof CodexTable>;

/** US dollars for a million tokens of one model. */
export interface ModelPrice {
  input: number;
  /** Input that was read from a cache; as `input` when absent. */
  cachedInput?: number | undefined;
  output: number;
}

export interface CodexConfig {
  /** Program, by path or name; the installed Codex when absent. */
  command?: string | undefined;
  /** An app-server that runs already (`ws://…`, `unix://…`), instead of one of the agent's own. */
  url?: string | undefined;
  /** The runner's own CODEX_HOME. */
  home?: string | undefined;
  /** Variables of the agent that Codex gets, for its model's provider, and the commands that it runs do not. */
  env: string[];
  /** Directories whose checkouts are trusted, and all below them. */
  trusted: string[];
  allowDangerFullAccess: boolean;
  /** Keys of Codex's config.toml that win over everything else. */
  config: Record<string, unknown>;
  prices: Record<string, ModelPrice>;
}

export function codexConfig(table: CodexTable = {}): CodexConfig {
  return {
    command: table.command,
    url: table.url,
    home: table.home,
    env: table.env ?? [],
    trusted: table.trusted ?? [],
    allowDangerFullAccess: table.allow_danger_full_access ?? false,
    config: table.config ?? {},
    prices: Object.fromEntries(
      Object.entries(table.prices ?? {}).map(([model, { input, cached_input: cachedInput, output }]) => [
        model,
        { input, cachedInput, output },
      ]),
    ),
  };
}
