// Files fetched on behalf of callers: only from public addresses, whatever a URL, a name or a redirect says.
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { createDownloader, isPublic } from "../src/download.ts";

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const never = new AbortController().signal;

describe("only public addresses are reached", () => {
  const PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.20.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2001:db8::1",
    "2002:7f00:1::",
    "nonsense",
  ];
  test.each(PRIVATE)("%s is not public", (address) => expect(isPublic(address)).toBe(false));
  test.each(["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700:4700::1111"])("%s is public", (address) =>
    expect(isPublic(address)).toBe(true),
  );

  const REFUSED = [
    "http://127.0.0.1:1/x",
    "http://[::1]/x",
    "http://localhost/x",
    "http://0x7f000001/x",
    "http://2130706433/x",
    "https://user:pass@example.com/x",
    "file:///etc/passwd",
    "ftp://example.com/x",
    "nonsense",
  ];
  test.each(REFUSED)("%s is refused without a connection", async (url) => {
    const result = await createDownloader()(url, never);
    expect(result).toMatchObject({ error: { kind: "invalid_request", code: "invalid_image_url" } });
    expect(JSON.stringify(result)).not.toContain("user:pass");
  });

  test("a redirect to a private address is not followed", async () => {
    let wasReached = false;
    const inside = await serve((_, response) => {
      wasReached = true;
      response.end("secret");
    });
    const port = new URL(inside).port;
    const outside = await serve((_, response) =>
      response.writeHead(302, { location: `http://127.0.0.2:${port}/` }).end(),
    );
    const result = await createDownloader((address) => address === "127.0.0.1")(outside, never);
    expect(result).toHaveProperty("error");
    expect(wasReached).toBe(false);
  });
});

describe("a file that may be fetched", () => {
  const download = createDownloader(() => true);

  test("comes with its type, through redirects, and without any header of the caller", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/start") return void response.writeHead(302, { location: "/end?x=1" }).end();
      expect(request.headers).not.toHaveProperty("authorization");
      response.writeHead(200, { "content-type": "image/PNG; charset=x" }).end(Buffer.from([1, 2, 3]));
    });
    expect(await download(`${url}/start`, never)).toEqual({ mediaType: "image/png", base64: "AQID" });
  });

  test("is refused when it is too large, missing, endless in redirects or cut off", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/missing") return void response.writeHead(404).end();
      if (request.url === "/loop") return void response.writeHead(302, { location: "/loop" }).end();
      if (request.url === "/cut") {
        response.writeHead(200, { "content-length": "100" }).write("x");
        return void setImmediate(() => response.destroy());
      }
      const part = Buffer.alloc(1024 ** 2);
      const more = () => {
        while (!response.destroyed && response.write(part));
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    });
    const messages = ["/missing", "/loop", "/cut", "/endless"].map(async (path) => {
      const result = await download(url + path, never);
      return "error" in result ? result.error.message : "fetched";
    });
    expect(await Promise.all(messages)).toEqual([
      expect.stringContaining("status 404"),
      expect.stringContaining("redirected more than 3 times"),
      expect.stringContaining("could not be read"),
      expect.stringContaining("larger than"),
    ]);
  });

  test("a caller that leaves ends the download", async () => {
    const abort = new AbortController();
    const url = await serve(() => abort.abort());
    expect(await download(url, abort.signal)).toHaveProperty("error");
  });
});
