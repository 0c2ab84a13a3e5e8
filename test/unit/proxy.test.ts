/** Which addresses go through the proxy of the environment. */
import { afterEach, expect, test, vi } from "vitest";
import { describeProxy, proxyAgentFor, proxyFor } from "../../runner-agent/proxy.ts";

function environment(variables: Record<string, string>): void {
  for (const name of ["http_proxy", "https_proxy", "all_proxy", "no_proxy"])
    for (const spelled of [name, name.toUpperCase()]) vi.stubEnv(spelled, variables[spelled] ?? "");
}

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each([
  ["wss://edge.example/runners/connect", { HTTPS_PROXY: "http://proxy:3128" }, "http://proxy:3128"],
  ["https://edge.example", { https_proxy: "http://proxy:3128" }, "http://proxy:3128"],
  ["ws://edge.example", { HTTP_PROXY: "http://proxy:3128" }, "http://proxy:3128"],
  ["wss://edge.example", { ALL_PROXY: "http://proxy:3128" }, "http://proxy:3128"],
  ["wss://edge.example", { HTTP_PROXY: "http://proxy:3128" }, undefined],
  ["wss://edge.example", { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "edge.example" }, undefined],
  ["wss://a.edge.example", { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: ".edge.example" }, undefined],
  ["wss://edge.example", { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "*" }, undefined],
  ["ws://127.0.0.1:8787", { HTTP_PROXY: "http://proxy:3128" }, undefined],
  ["ws://localhost:8787", { HTTP_PROXY: "http://proxy:3128" }, undefined],
  ["ws://[::1]:8787", { HTTP_PROXY: "http://proxy:3128" }, undefined],
  ["wss://edge.example", {}, undefined],
])("%s with %j goes through %s", (url, variables, proxy) => {
  environment(variables);
  expect(proxyFor(url)).toBe(proxy);
  expect(proxyAgentFor(url) !== undefined).toBe(proxy !== undefined);
});

test("the login of a proxy is not shown", () => {
  environment({ HTTPS_PROXY: "http://ada:geheim@proxy.example:3128" });
  expect(describeProxy("wss://edge.example")).toBe("through the proxy http://proxy.example:3128");
});
