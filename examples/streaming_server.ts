// A web page that shows an answer while it is made: the response is a stream,
// and closing the page ends the generation.
//
//   deno serve -A --port 8000 examples/streaming_server.ts
//   PORT=8000 bun examples/streaming_server.ts
import process from "node:process";

import { pipeline } from "@g3n/core";

// Without a model it is g3n-nano, which is very small.
const { MODEL, PORT = "8000" } = process.env;
const MAX_NEW_TOKENS = 64;

const generate = await pipeline("text-generation", MODEL);

const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>Gemma 3n</title>
<form><input name="prompt" value="The capital of France is" size="60"> <button>Continue</button></form>
<pre style="white-space: pre-wrap"></pre>
<script type="module">
  const output = document.querySelector("pre");
  document.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    const query = new URLSearchParams(new FormData(event.target));
    output.textContent = query.get("prompt");
    const { body } = await fetch("/generate?" + query);
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part; !(part = await reader.read()).done;) output.append(part.value);
  };
</script>`;

function answer(prompt: string): Response {
  const texts = generate.stream(prompt, { maxNewTokens: MAX_NEW_TOKENS });
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await texts.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: async () => void await texts.return(),
  });
  return new Response(body, {
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
}

/** What `deno serve` and `bun` call for each request. */
export default {
  port: Number(PORT),
  fetch(request: Request): Response {
    const { pathname, searchParams } = new URL(request.url);
    const prompt = searchParams.get("prompt");
    if (pathname === "/") {
      return new Response(PAGE, { headers: { "content-type": "text/html" } });
    }
    if (pathname !== "/generate") {
      return new Response("Not found", { status: 404 });
    }
    return prompt
      ? answer(prompt)
      : new Response("Pass a prompt: /generate?prompt=...", { status: 400 });
  },
};
