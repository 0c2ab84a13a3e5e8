/** A process that may open no more files, for as long as a test says. It needs no rights but the owner's. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { onTestFinished } from "vitest";

/** From now on this process can open nothing. Returns what ends that, which can be done without opening anything. */
export function openNothing(): () => Promise<void> {
  const limit = (files: string): string[] => ["--pid", String(process.pid), `--nofile=${files}`];
  const before = execFileSync("prlimit", [
    "--pid",
    String(process.pid),
    "--nofile",
    "--raw",
    "--noheadings",
    "-o",
    "SOFT,HARD",
  ])
    .toString()
    .trim()
    .replace(/\s+/, ":");
  const back = spawn("sh", ["-c", `read go; exec prlimit ${limit(before).join(" ")}`], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  const gone = once(back, "exit");
  const openAgain = async (): Promise<void> => {
    if (!back.stdin.writableEnded) back.stdin.end("go\n");
    await gone;
  };
  onTestFinished(openAgain);
  execFileSync("prlimit", limit("3:"));
  return openAgain;
}
