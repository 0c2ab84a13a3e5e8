/** The part of node:zlib that workerd offers under nodejs_compat and the storage uses. */
declare module "node:zlib" {
  export function gzipSync(data: string | Uint8Array): Uint8Array;
  export function gunzipSync(data: Uint8Array): Uint8Array;
}
