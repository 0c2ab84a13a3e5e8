/** The part of node:zlib that workerd offers under nodejs_compat and the edge uses. */
declare module "node:zlib" {
  export function gzipSync(data: string | Uint8Array): Uint8Array;
  interface UnpackOptions {
    /** More bytes than this throw a RangeError. */
    maxOutputLength?: number;
  }
  export function gunzipSync(data: Uint8Array, options?: UnpackOptions): Uint8Array;
  export function inflateSync(data: Uint8Array, options?: UnpackOptions): Uint8Array;
  export function brotliCompressSync(
    data: string | Uint8Array,
    options: { params: Record<number, number> },
  ): Uint8Array;
  export function brotliDecompressSync(data: Uint8Array, options?: UnpackOptions): Uint8Array;
  export const constants: Record<"BROTLI_PARAM_QUALITY" | "BROTLI_PARAM_MODE" | "BROTLI_MODE_TEXT", number>;
}
