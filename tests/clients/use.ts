// A client whose types are generated from /openapi.json: it compiles, predicts, and does not compile where it is wrong.
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const service = createClient<paths>({ baseUrl: process.argv[2]! });

const { data, response } = await service.POST("/predict", {
  params: { query: { explain: true } },
  body: { weight_kg: 73, height_cm: 182 },
});
const moved: number = data!.explanation!.contributions.height;

const refused = await service.POST("/versions/{name}/predict", {
  params: { path: { name: "champion" } },
  body: { weight_kg: 182, height_cm: 73 },
});
const problem = refused.error!;
const first = "errors" in problem ? problem.errors[0]!.detail : problem.detail;

// @ts-expect-error: the unit is in the field's name
await service.POST("/predict", { body: { weight: 73, height: 182 } });

console.log(JSON.stringify([data!.probability_female, moved, response.headers.get("X-Model-Version"), first]));
