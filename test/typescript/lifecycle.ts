// The life of a cluster, through a client whose types are made from the OpenAPI document: create,
// wait until Ready, list, delete, and a refusal whose code the compiler knows. CLS_URL names the
// service.
import assert from "node:assert/strict";
import { env } from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Cluster = components["schemas"]["Cluster"];
type Failure = components["schemas"]["ErrorBody"];

const baseUrl = env.CLS_URL;
assert(baseUrl, "CLS_URL is not set");
const api = createClient<paths, "application/json">({ baseUrl, headers: { "X-User-Email": "ada@example.com" } });

/** Returns the body of a success, and throws what a failure says. */
function body<T>(answer: { data?: T; error?: Failure }): T {
  if (answer.error) throw new Error(`${answer.error.code}: ${answer.error.message}`);
  assert(answer.data);
  return answer.data;
}

async function get(id: string): Promise<Cluster> {
  return body(await api.GET("/api/v1/clusters/{id}", { params: { path: { id } } }));
}

async function ready({ id }: Cluster): Promise<Cluster> {
  for (const limit = Date.now() + 60_000; Date.now() < limit; await pause(100)) {
    const cluster = await get(id);
    if (cluster.status.phase === "Ready") return cluster;
  }
  throw new Error(`not Ready within a minute: ${JSON.stringify((await get(id)).status)}`);
}

const created = body(
  await api.POST("/api/v1/clusters", {
    body: { name: "typed", labels: { env: "test" }, spec: { platform: { type: "gcp" } } },
  }),
);
assert.equal(created.status.phase, "Pending");

const cluster = await ready(created);
assert.equal(cluster.status.observedGeneration, created.generation);

const list = body(await api.GET("/api/v1/clusters", { params: { query: { status: "Ready", label_selector: "env=test" } } }));
assert.deepEqual(
  list.clusters.map(({ id }) => id),
  [created.id],
);

const path = { id: created.id };
const deletion = body(await api.DELETE("/api/v1/clusters/{id}", { params: { path } }));
assert.equal(deletion.cluster_id, created.id);

const { error, response } = await api.GET("/api/v1/clusters/{id}", { params: { path } });
assert.equal(response.status, 404);
if (error?.code !== "NOT_FOUND") throw new Error(`expected NOT_FOUND, not ${JSON.stringify(error)}`);

console.log(`${cluster.name} was ${cluster.status.phase} and is gone: ${deletion.message}`);
