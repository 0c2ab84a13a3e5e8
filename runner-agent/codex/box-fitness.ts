/**
 * Whether this box can do what steps ask of Codex, found out before the first turn: a missing login costs minutes of
 * tries, and without a sandbox every command fails and a model may call that a success. Once an app-server, beside the
 * start of its first thread.
 */
import type { AppServer } from "./app-server.ts";
import { NotLoggedInError, SandboxUnavailableError, type CodexError } from "./errors.ts";

export interface BoxFitness {
  login: CodexError | undefined;
  /** Of no matter to steps that ask for none. */
  sandbox: CodexError | undefined;
}

const QUOTE_CHARS = 500;

/** @throws CodexError when it cannot be found out */
export async function boxFitness(server: AppServer): Promise<BoxFitness> {
  const [account, tried] = await Promise.all([
    server.request("account/read", { refreshToken: false }),
    server.request("command/exec", {
      command: ["/bin/sh", "-c", "true"],
      sandboxPolicy: { type: "readOnly", networkAccess: false },
    }),
  ]);
  return {
    login:
      account.requiresOpenaiAuth && account.account === null
        ? new NotLoggedInError(
            "the provider of this box's Codex wants a login, and there is none: run `codex login` as the user of the agent, or name another model_provider under [codex.config] in its runner.toml",
          )
        : undefined,
    sandbox:
      tried.exitCode === 0
        ? undefined
        : new SandboxUnavailableError(
            `no command can be run in a sandbox on this box: ${tried.stderr.trim().slice(0, QUOTE_CHARS)}; allow user namespaces (containers often forbid them), or let the step ask for danger-full-access`,
          ),
  };
}
