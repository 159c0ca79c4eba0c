// Schemas of Node's packages, one a line: zod's, in each dialect that it writes, and those of the JSON Schema Test Suite.
import { createRequire } from "node:module";
import { z } from "zod";

const Node = z.object({ name: z.string(), get children() { return z.array(Node); } });
const shapes = [
  z.object({ a: z.string().meta({ id: "A", title: "A", examples: ["x"] }), b: z.int(), c: z.boolean().nullable() }),
  z.object({ pair: z.tuple([z.string(), z.number()]), rest: z.tuple([z.string()]).rest(z.number()) }),
  z.object({ e: z.enum(["a", "b"]), l: z.literal("x"), o: z.string().optional(), d: z.string().default("q") }),
  z.object({ u: z.union([z.string(), z.number()]), n: z.array(z.object({ deep: z.object({ er: z.int() }) })) }),
  z.object({ d: z.discriminatedUnion("t", [z.object({ t: z.literal("a"), x: z.string() }), z.object({ t: z.literal("b"), y: z.int() })]) }),
  z.object({ r: z.record(z.string(), z.number()), any: z.any(), unknown: z.unknown(), nothing: z.null() }),
  z.object({ p: z.partialRecord(z.enum(["a", "b"]), z.string()) }),
  z.object({ date: z.iso.date(), email: z.email(), uuid: z.uuid(), ip: z.ipv4(), url: z.url() }),
  z.object({ int: z.int().min(1).max(9), positive: z.number().positive(), step: z.number().multipleOf(0.5) }),
  z.object({ short: z.string().min(1).max(3), few: z.array(z.string()).min(1).max(2) }),
  Node,
  z.object({ tree: Node }),
  z.strictObject({ a: z.string() }),
  z.looseObject({ a: z.string() }),
  z.intersection(z.object({ a: z.string() }), z.object({ b: z.string() })),
  z.union([z.object({ a: z.string() }), z.object({ b: z.string() })]),
  z.array(z.string()),
  z.string(),
];
for (const shape of shapes)
  for (const target of ["draft-2020-12", "draft-7", "draft-4", "openapi-3.0"])
    console.log(JSON.stringify(["zod", z.toJSONSchema(shape, { target, unrepresentable: "any" })]));

const suite = createRequire(import.meta.url)("json-schema-test-suite");
for (const group of suite.draft4())
  for (const { schema } of group.schemas)
    if (schema !== null && typeof schema === "object" && !Array.isArray(schema)) {
      console.log(JSON.stringify(["suite", schema]));
      console.log(JSON.stringify(["suite", { type: "object", properties: { value: schema } }]));
    }
