"use strict";

// Turns the exported async functions of api/*.js into one function with a table of them (dist/), and a module by which
// pages call them (web/public/hooks/client.js).

const fs = require("node:fs");
const path = require("node:path");

const HANDLER = `
const json = (statusCode, body) => ({ statusCode, headers: { "content-type": "application/json", "cache-control": "no-store" }, body: JSON.stringify(body) });

exports.handler = async (event) => {
  const { module, name } = event.pathParameters;
  const called = METHODS.get(module + "/" + name);
  if (!called) return json(404, { error: "there is no method " + module + "." + name });
  // Other sites' pages cannot send this type without being asked first, and are then refused.
  if (!/^application\\/json\\b/.test(event.headers["content-type"] ?? "")) return json(415, { error: "send application/json" });
  let given;
  try {
    given = JSON.parse(event.isBase64Encoded ? Buffer.from(event.body, "base64").toString() : event.body);
  } catch {}
  if (!Array.isArray(given)) return json(400, { error: "the body is the list of the arguments, in JSON" });
  try {
    return json(200, { value: await called(...given) });
  } catch (error) {
    if (error.status) return json(error.status, { error: error.message });
    console.error(error);
    return json(500, { error: "the method failed" });
  }
};
`;

const CALL = `// Made by build.js. Each method calls the function of that name on the server.
async function call(method, given) {
  const answer = await fetch(new URL("api/" + method, import.meta.url), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(given),
  });
  const { value, error } = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(error ?? "status " + answer.status), { status: answer.status });
  return value;
}
`;

const AsyncFunction = (async () => {}).constructor;
const modules = fs.readdirSync("api").filter((file) => file.endsWith(".js")).sort();
let table = "";
let client = CALL;
for (const file of modules) {
  const module = path.basename(file, ".js");
  const names = Object.entries(require(path.resolve("api", file)))
    .filter(([, value]) => value instanceof AsyncFunction)
    .map(([name]) => name);
  table += names.map((name) => `  ["${module}/${name}", require("./api/${file}").${name}],\n`).join("");
  const methods = names.map((name) => `  ${name}: (...given) => call("${module}/${name}", given),\n`).join("");
  client += `\nexport const ${module} = {\n${methods}};\n`;
}
fs.rmSync("dist", { recursive: true, force: true });
fs.cpSync("api", "dist/api", { recursive: true });
fs.writeFileSync("dist/index.js", `"use strict";\n\n// Made by build.js.\nconst METHODS = new Map([\n${table}]);\n${HANDLER}`);
fs.writeFileSync("web/public/hooks/client.js", client);
