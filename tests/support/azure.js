// Makes a container in Azurite and puts a folder's files into it, for which the program has no command:
// node azure.js PORT CONTAINER [FOLDER]. Requests are signed by Azure's "Shared Key".
const { createHmac } = require("crypto");
const { readdirSync, readFileSync } = require("fs");
const { join, relative } = require("path");

// The account that every emulator has, as Microsoft documents it.
const account = "devstoreaccount1";
const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const [port, container, folder] = process.argv.slice(2);

async function put(name, query, headers, body) {
  const path = `/${account}/${name}`;
  headers = { ...headers, "x-ms-date": new Date().toUTCString(), "x-ms-version": "2021-08-06" };
  const canonical = Object.keys(headers).sort().map((header) => `${header}:${headers[header]}\n`).join("");
  const resource = `/${account}${path}` + query.map(([key, value]) => `\n${key}:${value}`).join("");
  const length = body.length || "";
  const text = `PUT\n\n\n${length}\n\n\n\n\n\n\n\n\n${canonical}${resource}`;
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text, "utf8").digest("base64");
  headers.Authorization = `SharedKey ${account}:${signature}`;
  const search = query.map((pair) => pair.join("=")).join("&");
  const answer = await fetch(`http://127.0.0.1:${port}${path}?${search}`, { method: "PUT", headers, body });
  if (answer.status !== 201) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
}

function files(below) {
  return readdirSync(below, { withFileTypes: true }).flatMap((entry) => {
    const path = join(below, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}

(async () => {
  await put(container, [["restype", "container"]], {}, Buffer.alloc(0));
  for (const file of folder ? files(folder) : []) {
    const name = `${container}/${relative(join(folder, ".."), file)}`;
    await put(name, [], { "x-ms-blob-type": "BlockBlob" }, readFileSync(file));
  }
})();
