// Writes ../assets/maps.js: one minified module, with the hash of its sources and the licences of what it contains.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const SOURCES = ["package-lock.json", "build.js", ...readdirSync("src").sort().map((name) => `src/${name}`)];

// tests/test_linked_maps.py computes the same: names and contents, each ended by a zero byte.
function sourceHash() {
  const hash = createHash("sha256");
  for (const name of SOURCES) hash.update(`${name}\0`).update(readFileSync(name)).update("\0");
  return hash.digest("hex");
}

function licences(inputs) {
  const names = new Set(inputs.map((path) => /node_modules\/([^/]+)/.exec(path)?.[1]).filter(Boolean));
  return [...names].sort().map((name) => {
    const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
    return `${name} ${version}\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}`;
  });
}

const made = await build({
  entryPoints: ["src/main.js"],
  bundle: true,
  minify: true,
  charset: "utf8",
  format: "esm",
  target: "es2020",
  loader: { ".css": "text" },
  legalComments: "none",
  metafile: true,
  write: false,
});
const banner = `// Built by "make frontend" from frontend/; sources ${sourceHash()}\n`;
const notices = `/*! This file contains:\n\n${licences(Object.keys(made.metafile.inputs)).join("\n\n")}\n*/\n`;
writeFileSync("../assets/maps.js", banner + made.outputFiles[0].text + notices);
