// Model files below an address of any web server.
import { type HttpOptions, openHttpSource } from "../io/http_source.ts";
import { type ModelFiles, modelFiles } from "../io/model_files.ts";

/** The files below an address; its query, if any, goes with every request. */
export function httpFiles(address: URL, options: HttpOptions): ModelFiles {
  const base = new URL(address);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return modelFiles(address.href, (name) => {
    const path = name.split("/").map(encodeURIComponent).join("/");
    const url = new URL(path, base);
    url.search = base.search;
    return openHttpSource(url.href, options);
  });
}
