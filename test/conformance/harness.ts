// One router that has every provider, all of them played by one recording simulator.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { JsonObject } from "../../src/chat.ts";
import { isObject } from "../../src/json.ts";
import { startRouter } from "../../src/main.ts";
import { type RecordedRequest, type Script, type Simulator, startSimulator } from "../../src/simulator/server.ts";
import { postChat, temporaryFolder } from "../support/router.ts";
import { type Answer, readBody, readStream, type StreamAnswer } from "./answers-read.ts";
import { cast, type Member } from "./cast.ts";

export interface Stage {
  simulator: Simulator;
  url: string;
  /** What one case taught about limits and outages is nothing to the next. */
  forgetOutages(): void;
  close(): Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const dir = temporaryFolder();
  const simulator = await startSimulator({ record: true });
  const settings = cast.map(
    ({ provider, path }) =>
      `  ${provider.id}: { enabled: true, api_key: sk-test-${provider.id}, base_url: "${simulator.url}${path}" }`,
  );
  writeFileSync(join(dir, "signalbox.yaml"), `providers:\n${settings.join("\n")}\n`);
  const rules = join(dir, "rules");
  mkdirSync(rules);
  const router = await startRouter({
    flags: { port: "0", config: join(dir, "signalbox.yaml"), rules, data: join(dir, "data") },
    env: {},
    log: () => {},
  });
  return {
    simulator,
    url: router.url,
    forgetOutages: () => router.forgetOutages(),
    async close() {
      await router.close();
      await simulator.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** What one case has at hand: a provider, and the ways to ask it and to see what reached it. */
export class Scene {
  readonly member: Member;
  readonly #stage: Stage;

  constructor(stage: Stage, member: Member) {
    this.#stage = stage;
    this.member = member;
    stage.simulator.requests.length = 0;
    stage.simulator.setScript(undefined);
  }

  script(script: Script): void {
    this.#stage.simulator.setScript(() => script);
  }

  /** Bodies name a model of this provider; without one it is the usual one. */
  post(body: JsonObject, init: RequestInit = {}): Promise<Response> {
    const model = `${this.member.provider.id}/${body.model ?? this.member.model}`;
    // Each call stands for itself: none waits for a limit that an earlier one has met.
    this.#stage.forgetOutages();
    // One try: a failure is shown as it is, and nobody waits for a second one.
    const provider = { only: [this.member.provider.id], allow_fallbacks: false };
    return postChat(this.#stage.url, { provider, ...body, model }, init);
  }

  /** The answer of a request that must succeed. */
  async ask(body: JsonObject): Promise<Answer> {
    const response = await this.post(body);
    const json = (await response.json()) as JsonObject;
    expect(response.status, JSON.stringify(json)).toBe(200);
    return readBody(json, warningsOf(response));
  }

  async stream(body: JsonObject): Promise<StreamAnswer> {
    const response = await this.post({ ...body, stream: true });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    return readStream(text, warningsOf(response));
  }

  /** The error of a request that must fail. */
  async fail(body: JsonObject, init: RequestInit = {}): Promise<Failure> {
    const response = await this.post(body, init);
    const json = (await response.json()) as JsonObject;
    expect(response.status, JSON.stringify(json)).toBeGreaterThanOrEqual(400);
    const error = isObject(json.error) ? json.error : {};
    const metadata = isObject(error.metadata) ? error.metadata : {};
    return { status: response.status, headers: response.headers, error, kind: String(metadata.error_type) };
  }

  get requests(): RecordedRequest[] {
    return this.#stage.simulator.requests;
  }

  /** The body of the only request that reached the provider since the case began. */
  get arrived(): JsonObject {
    expect(this.requests.map(({ path }) => path)).toHaveLength(1);
    return this.latest;
  }

  get latest(): JsonObject {
    const request = this.requests.at(-1);
    expect(request?.path.startsWith(this.member.path), `${request?.path} is below ${this.member.path}`).toBe(true);
    return isObject(request?.body) ? request.body : {};
  }
}

export interface Failure {
  status: number;
  headers: Headers;
  error: JsonObject;
  kind: string;
}

function warningsOf(response: Response): string[] {
  const told = response.headers.get("x-signalbox-warnings");
  return told === null ? [] : told.split(", ");
}
