/*---
# Git writes to the checkout's .git, and checks to caches of their own: no sandbox of Codex's allows that. So the box has
# to: allow_danger_full_access = true under [codex] in its runner.toml.
sandbox: danger-full-access
approval_policy: never
---*/
/**
 * Rebases the maintained patch branch of a fork onto the tag of an upstream release.
 *
 * The configuration and the box's environment say where; the event says only which release. The checkout is left as it was
 * found, but for the patch branch when all went well, and but for a rebase that was to be kept (on_conflict = "keep").
 *
 * That holds for a run that is canceled, too: a guard beside it brings the checkout back when its processes are ended. What
 * even that one leaves (the box lost its power) is cleared by the next run, which knows it by a mark in the checkout's .git.
 * A rebase that was there before is never touched.
 */
const FILES_MAX = 50;
const HUNKS_MAX_CHARS = 4_000;
const OUTPUT_MAX_CHARS = 8_000;
/** In the checkout's .git while a run works in it: what was checked out, the branch's commit, the tag's. */
const MARK = "codex-flow-rebase";
/** For the shell, in the checkout: brings it back to what the mark says, unless somebody has begun something else there. */
const UNDO = `undo() {
  mark=$(git rev-parse --git-path ${MARK}) && [ -e "$mark" ] || return 0
  { read -r found; read -r before; read -r base; } < "$mark"
  for lock in index HEAD; do
    file=$(git rev-parse --git-path $lock.lock)
    if [ "$file" -nt "$mark" ]; then rm "$file"; fi
  done
  state=$(git rev-parse --git-path rebase-merge)
  if [ -d "$state" ]; then
    if [ ! -s "$state/onto" ] || [ "$(cat "$state/onto")" = "$base" ]; then
      git rebase --abort || git rebase --quit
      git checkout --quiet --force "$found" || return 1
    fi
  elif ! git symbolic-ref --quiet HEAD > /dev/null && git merge-base --is-ancestor "$base" HEAD; then
    git checkout --quiet --force "$found" || return 1
  fi
  rm "$mark"
}`;
/** Outlives the command that is killed, and is ended after it: with the time that what cleans up after itself is given. */
const GUARD = `${UNDO}
trap 'undo; exit' TERM INT HUP
while [ -e "$(git rev-parse --git-path ${MARK})" ]; do sleep 1 & wait $!; done`;
/** Of one look at a command; it may take as long as the step may. */
const LOOK_MS = 30_000;

const config = flow.config ?? {};
const { tag } = flow.event.payload;

/** Stands in every result. */
const about = { tag };
const root = await checkout();
const branch = (await variable("PEEZY_CODEX_TARGET_BRANCH")) || wanted("patch_branch");
const upstream = wanted("upstream_remote");
const push = config.push === true || (await variable("CODEX_FLOW_PUSH")) === "1";
Object.assign(about, { repo: root, branch });

await must(`${UNDO}\nundo`, "what a run before has left cannot be cleared");
if (await isRebasing())
  end("blocked", `a rebase is in progress in ${root}: finish it or git rebase --abort`, {
    conflict: await conflict(),
  });
const dirty = paths(
  await known("git status --porcelain -z --untracked-files=all --no-renames", "whether it is clean"),
).map((line) => line.slice(3));
if (dirty.length > 0)
  end("blocked", `${root} has uncommitted changes: ${shortList(dirty)}. Commit or discard them`, {
    dirty: dirty.slice(0, FILES_MAX),
  });
const before = await ask(`git rev-parse --verify --quiet ${q(`refs/heads/${branch}^{commit}`)}`);
if (before === "") end("blocked", `${root} has no branch ${branch} (config.patch_branch)`);
const beside = await worktreesOf(`refs/heads/${branch}`);
if (beside.length > 0)
  end("blocked", `${branch} is checked out in ${shortList(beside)}, too: it would move under what is there`);
if ((await ask(`git remote get-url ${q(upstream)}`)) === "")
  end(
    "blocked",
    `${root} has no remote ${upstream}: git remote add ${upstream} https://github.com/openai/codex.git`,
  );

await must(
  `git fetch --no-tags ${q(upstream)} ${q(`refs/tags/${tag}:refs/tags/${tag}`)}`,
  "the tag cannot be fetched",
);
const base = await known(`git rev-parse --verify ${q(`refs/tags/${tag}^{commit}`)}`, `what ${tag} is`);
const candidate = { remote: wanted("push_remote"), ref: wanted("candidate_ref").replaceAll("{tag}", tag) };
const stands = (await run(`git merge-base --is-ancestor ${q(base)} ${q(before)}`)).ok;
if (stands && (!push || (await pushed(candidate)) === before))
  end("skipped", `${branch} stands on ${tag} already`, { base, head: before });

/** What is checked out, to be checked out again: a branch, or a commit. */
const found =
  (await ask("git symbolic-ref --quiet --short HEAD")) ||
  (await known("git rev-parse HEAD", "what is checked out"));
text(`${branch} ${before} is rebased onto ${tag} ${base}`);
await enter();
// Beside the branch: whatever ends this run, the branch is the old one or one that has passed all checks.
const rebase = await run(rebaseOf(before));
if (!rebase.ok) await stopped(rebase);
const head = await known("git rev-parse HEAD", "what the rebase has made");
const checks = await allChecks();
await must(
  `git update-ref ${q(`refs/heads/${branch}`)} ${q(head)} ${q(before)}`,
  `${branch} has moved meanwhile`,
);
await leave();
if (push) await pushCandidate();
end(
  "changed",
  `${branch} is rebased onto ${tag}${checks.length > 0 ? ", and all checks passed" : ""}${push ? `; candidate ${candidate.ref}` : ""}`,
  {
    base,
    before,
    head,
    commits: await patches(),
    checks,
    ...(push
      ? { pushed: candidate, candidateRefs: [{ kind: "git", ...candidate, sha: head, pushed: true }] }
      : {}),
  },
);

/** The top of the configured checkout. */
async function checkout() {
  const repo = (await variable("PEEZY_CODEX_REPO")) || wanted("repo");
  const { ok, output } = await run(`cd ${q(repo)} && git rev-parse --show-toplevel`, ".");
  if (!ok)
    end(
      "blocked",
      `${repo} is no git checkout (config.repo, or PEEZY_CODEX_REPO of the runner): ${output.trim()}`,
    );
  return output.trim();
}

/** Other worktrees of the repository, as far as they still exist, that have it checked out. */
async function worktreesOf(ref) {
  const list = await known("git worktree list --porcelain", "which worktrees there are");
  return list
    .split("\n\n")
    .map((entry) => entry.split("\n"))
    .filter((lines) => lines.includes(`branch ${ref}`) && !lines.some((line) => line.startsWith("prunable")))
    .map(([first = ""]) => first.replace(/^worktree /, ""))
    .filter((path) => path !== root);
}

function rebaseOf(what) {
  return `git -c rebase.autoStash=false rebase ${q(base)} ${q(what)}`;
}

/** From here on the checkout is to be brought back, whatever happens. */
async function enter() {
  await must(
    `printf '%s\\n' ${q(found)} ${q(before)} ${q(base)} > "$(git rev-parse --git-path ${MARK})"`,
    "the checkout's .git cannot be written",
  );
  // Without setsid (not on Linux) there is none, and the next run does its work.
  await run(`setsid sh -c ${q(GUARD)} > /dev/null 2>&1 < /dev/null & :`);
}

/** Checks out what was found. The checkout was clean: what checks have changed in it is nobody's. */
async function leave() {
  await must(`git checkout --quiet --force ${q(found)}`, "the checkout cannot be brought back");
  await unmark();
}

/** What is in the checkout now is to stay. */
async function unmark() {
  await run(`rm "$(git rev-parse --git-path ${MARK})"`);
}

/** The rebase did not go through. */
async function stopped({ output }) {
  if (!(await isRebasing())) {
    await leave();
    end("failed", `git refused to rebase: ${output.trim().slice(-OUTPUT_MAX_CHARS)}`);
  }
  const what = { base, before, conflict: await conflict() };
  const files = what.conflict.files.map(({ path }) => path);
  const where = `${what.conflict.commit.subject} conflicts in ${shortList(files)}`;
  await must("git rebase --abort", "the rebase cannot be aborted");
  await leave();
  if (config.on_conflict !== "keep")
    end(
      "needs_intervention",
      `${where}. The checkout is as it was: rebase ${branch} onto ${tag} by hand`,
      what,
    );
  // Once more, of the branch itself: whoever goes on with it ends with the branch rebased.
  await enter();
  await run(rebaseOf(branch));
  await unmark();
  end(
    "needs_intervention",
    `${where}. The rebase waits in ${root}: resolve it, then git rebase --continue`,
    what,
  );
}

/** What a paused rebase is about: the commit that did not apply, how far it came, and each file's hunks. */
async function conflict() {
  const [id = "", subject = ""] = (await ask("git log -1 --format=%H%x00%s REBASE_HEAD")).split("\0");
  const progress = await ask('cd "$(git rev-parse --git-path rebase-merge)" && cat msgnum end');
  const [step, steps] = progress.split("\n").map(Number);
  const unmerged = paths(await ask("git diff --name-only --diff-filter=U -z"));
  const files = [];
  for (const path of unmerged.slice(0, FILES_MAX))
    files.push({ path, hunks: (await ask(`git diff -- ${q(path)}`)).slice(0, HUNKS_MAX_CHARS) });
  return { commit: { id, subject }, step, steps, files, count: unmerged.length };
}

/** All of them pass, or nothing is rebased. */
async function allChecks() {
  const done = [];
  for (const command of config.checks ?? []) {
    text(`check: ${command}`);
    const { ok, exitCode, output } = await run(command);
    done.push({ command, exitCode, output: output.slice(-OUTPUT_MAX_CHARS) });
    if (ok) continue;
    await leave();
    const message = `rebased onto ${tag}, a check fails (${exitCode}): ${command}. ${branch} is as it was`;
    end("failed", message, { base, before, head, checks: done });
  }
  return done;
}

async function pushCandidate() {
  const { remote, ref } = candidate;
  const lease = `--force-with-lease=${ref}:${await pushed(candidate)}`;
  await must(
    `git push --quiet ${q(lease)} ${q(remote)} ${q(`${head}:${ref}`)}`,
    "the candidate cannot be pushed",
  );
  text(`pushed ${head} to ${remote} as ${ref}`);
}

/** What the remote has as the candidate; "" for nothing. */
async function pushed({ remote, ref }) {
  return (await ask(`git ls-remote ${q(remote)} ${q(ref)}`)).split("\t")[0];
}

async function patches() {
  const lines = await ask(`git log --reverse --format=%H%x00%s ${q(`${base}..${head}`)}`);
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => ({ id: line.split("\0")[0], subject: line.split("\0")[1] }));
}

async function isRebasing() {
  return (
    await run(
      'test -d "$(git rev-parse --git-path rebase-merge)" -o -d "$(git rev-parse --git-path rebase-apply)"',
    )
  ).ok;
}

/** A command to its end, however long it takes. */
async function run(cmd, workdir = root) {
  const quiet = `export GIT_TERMINAL_PROMPT=0 GIT_EDITOR=true LC_ALL=C; ${cmd}`;
  const options = {
    workdir,
    shell: "/bin/sh",
    login: false,
    yield_time_ms: LOOK_MS,
    max_output_tokens: 100_000,
  };
  let look = await tools.exec_command({ cmd: quiet, ...options });
  let output = look.output;
  while (look.exit_code === undefined) {
    const { session_id } = look;
    look = await tools.write_stdin({
      session_id,
      chars: "",
      yield_time_ms: LOOK_MS,
      max_output_tokens: 100_000,
    });
    output += look.output;
  }
  return { ok: look.exit_code === 0, exitCode: look.exit_code, output };
}

/** What a command prints, without what it complains of; "" when it fails. */
async function ask(cmd) {
  const { ok, output } = await run(`{ ${cmd}; } 2>/dev/null`);
  return ok ? output.replace(/\n$/, "") : "";
}

/** The same, for what nobody may guess at: that git cannot say it is no answer. */
async function known(cmd, what) {
  const { ok, output } = await run(`{ ${cmd}; } 2>/dev/null`);
  if (ok) return output.replace(/\n$/, "");
  const words = (await run(cmd)).output.trim().slice(-OUTPUT_MAX_CHARS);
  return end("blocked", `git cannot say ${what} in ${root}: ${words}`);
}

async function must(cmd, otherwise) {
  const { ok, output } = await run(cmd);
  if (!ok) end("failed", `${otherwise}: ${output.trim().slice(-OUTPUT_MAX_CHARS)}`);
}

function end(status, message, artifacts = {}) {
  result({ status, message, artifacts: { ...about, ...artifacts } });
}

async function variable(name) {
  return (await run(`printf %s "\${${name}:-}"`, ".")).output;
}

function wanted(name) {
  const value = config[name];
  if (typeof value === "string" && value !== "") return value;
  return result({ status: "failed", message: `config.${name} must be a text that is not empty` });
}

function paths(fields) {
  return fields.split("\0").filter((path) => path !== "");
}

function shortList(all) {
  const more = all.length > 10 ? ` and ${all.length - 10} more` : "";
  return all.slice(0, 10).join(", ") + more;
}

/** One word for the shell. */
function q(value) {
  return `'${String(value).replaceAll("'", "'\\''")}'`;
}
