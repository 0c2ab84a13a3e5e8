/** Whether a text is longer than so many bytes in UTF-8. */
export function exceedsBytes(text: string, limitBytes: number): boolean {
  return text.length > limitBytes || new TextEncoder().encode(text).length > limitBytes;
}
