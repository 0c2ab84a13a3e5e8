/**
 * One call of a command: its global options, its output, and the edge that it speaks to. Commander's half (how an
 * action is wired) stands here too, so that a command is a plain function from options to an exit code.
 */
import type { Command } from "commander";
import type { EdgeClient } from "../../client/http.ts";
import {
  DEFAULT_PROFILE,
  missingToken,
  needsProfile,
  resolveConnection,
  type Connection,
} from "./configuration.ts";
import { createOutput, type Output, type TextStream } from "./output.ts";
import { problemDocument, renderProblem, UsageError, type Problem } from "./problem.ts";

export interface GlobalOptions {
  url?: string;
  token?: string;
  profile?: string;
  json?: boolean;
  color: boolean;
}

/** What a command needs to be let through: a token; a token or an event secret; nothing. */
export type Credential = "token" | "token or secret" | "none";

/** The process around the command line, as far as it matters. */
export interface Host {
  environment: Readonly<Record<string, string | undefined>>;
  out: TextStream;
  err: TextStream;
}

export class Invocation {
  readonly host: Host;
  readonly options: GlobalOptions;
  readonly output: Output;

  constructor(host: Host, options: GlobalOptions) {
    this.host = host;
    this.options = options;
    this.output = createOutput({
      out: host.out,
      err: host.err,
      json: options.json === true,
      color: options.color,
      environment: host.environment,
    });
  }

  /** Which edge, with which token. Throws UsageError when something that the command needs is not given. */
  async connection(credential: Credential): Promise<Connection> {
    const { environment } = this.host;
    const { profile: named } = this.options;
    const read = named !== undefined || needsProfile(this.options, environment);
    const connection = resolveConnection(
      this.options,
      environment,
      read ? await this.readProfile(named) : undefined,
    );
    const satisfied =
      credential === "none" ||
      connection.token !== undefined ||
      (credential === "token or secret" && connection.eventSecret !== undefined);
    if (!satisfied) throw missingToken(connection, credential === "token or secret");
    return connection;
  }

  /** A client for that edge. */
  async connect(credential: Credential = "token"): Promise<{ client: EdgeClient; connection: Connection }> {
    const connection = await this.connection(credential);
    const { createEdgeClient } = await import("../../client/http.ts");
    const client = createEdgeClient({
      url: connection.url.value,
      token: connection.token?.value,
      eventSecret: connection.eventSecret?.value,
    });
    return { client, connection };
  }

  /** Says what went wrong as every command does, for one that has exit codes of its own. */
  sayProblem(problem: Problem): void {
    if (this.output.json) this.output.err.write(`${JSON.stringify(problemDocument(problem))}\n`);
    else this.output.note(({ colors }) => renderProblem(problem, (word) => colors.bold(colors.red(word))));
  }

  private async readProfile(named: string | undefined) {
    const { profilesPath, readProfiles } = await import("./profiles.ts");
    const path = profilesPath(this.host.environment);
    const profiles = await readProfiles(path);
    const name = named ?? DEFAULT_PROFILE;
    const settings = profiles.get(name);
    if (settings !== undefined) return { name, settings, explicit: named !== undefined };
    if (named === undefined) return undefined;
    const known = profiles.size === 0 ? "there is none yet" : `known: ${[...profiles.keys()].join(", ")}`;
    throw new UsageError(
      `${path} has no profile "${name}" (${known})`,
      `codex-flow login --profile ${name} --url <url> --token <token>`,
    );
  }
}

/** A command's body: its options and operands in, an exit code out. */
export type Handler<Options> = (
  invocation: Invocation,
  options: Options,
  ...operands: string[]
) => Promise<number>;

/** Makes a handler the action of a command. */
export type Act = <Options>(command: Command, handler: Handler<Options>) => void;

export function createAct(host: Host, exit: (code: number) => void): Act {
  return <Options>(command: Command, handler: Handler<Options>) => {
    command.action(async () => {
      const options = command.optsWithGlobals<GlobalOptions>();
      exit(await handler(new Invocation(host, options), command.opts() as Options, ...command.args));
    });
  };
}
