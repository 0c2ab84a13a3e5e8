/**
 * ChatAccess: one for the deployment. It decides who in a chat may do what, admits each request once, and keeps the
 * audit of all of them, the refused ones too. It starts nothing and knows no run: whoever asked acts on the verdict,
 * and says afterwards what came of it (`conclude`).
 */
import { DurableObject } from "cloudflare:workers";
import { CHAT_SCOPES, type ChatGrant, type ChatScope } from "../../contract/chat/scopes.ts";
import { GRANTS_PER_TENANT_MAX, SERVERS_MAX } from "../../contract/limits.ts";
import type { Env } from "../../worker/env.ts";
import { AlarmSchedule } from "../kit/alarm.ts";
import type {
  Admission,
  ApiCall,
  Attempt,
  AuditFilter,
  AuditRow,
  GrantAnswer,
  GrantRow,
  GuardDecision,
  Refusal,
  RefusedLately,
  ServerAnswer,
  ServerRow,
  Standing,
} from "./calls.ts";
import { isLasting, isReplay, judge, rememberedUntil, scopesNow, subjectsOf } from "./rules.ts";
import { AccessStorage, attemptRow } from "./storage.ts";

const DAY_MS = 86_400_000;

export class ChatAccess extends DurableObject<Env> {
  readonly #storage: AccessStorage;
  readonly #alarm: AlarmSchedule;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#storage = new AccessStorage(ctx.storage);
    this.#alarm = new AlarmSchedule(ctx.storage);
    if (this.#storage.empty) return;
    void ctx.blockConcurrencyWhile(async () => {
      if ((await this.#alarm.load()) === null) await this.#alarm.wakeBy(Date.now() + DAY_MS);
    });
  }

  /** Verdict, audit row and replay window in one transaction. */
  async admit(attempt: Attempt): Promise<Admission> {
    const now = Date.now();
    const admission = this.#storage.transaction((): Admission => {
      this.#storage.sweep(now);
      if (!this.#isKnown(attempt)) return this.#refuseStranger(attempt, now);
      const seen = this.#storage.seen(attempt.key);
      if (isReplay(attempt.platform, seen, now)) {
        this.#storage.append(attemptRow(attempt, now, "replayed"));
        return { verdict: "replayed" };
      }
      const judged = judge(attempt, this.#storage.grants(attempt.tenant, subjectsOf(attempt)), {
        known: true,
        configured: this.#storage.grantCount(attempt.tenant) > 0,
      });
      const row = this.#storage.append(
        attemptRow(attempt, now, judged.verdict, judged.verdict === "denied" ? judged.reason : undefined),
        judged.verdict === "allowed" && isLasting(attempt),
      );
      this.#storage.remember(attempt.key, rememberedUntil(attempt.platform, now), row);
      return { ...judged, row, again: seen !== undefined };
    });
    await this.#alarm.wakeBy(now + DAY_MS);
    return admission;
  }

  /** What came of an attempt that was admitted, or denied, and answered. The first word stays. @param key of the attempt */
  conclude(row: number, outcome: string, key: string): void {
    this.#storage.conclude(row, outcome, key);
  }

  /** What somebody may do, for a list of choices: no act, so it is not in the audit. */
  scopesOf(standing: Standing): ChatScope[] {
    const grants = this.#storage.grants(standing.tenant, subjectsOf(standing));
    const scopes = scopesNow(standing, grants, this.#isKnown(standing));
    return CHAT_SCOPES.filter((scope) => scopes.has(scope));
  }

  /** Newest first; `before` is the `row` of the last one of the page before. */
  audit(filter: AuditFilter, before: number | undefined, limit: number): AuditRow[] {
    return this.#storage.audit(filter, before, limit);
  }

  /** Of a tenant. A grant without scopes and without `deny` is taken away. */
  setGrant(tenant: string, subject: string, grant: ChatGrant, setBy: string): GrantAnswer {
    const at = Date.now();
    return this.#storage.transaction((): GrantAnswer => {
      if (grant.scopes.length === 0 && grant.deny !== true) this.#storage.removeGrant(tenant, subject);
      else if (
        !this.#storage.hasGrant(tenant, subject) &&
        this.#storage.grantCount(tenant) >= GRANTS_PER_TENANT_MAX
      )
        return { kind: "full" };
      else this.#storage.setGrant(tenant, { subject, grant, setBy, at });
      return { kind: "set", grants: this.#storage.allGrants(tenant) };
    });
  }

  grants(tenant: string): GrantRow[] {
    return this.#storage.allGrants(tenant);
  }

  /** The servers of Discord that are let in. */
  servers(): ServerRow[] {
    return this.#storage.servers();
  }

  /** Lets a server of Discord in, or puts it out: what was granted there stays, and counts for nothing then. */
  allowServer(server: string, allowed: boolean, setBy: string): ServerAnswer {
    const at = Date.now();
    return this.#storage.transaction((): ServerAnswer => {
      if (!allowed) this.#storage.removeServer(server);
      else if (!this.#storage.hasServer(server) && this.#storage.servers().length >= SERVERS_MAX)
        return { kind: "full" };
      else this.#storage.addServer({ server, setBy, at });
      return { kind: "set", servers: this.#storage.servers() };
    });
  }

  /** Counts what was refused before anybody could be admitted. */
  async refused(refusal: Refusal): Promise<void> {
    const now = Date.now();
    this.#storage.transaction(() => {
      this.#storage.sweep(now);
      this.#storage.refuse(refusal, now);
    });
    await this.#alarm.wakeBy(now + DAY_MS);
  }

  /** What was refused so within the last hour. */
  refusedLately(): RefusedLately[] {
    return this.#storage.refusedLately(Date.now());
  }

  /** Anybody can make himself a server: what he does there is counted, and not listed one by one. */
  #refuseStranger({ platform, act, tenant, place, user }: Attempt, now: number): Admission {
    const reason = "unknown_server";
    const row = this.#storage.refuse({ platform, act, reason, from: { tenant, place, user }, times: 1 }, now);
    return { verdict: "denied", row, again: false, reason };
  }

  #isKnown({ platform, tenant }: Pick<Attempt, "platform" | "tenant">): boolean {
    return platform !== "discord" || this.#storage.hasServer(tenant);
  }

  /** Records what the guard has answered a relay: the same answer about the same place within an hour is one row. */
  async guardDecision(decision: GuardDecision): Promise<void> {
    const now = Date.now();
    this.#storage.transaction(() => {
      this.#storage.sweep(now);
      this.#storage.countGuard(decision, now);
    });
    await this.#alarm.wakeBy(now + DAY_MS);
  }

  /** Records a decision that was made over HTTP. */
  async noteApiCall({ act, subject, by, outcome, tenant = "" }: ApiCall): Promise<void> {
    const now = Date.now();
    this.#storage.transaction(() => {
      this.#storage.sweep(now);
      const user = { id: "api", name: by };
      const verdict = "allowed";
      const row = {
        at: now,
        platform: "api",
        tenant,
        place: "",
        user,
        roles: [],
        act,
        subject,
        verdict,
        outcome,
      };
      this.#storage.append(row, true);
    });
    await this.#alarm.wakeBy(now + DAY_MS);
  }

  override async alarm(): Promise<void> {
    this.#alarm.fired();
    let due: number | undefined = Date.now() + DAY_MS;
    try {
      due = this.#storage.sweepAll(Date.now());
    } finally {
      if (due !== undefined) await this.#alarm.wakeBy(Math.max(due, Date.now() + DAY_MS));
    }
  }
}
