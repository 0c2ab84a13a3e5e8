/** Which edge and which token the command line uses, and how the profile file is kept to its owner. */
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { EdgeUrlError } from "../../client/edge-errors.ts";
import {
  missingToken,
  needsProfile,
  resolveConnection,
  type ChosenProfile,
} from "../../runner-agent/cli/configuration.ts";
import { UsageError } from "../../runner-agent/cli/problem.ts";
import { profilesPath, readProfiles, writeProfile } from "../../runner-agent/cli/profiles.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";

const ENV = { CODEX_FLOW_URL: "https://env.dev", CODEX_FLOW_TOKEN: "env-token" };
const ANCESTOR = {
  CODEX_FLOW_BACKEND_URL: "https://ancestor.dev",
  CODEX_FLOW_BACKEND_TOKEN: "ancestor-token",
  CODEX_FLOW_BACKEND_SECRET: "ancestor-secret",
};
const SETTINGS = { url: "https://profile.dev", token: "profile-token", eventSecret: "profile-secret" };

function profile(change: Partial<ChosenProfile> = {}): ChosenProfile {
  return { name: "default", settings: SETTINGS, explicit: false, ...change };
}

interface Row {
  rule: string;
  flags?: { url?: string; token?: string };
  environment?: Record<string, string>;
  profile?: ChosenProfile;
  url: [string, string];
  token?: [string, string];
  secret?: string;
}

const ROWS: Row[] = [
  {
    rule: "flags win over all else",
    flags: { url: "https://flag.dev", token: "flag-token" },
    environment: ENV,
    profile: profile(),
    url: ["https://flag.dev", "--url"],
    token: ["flag-token", "--token"],
  },
  {
    rule: "the environment wins over the default profile",
    environment: ENV,
    profile: profile(),
    url: ["https://env.dev", "CODEX_FLOW_URL"],
    token: ["env-token", "CODEX_FLOW_TOKEN"],
  },
  {
    rule: "the ancestor's variables count behind our own",
    environment: { ...ANCESTOR, CODEX_FLOW_TOKEN: "env-token" },
    url: ["https://ancestor.dev", "CODEX_FLOW_BACKEND_URL"],
    token: ["env-token", "CODEX_FLOW_TOKEN"],
    secret: "ancestor-secret",
  },
  {
    rule: "our own name of the secret comes before the ancestor's",
    environment: { ...ANCESTOR, CODEX_FLOW_EVENT_SECRET: "env-secret" },
    url: ["https://ancestor.dev", "CODEX_FLOW_BACKEND_URL"],
    token: ["ancestor-token", "CODEX_FLOW_BACKEND_TOKEN"],
    secret: "env-secret",
  },
  {
    rule: "the profile says what is left",
    profile: profile(),
    url: ["https://profile.dev", "profile default"],
    token: ["profile-token", "profile default"],
    secret: "profile-secret",
  },
  {
    rule: "an empty variable is none",
    environment: { CODEX_FLOW_URL: "", CODEX_FLOW_TOKEN: "" },
    profile: profile(),
    url: ["https://profile.dev", "profile default"],
    token: ["profile-token", "profile default"],
    secret: "profile-secret",
  },
  {
    rule: "a profile that was asked for wins over the environment",
    environment: ENV,
    profile: profile({ name: "staging", explicit: true }),
    url: ["https://profile.dev", "profile staging"],
    token: ["profile-token", "profile staging"],
    secret: "profile-secret",
  },
  {
    rule: "a profile's credentials go to no other url, be it from a flag",
    flags: { url: "https://flag.dev" },
    profile: profile(),
    url: ["https://flag.dev", "--url"],
  },
  {
    rule: "… or from the environment",
    environment: { CODEX_FLOW_URL: "https://env.dev" },
    profile: profile(),
    url: ["https://env.dev", "CODEX_FLOW_URL"],
  },
  {
    rule: "the same url, written otherwise, is the profile's own",
    flags: { url: "https://PROFILE.dev/" },
    profile: profile(),
    url: ["https://profile.dev", "--url"],
    token: ["profile-token", "profile default"],
    secret: "profile-secret",
  },
  {
    rule: "a profile without a url goes anywhere",
    flags: { url: "https://flag.dev" },
    profile: profile({ settings: { token: "profile-token" } }),
    url: ["https://flag.dev", "--url"],
    token: ["profile-token", "profile default"],
  },
];

describe("resolution", () => {
  test.each(ROWS)("$rule", ({ flags = {}, environment = {}, profile: chosen, url, token, secret }) => {
    const connection = resolveConnection(flags, environment, chosen);
    expect([connection.url.value, connection.url.from]).toEqual(url);
    expect(connection.token && [connection.token.value, connection.token.from]).toEqual(token);
    expect(connection.eventSecret?.value).toBe(secret);
  });

  test("the profile file is not needed when url and token are given", () => {
    expect(needsProfile({ url: "https://a.dev", token: "t" }, {})).toBe(false);
    expect(needsProfile({}, ENV)).toBe(false);
    expect(needsProfile({ url: "https://a.dev" }, {})).toBe(true);
  });

  test("a missing url names all three ways", () => {
    const resolve = () => resolveConnection({}, {}, undefined);
    expect(resolve).toThrow(UsageError);
    expect(resolve).toThrow(
      expect.objectContaining({
        fix: expect.stringMatching(/--url.*CODEX_FLOW_URL.*codex-flow login/) as string,
      }),
    );
  });

  test("a missing token names all three ways", () => {
    const connection = resolveConnection({ url: "https://a.dev" }, {}, undefined);
    expect(missingToken(connection, false).fix).toMatch(/--token.*CODEX_FLOW_TOKEN.*codex-flow login/);
    expect(missingToken(connection, true).fix).toMatch(/CODEX_FLOW_EVENT_SECRET/);
  });
});

describe("the profile file", () => {
  async function fileWith(text: string, mode = 0o600): Promise<string> {
    const path = profilesPath({ XDG_CONFIG_HOME: await temporaryFolder() });
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    await chmod(path, mode);
    return path;
  }

  test("stands in XDG_CONFIG_HOME, unless that is relative", () => {
    expect(profilesPath({ XDG_CONFIG_HOME: "/config" })).toBe("/config/codex-flow/profiles.toml");
    expect(profilesPath({ XDG_CONFIG_HOME: "config" })).toMatch(/\.config\/codex-flow\/profiles\.toml$/);
    expect(profilesPath({})).toMatch(/\.config\/codex-flow\/profiles\.toml$/);
  });

  test("is read by profile", async () => {
    const path = await fileWith(
      '[default]\nurl = "https://a.dev"\ntoken = "t"\n[staging]\nevent_secret = "s"\n',
    );
    expect(Object.fromEntries(await readProfiles(path))).toEqual({
      default: { url: "https://a.dev", token: "t" },
      staging: { eventSecret: "s" },
    });
  });

  test("may be absent", async () => {
    expect(await readProfiles(join(await temporaryFolder(), "none.toml"))).toEqual(new Map());
  });

  test.each([0o640, 0o604, 0o644, 0o620, 0o602])(
    "is refused with mode %o, and the fix is named",
    async (mode) => {
      const path = await fileWith('[default]\ntoken = "t"\n', mode);
      await expect(readProfiles(path)).rejects.toThrow(
        expect.objectContaining({
          message: expect.stringContaining(`mode ${mode.toString(8)}`) as string,
          fix: `chmod 600 ${path}`,
        }),
      );
    },
  );

  test.each([
    ["[default", /is not TOML/],
    ['url = "https://a.dev"', /"url" stands outside of a profile/],
    ["[default]\ntokn = 't'", /\[default\] tokn is not a text of a known name/],
    ["[default]\ntoken = 1", /\[default\] token is not a text/],
  ])("with %j is refused with what is wrong", async (text, message) => {
    await expect(readProfiles(await fileWith(text))).rejects.toThrow(message);
  });

  test("is written for its owner alone, keeps the other profiles, and leaves nothing beside it", async () => {
    const path = profilesPath({ XDG_CONFIG_HOME: join(await temporaryFolder(), "new") });
    await writeProfile(path, "default", { url: "https://a.dev", token: 'quo"ted' });
    await writeProfile(path, "a b", { eventSecret: "s" });
    await writeProfile(path, "default", { url: "https://b.dev", token: "t2" });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(dirname(path))).mode & 0o077).toBe(0);
    expect(await readdir(dirname(path))).toEqual(["profiles.toml"]);
    expect(Object.fromEntries(await readProfiles(path))).toEqual({
      default: { url: "https://b.dev", token: "t2" },
      "a b": { eventSecret: "s" },
    });
  });

  test("that others can read is not written to either", async () => {
    const path = await fileWith('[default]\ntoken = "t"\n', 0o644);
    await expect(writeProfile(path, "other", { token: "t" })).rejects.toThrow(UsageError);
    expect(await readFile(path, "utf8")).toBe('[default]\ntoken = "t"\n');
  });
});

describe("addresses and tokens that can never work", () => {
  test.each(["\r", "\n", "\r\n", " "])(
    "a token with %j behind it is used without that, as .env files and mounted secrets leave it",
    (end) => {
      const environment = { CODEX_FLOW_URL: `https://edge.dev${end}`, CODEX_FLOW_TOKEN: `a-token${end}` };
      const { url, token } = resolveConnection({}, environment, undefined);
      expect([url.value, token?.value]).toEqual(["https://edge.dev", "a-token"]);
    },
  );

  test.each(["a b", "a\nb", "grün", "a\u0000b"])(
    "the token %j is refused by the name of its variable, without its value",
    (token) => {
      const environment = { CODEX_FLOW_URL: "https://edge.dev", CODEX_FLOW_TOKEN: token };
      const resolving = (): unknown => resolveConnection({}, environment, undefined);
      expect(resolving).toThrow(/the token in CODEX_FLOW_TOKEN/);
      expect(resolving).not.toThrow(token);
    },
  );

  test.each(["127.0.0.1:8787", "ws://127.0.0.1:8787", "edge.dev"])(
    "the address %s is refused before anything connects",
    (url) => {
      expect(() => resolveConnection({ url }, {}, undefined)).toThrow(EdgeUrlError);
    },
  );
});
