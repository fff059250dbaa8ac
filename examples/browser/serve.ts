// Serves the page and bundles its script, on http://localhost:8000:
//
//   deno run -A examples/browser/serve.ts [PORT]
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const HERE = new URL("./", import.meta.url);

/** Bundles main.ts, with the library, into one module for browsers. */
export async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path("main.ts")],
    alias: {
      "@g3n/core": path("../../mod.ts"),
      // esbuild overlooks what the package says about browsers.
      "@huggingface/hub": path(
        "../../node_modules/@huggingface/hub/dist/browser/index.mjs",
      ),
    },
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    minify: true,
    write: false,
  });
  return outputFiles[0]!.text;
}

/** Answers requests for the page and its script. */
export function handler(
  script: string,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/main.js") return respond(script, "text/javascript");
    if (pathname !== "/") return new Response("Not found", { status: 404 });
    const page = await Deno.readTextFile(new URL("index.html", HERE));
    return respond(page, "text/html");
  };
}

function respond(body: string, type: string): Response {
  return new Response(body, {
    headers: { "content-type": `${type}; charset=utf-8` },
  });
}

function path(name: string): string {
  return fileURLToPath(new URL(name, HERE));
}

if (import.meta.main) {
  Deno.serve({ port: Number(Deno.args[0] ?? 8000) }, handler(await bundle()));
}
