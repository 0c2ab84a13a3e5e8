/** Which version of Codex a release tag names. */

const TAG = /^(?:rust-)?v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*)?)$/;

/** `rust-v0.169.0`, `v0.169.0` and `0.169.0` are 0.169.0; undefined for what is no release tag. */
export function versionOfTag(tag: string): string | undefined {
  return TAG.exec(tag)?.[1];
}
