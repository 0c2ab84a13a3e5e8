/** Whatever a message holds, it is drawn within the platform's limits, rings only whom it names, and keeps its text. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ChatMessage } from "../../contract/chat/message.ts";
import {
  DISCORD_TEXT_MAX_CHARS,
  discordPages,
  drawDiscord,
  escapeMarkdown,
} from "../../durable-objects/chat-outbox/discord/message.ts";
import { discordThreadName } from "../../durable-objects/chat-outbox/discord/requests.ts";
import { blocksOf } from "../../durable-objects/chat-outbox/drawing.ts";
import {
  drawTelegram,
  escapeHtml,
  seenLength,
  TELEGRAM_TEXT_MAX_CHARS,
  telegramPages,
} from "../../durable-objects/chat-outbox/telegram/message.ts";
import { telegramTopicName } from "../../durable-objects/chat-outbox/telegram/requests.ts";

const ESC = "\u001b";

/** A message whose every text is this one. */
function saying(text: string): ChatMessage {
  return {
    tone: "waiting",
    title: text,
    lines: [text, "```", text, "```"],
    fields: [{ name: text, value: text }],
    code: { text },
    buttons: [[{ label: text, style: "primary", action: "v1:x" }]],
    links: [{ label: text, url: "https://example.com" }],
  };
}

describe("what cannot be seen", () => {
  test("is shown in each text of a card, in order, on both platforms", () => {
    const message = saying("git status \u202e\u2066; rm\u200b -rf ~ #\u{e0041}");
    for (const body of [drawDiscord(message).body, drawTelegram(message).body]) {
      const texts = JSON.stringify(body);
      expect(texts).not.toMatch(/[\u202e\u2066\u{e0041}]/u);
      expect(texts.match(/git status \ufffd\ufffd; rm\ufffd/gu)).toHaveLength(8);
    }
  });

  test("of a program's output are its colours alone: other escape sequences show", () => {
    const message = saying(`${ESC}[31mred${ESC}[0m\r\n${ESC}[2Jnext`);
    for (const body of [drawDiscord(message).body, drawTelegram(message).body]) {
      const texts = JSON.stringify(body);
      expect(texts).not.toContain("\\u001b");
      expect(texts).not.toContain("[31m");
      expect(texts).toContain("red\\n\ufffd[2Jnext");
    }
  });

  test("is shown in the names of threads", () => {
    expect(discordThreadName("a\u202eb")).toBe("a\ufffdb");
    expect(telegramTopicName("a\u{e0041}b")).toBe("a\ufffdb");
  });

  test("stays where emoji need it", () => {
    const text = "\u{1f469}\u200d\u{1f4bb} \u2764\ufe0f";
    for (const body of [drawDiscord(saying(text)).body, drawTelegram(saying(text)).body])
      expect(JSON.stringify(body).split(text)).toHaveLength(9);
  });
});

interface Component {
  type: number;
  content?: string;
  custom_id?: string;
  url?: string;
  label?: string;
  components?: Component[];
  accent_color?: number;
}

function flatten(components: Component[]): Component[] {
  return components.flatMap((one) => [one, ...flatten(one.components ?? [])]);
}

function discord(message: ChatMessage): { all: Component[]; text: string } {
  const all = flatten(drawDiscord(message).body.components as Component[]);
  return { all, text: all.map(({ content }) => content ?? "").join("\n") };
}

const nasty = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.string({ unit: "grapheme", maxLength: 300 }),
  fc.constantFrom(
    "```",
    "```ts",
    "~~~",
    "````",
    "@everyone <@1> <#2>",
    "a".repeat(5_000),
    "<b>&amp;</b>",
    "`` ` ```",
  ),
);
/** Markdown, whole and broken. */
const written = fc
  .array(
    fc.constantFrom(
      "**",
      "*",
      "_",
      "`",
      "~~",
      "# ",
      "- ",
      "> ",
      "[a](https://a.example/b)",
      "](",
      "word ",
      "<@1>",
    ),
    { maxLength: 40 },
  )
  .map((parts) => parts.join(""));
const anyMessage: fc.Arbitrary<ChatMessage> = fc.record(
  {
    tone: fc.constantFrom("neutral", "queued", "running", "waiting", "good", "attention", "bad", "stopped"),
    title: nasty,
    lines: fc.array(nasty, { maxLength: 60 }),
    body: fc.array(fc.oneof(nasty, written), { maxLength: 20 }).map((lines) => lines.join("\n")),
    fields: fc.array(fc.record({ name: nasty, value: nasty }), { maxLength: 30 }),
    code: fc.record(
      { text: fc.array(nasty, { maxLength: 40 }).map((lines) => lines.join("\n")), language: nasty },
      { requiredKeys: ["text"] },
    ),
    since: fc.integer({ min: 0, max: 4_000_000_000_000 }),
    links: fc.array(fc.record({ label: nasty, url: fc.oneof(fc.webUrl(), nasty) }), { maxLength: 12 }),
    buttons: fc.array(
      fc.array(
        fc.record({
          label: nasty,
          style: fc.constantFrom("primary", "secondary", "success", "danger"),
          action: fc.string({ maxLength: 64 }),
        }),
        { maxLength: 7 },
      ),
      { maxLength: 7 },
    ),
    mention: fc.array(fc.stringMatching(/^\d{17,20}$/), { maxLength: 30 }),
    silent: fc.boolean(),
  },
  { requiredKeys: ["tone", "title"] },
);

describe("Discord", () => {
  test("stays within 4,000 characters, 40 components, rows of 1 to 5, no custom_id twice", () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const { all, text } = discord(message);
        expect(text.length - all.length + 1).toBeLessThanOrEqual(DISCORD_TEXT_MAX_CHARS);
        expect(all.length).toBeLessThanOrEqual(40);
        for (const { type, components = [] } of all)
          if (type === 1) {
            expect(components.length).toBeGreaterThan(0);
            expect(components.length).toBeLessThanOrEqual(5);
          }
        const ids = all.flatMap(({ custom_id }) => custom_id ?? []);
        expect(new Set(ids).size).toBe(ids.length);
        for (const one of all) if (one.type === 10) expect(one.content?.trim()).not.toBe("");
        for (const { label } of all) expect(label?.length ?? 1).toBeLessThanOrEqual(80);
      }),
    );
  });

  test("closes every fence it opens", () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const fences = (discord(message).text.match(/```/g) ?? []).length;
        expect(fences % 2).toBe(0);
      }),
    );
  });

  test("rings those that are named and nobody else", () => {
    const { body } = drawDiscord({
      tone: "bad",
      title: "@everyone",
      lines: ["<@12>"],
      mention: ["34", "34"],
    });
    expect(body.allowed_mentions).toEqual({ parse: [], users: ["34"] });
    expect(body.components[0]).toEqual({ type: 10, content: "<@34>" });
    expect(drawDiscord({ tone: "good", title: "x" }).body.allowed_mentions).toEqual({ parse: [] });
  });

  test("says in its flags that it is Components V2, and that it is silent", () => {
    expect(drawDiscord({ tone: "good", title: "x" }).body.flags).toBe(32_768);
    expect(drawDiscord({ tone: "good", title: "x", silent: true }).body.flags).toBe(32_768 | 4_096);
  });

  test("draws a card", () => {
    expect(
      drawDiscord({
        tone: "running",
        title: "rebase #12",
        lines: ["step 1 of 2", "```ts", "const a = `b`;", "```"],
        fields: [{ name: "by", value: "ada_l" }],
        code: { text: "ok", language: "sh" },
        since: 1_700_000_000_500,
        links: [{ label: "Log", url: "https://edge.example/log" }],
        buttons: [[{ label: "Cancel", style: "danger", action: "v1:cancel:run_x_1" }]],
      }).body.components,
    ).toEqual([
      {
        type: 17,
        accent_color: 0x3498db,
        components: [
          {
            type: 10,
            content:
              "### rebase \\#12\nstep 1 of 2\n```ts\nconst a = `b`;\n```\n**by** ada\\_l\n-# <t:1700000000:R>",
          },
          { type: 10, content: "```sh\nok\n```" },
          {
            type: 1,
            components: [{ type: 2, style: 4, label: "Cancel", custom_id: "v1:cancel:run_x_1" }],
          },
          {
            type: 1,
            components: [{ type: 2, style: 5, label: "Log", url: "https://edge.example/log" }],
          },
        ],
      },
    ]);
  });

  test("of code that is too long shows the end", () => {
    const { text } = discord({ tone: "bad", title: "t", code: { text: `${"x\n".repeat(5_000)}the end` } });
    expect(text).toMatch(/```\n…\nx\n[^]*the end\n```$/);
  });

  test.each([
    ["*a* _b_ ~c~ |d|", "\\*a\\* \\_b\\_ \\~c\\~ \\|d\\|"],
    ["- item", "\\- item"],
    ["1. item", "1\\. item"],
    ["-# small", "-\\# small"],
    ["> quote", "\\> quote"],
    ["a - b, 1.5", "a - b, 1.5"],
    ["see https://a.example/x_y_z?q=[1]#h or _me_", "see https://a.example/x_y_z?q=[1]#h or \\_me\\_"],
    ["<@1> <t:1:R>", "\\<\\@1\\> \\<t:1:R\\>"],
  ])("escapes %s", (plain, escaped) => {
    expect(escapeMarkdown(plain)).toBe(escaped);
  });
});

const ANSWER = [
  "## Summary",
  "I fixed the **off-by-one** in `range()`, *twice*, ~~not~~.",
  "- see [the docs](https://a.example/x_y)",
  "  - and [a file](src/a_b.ts)",
  "> said <@1> & @everyone",
  "a_b_c 2*3*4 **open",
].join("\n");

describe("an agent's Markdown", () => {
  test("is rendered on Discord: bold, code, lists, links with their address; mentions stay escaped", () => {
    const text = discord({ tone: "good", title: "t", body: ANSWER }).text.trimStart();
    expect(text.split("\n").slice(1)).toEqual([
      "**Summary**",
      "I fixed the **off-by-one** in `range()`, *twice*, ~~not~~.",
      "- see the docs (<https://a.example/x_y>)",
      "  - and a file (src/a\\_b.ts)",
      "> said \\<\\@1\\> & \\@everyone",
      "a\\_b\\_c 2\\*3\\*4 \\*\\*open",
    ]);
  });

  test("is rendered on Telegram as HTML", () => {
    const { text } = drawTelegram({ tone: "neutral", title: "t", body: ANSWER }).body;
    expect(text.split("\n").slice(1)).toEqual([
      "<b>Summary</b>",
      "I fixed the <b>off-by-one</b> in <code>range()</code>, <i>twice</i>, <s>not</s>.",
      '• see the docs (<a href="https://a.example/x_y">https://a.example/x_y</a>)',
      "  • and a file (src/a_b.ts)",
      "&gt; said &lt;@1&gt; &amp; <code>@everyone</code>",
      "a_b_c 2*3*4 **open",
    ]);
  });

  test("of a link whose text is another address shows where the link leads", () => {
    const body = "[https://bank.example](https://evil.example)";
    expect(discord({ tone: "good", title: "t", body }).text).toContain(
      "https://bank.example (<https://evil.example>)",
    );
    expect(drawTelegram({ tone: "good", title: "t", body }).body.text).toContain(
      'https://bank.example (<a href="https://evil.example">https://evil.example</a>)',
    );
  });
});

describe("Telegram", () => {
  test("stays within 4,096 characters that are seen, and its tags are closed", () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const { body } = drawTelegram(message);
        expect(seenLength(body.text)).toBeLessThanOrEqual(TELEGRAM_TEXT_MAX_CHARS);
        expect(body.text.trim()).not.toBe("");
        const tags = [...body.text.matchAll(/<(\/?)(\w+)[^>]*>/g)];
        const open: string[] = [];
        for (const [, closing, name = ""] of tags)
          if (closing === "/") expect(open.pop()).toBe(name);
          else open.push(name);
        expect(open).toEqual([]);
      }),
    );
  });

  test("draws a card", () => {
    expect(
      drawTelegram({
        tone: "waiting",
        title: "a < b",
        lines: ["x & y"],
        code: { text: "<1>", language: "ts" },
        since: Date.UTC(2026, 10, 21, 12, 3, 59),
        mention: ["42"],
        buttons: [[{ label: "Approve", style: "success", action: "v1:approve:run_x_1" }]],
      }).body,
    ).toEqual({
      text: '🟡 <b>a &lt; b</b> <a href="tg://user?id=42">🔔</a>\nx &amp; y\nsince 2026-11-21 12:03 UTC\n<pre><code class="language-ts">&lt;1&gt;</code></pre>',
      parse_mode: "HTML",
      link_preview_options: { is_disabled: true },
      reply_markup: {
        inline_keyboard: [[{ text: "Approve", callback_data: "v1:approve:run_x_1", style: "success" }]],
      },
    });
  });

  test("makes no mention and no command of what an agent says", () => {
    const words = "ask @ada, or /approve and /stop@codex_flow_bot now";
    const { text } = drawTelegram({ tone: "neutral", title: words, lines: [words] }).body;
    const outside = text.replaceAll(/<code>[^<]*<\/code>/g, "").replaceAll(/<[^>]*>/g, "");
    expect(outside).not.toMatch(/@|\//);
    expect(text).toContain(
      "ask <code>@ada</code>, or <code>/approve</code> and <code>/stop@codex_flow_bot</code> now",
    );
    expect(text).toContain("<b>ask </b><code>@ada</code><b>, or </b>");
    expect(seenLength(text)).toBe(words.length * 2 + 1);
  });

  test.each(["https://example.com/@ada/approve?x=/y", "me@example.com", "/usr/local/bin", "1/2 and a/b"])(
    "leaves %s as it is",
    (line) => {
      expect(drawTelegram({ tone: "neutral", title: "x", lines: [line] }).body.text).toContain(
        escapeHtml(line),
      );
    },
  );

  test("counts what is seen, not what is sent", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(seenLength(escapeHtml(text))).toBe(text.length);
      }),
    );
  });
});

describe.each([
  ["Discord", discordPages, (m: ChatMessage) => discord(m).text],
  ["Telegram", telegramPages, (m: ChatMessage) => drawTelegram(m).body.text],
])("pages for %s", (_name, pagesFor, drawn) => {
  const longText = fc.array(
    fc.oneof(
      fc.stringMatching(/^[a-z]{1,40}( [a-z]{1,40}){0,12}$/),
      fc.constantFrom("```ts", "```", "x".repeat(9_000)),
    ),
    { maxLength: 120 },
  );

  test("lose no word of the lines, in their order", () => {
    fc.assert(
      fc.property(longText, (lines) => {
        const words = (from: readonly string[]): string =>
          blocksOf(from)
            .map((block) => (block.kind === "text" ? block.line : block.text))
            .join("")
            .replaceAll(/\s/g, "");
        const pages = pagesFor({ tone: "good", title: "t", lines });
        expect(pages.map((page) => words(page.lines ?? [])).join("")).toBe(words(lines));
        for (const page of pages)
          for (const block of blocksOf(page.lines ?? []))
            if (block.kind === "code" && block.text !== "") expect(drawn(page)).toMatch(/```|<pre>/);
      }),
      { numRuns: 50 },
    );
  });

  test("of a long body lose no word of it, and open a fence that they split again", () => {
    const body = [
      "Before",
      "```ts",
      ...Array.from({ length: 400 }, (_unused, n) => `line(${n});`),
      "```",
      "*After*",
    ];
    const pages = pagesFor({ tone: "good", title: "t", lines: ["first"], body: body.join("\n") });
    expect(pages.length).toBeGreaterThan(1);
    expect(pages[0]?.lines).toEqual(["first"]);
    const texts = pages.map((page) => drawn(page));
    for (let n = 0; n < 400; n += 1) expect(texts.join("\n")).toContain(`line(${n});`);
    for (const text of texts) expect(text).toMatch(/```ts\n|language-ts/);
    expect(texts.at(-1)).toContain("After");
  });

  test("are drawn without leaving anything out", () => {
    fc.assert(
      fc.property(longText, longText, (lines, body) => {
        for (const page of pagesFor({ tone: "good", title: "t", lines, body: body.join("\n") }))
          expect(drawn(page)).not.toContain("…");
      }),
      { numRuns: 50 },
    );
  });

  test("mention on the first one, buttons and code on the last", () => {
    const pages = pagesFor({
      tone: "good",
      title: "t",
      lines: Array.from({ length: 200 }, (_unused, at) => `line ${at} ${"y".repeat(60)}`),
      mention: ["1"],
      code: { text: "end" },
      buttons: [[{ label: "b", style: "primary", action: "a" }]],
    });
    expect(pages.length).toBeGreaterThan(2);
    expect(pages[0]).toMatchObject({ title: `t (1/${pages.length})`, mention: ["1"] });
    expect(pages.slice(1).some(({ mention }) => mention !== undefined)).toBe(false);
    expect(pages.slice(1).every(({ silent }) => silent === true)).toBe(true);
    expect(pages.slice(0, -1).some(({ code, buttons }) => code !== undefined || buttons !== undefined)).toBe(
      false,
    );
    expect(pages.at(-1)).toMatchObject({ code: { text: "end" }, buttons: [[{ label: "b" }]] });
  });
});
