/** The command that breaks everything at random, for a few rounds: that it works, and what its exit code says. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { node } from "../support/program.ts";

const command = new URL("../../bench/chaos/run.ts", import.meta.url).pathname;
const chaos = (...args: string[]) => execa(node, [command, ...args], { reject: false, stdin: "ignore" });

test("three rounds of kill -9 and cut sockets: nothing is lost, doubled or stuck, and faults have hit something", async () => {
  const file = join(await temporaryFolder(), "chaos.json");
  const { exitCode, stdout } = await chaos("--rounds", "3", "--seed", "23", "--json", file);
  expect(exitCode, stdout).toBe(0);
  const told = JSON.parse(await readFile(file, "utf8")) as Record<string, number>;
  expect(told).toMatchObject({ rounds: 3, lost: 0, doubled: 0, stuck: 0, findings: [] });
  expect(told["faults"]).toMatchObject({ "kill edge": 1, "kill agent": 1 });
  expect(told["broken"]).toBeGreaterThan(0);
  expect(stdout).toContain("faults by kind");
});

test("a number of rounds that is none is refused", async () => {
  expect(await chaos("--rounds", "none")).toMatchObject({ exitCode: 2 });
});
