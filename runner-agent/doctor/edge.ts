/** The way to the edge: whether it is there, whether it takes this token as a runner's, and what time it has. */
import { connectionReason } from "../../client/transport.ts";
import type { Box, Check, Finding } from "./check.ts";

const SECOND_MS = 1000;
/** Signatures and leases bear this easily; people who compare logs do not. */
const CLOCK_SKEW_WARN_MS = 30 * SECOND_MS;
const NO_URL: Finding = {
  state: "missing",
  found: "no url is given",
  fix: "pass --url, set CODEX_FLOW_URL, or save it with `codex-flow login`",
};

export const edgeCheck: Check = {
  name: "edge",
  probe: async (box) => {
    if (box.url === undefined) return NO_URL;
    const answer = await ask(box, box.url, "/healthz");
    if ("fault" in answer)
      return {
        state: "missing",
        found: `${box.url} cannot be reached: ${answer.fault}`,
        fix: "check the url, the network's way out (DNS, proxy, firewall: HTTPS and WebSockets), and that the edge is deployed",
      };
    return (answer.body as { ok?: unknown } | undefined)?.ok === true
      ? { state: "ok", found: `${box.url} answers` }
      : {
          state: "missing",
          found: `${box.url} answers ${answer.status}, and is no codex-flow edge`,
          fix: "check the url: it is what `wrangler deploy` has printed, without a path",
        };
  },
};

/** The control socket's own route, asked without an upgrade: it says no to that only to whom it would let in. */
export const tokenCheck: Check = {
  name: "token",
  probe: async (box) => {
    const { url, token, pool } = box;
    if (url === undefined) return { state: "warn", found: "not tried: no url is given" };
    if (token === undefined)
      return {
        state: "missing",
        found: "no token is given",
        fix: "set CODEX_FLOW_TOKEN to a runner token of that edge (RUNNER_TOKENS), or use `codex-flow login`",
      };
    const path = `/runners/connect?pool=${encodeURIComponent(pool)}`;
    const answer = await ask(box, url, path, { authorization: `Bearer ${token}` });
    if ("fault" in answer) return { state: "warn", found: "not tried: the edge cannot be reached" };
    const code = (answer.body as { error?: { code?: unknown } } | undefined)?.error?.code;
    if (code === "not_a_websocket") return { state: "ok", found: "the edge takes it as a runner's" };
    return { state: "missing", ...refusal(answer.status, code) };
  },
};

/** The agent works over WebSockets alone, and a proxy or firewall may let HTTPS through and them not. */
export const socketCheck: Check = {
  name: "websocket",
  probe: async (box) => {
    const { url, token, pool } = box;
    if (url === undefined || token === undefined)
      return { state: "warn", found: "not tried: no url or no token" };
    const address = `${url.replace(/^http/, "ws").replace(/\/$/, "")}/runners/connect?pool=${encodeURIComponent(pool)}`;
    const answer = await box.openSocket(address, { authorization: `Bearer ${token}` });
    const way = answer.way === undefined ? "" : ` ${answer.way}`;
    switch (answer.kind) {
      case "open":
        return { state: "ok", found: `opens${way}` };
      case "refused":
        return {
          state: "missing",
          found: `the upgrade was answered with ${answer.status}${way}`,
          fix: "if edge and token are ok above, let WebSocket upgrades through the proxy or firewall",
        };
      case "failed":
        return {
          state: "missing",
          found: `cannot be opened${way}: ${answer.why}`,
          fix: "check the way out: DNS, HTTPS_PROXY and NO_PROXY, the firewall",
        };
    }
  },
};

function refusal(status: number, code: unknown): Pick<Finding, "found" | "fix"> {
  if (status === 401)
    return {
      found: "the edge does not know this token",
      fix: "give one of the edge's RUNNER_TOKENS; after a rotation the old one is gone",
    };
  if (status === 403)
    return {
      found: "the edge knows this token, and it is none of a runner",
      fix: "give one of the edge's RUNNER_TOKENS (or ADMIN_TOKENS)",
    };
  if (code === "invalid_pool")
    return {
      found: "the pool's name is none",
      fix: "1 to 64 characters of a-z 0-9 - _ in --pool or runner.toml",
    };
  return {
    found: `answered ${status} where runners connect: no codex-flow edge`,
    fix: "check the url: it is what `wrangler deploy` has printed, without a path",
  };
}

export const clockCheck: Check = {
  name: "clock",
  probe: async (box) => {
    if (box.url === undefined) return { state: "warn", found: "not compared: no url is given" };
    const askedAt = box.now();
    const answer = await ask(box, box.url, "/healthz");
    if ("fault" in answer) return { state: "warn", found: "not compared: the edge cannot be reached" };
    const theirs = Date.parse(answer.date ?? "");
    if (Number.isNaN(theirs))
      return { state: "warn", found: "not compared: the edge's answer bears no date" };
    // The edge has read its clock between the two; its date is whole seconds.
    const skewMs = theirs - (askedAt + box.now()) / 2;
    const found = `${Math.round(Math.abs(skewMs) / SECOND_MS)} s ${skewMs < 0 ? "ahead of" : "behind"} the edge`;
    return Math.abs(skewMs) <= CLOCK_SKEW_WARN_MS
      ? { state: "ok", found }
      : { state: "warn", found, fix: "let the box keep its time: timedatectl set-ntp true" };
  },
};

async function ask(
  box: Box,
  url: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown; date: string | null } | { fault: string }> {
  try {
    const answer = await box.fetch(`${url.replace(/\/$/, "")}${path}`, { headers });
    const text = await answer.text();
    return { status: answer.status, body: parsed(text), date: answer.headers.get("date") };
  } catch (error) {
    return { fault: connectionReason(error) };
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
