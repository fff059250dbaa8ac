// Bytes of media that are given as bytes, in any of the usual wrappings.

/** Bytes of an encoded picture or clip. */
export type EncodedMedia = Uint8Array | ArrayBuffer | Blob;

/** The bytes, without a copy where possible; `undefined` when it is something else. */
export async function encodedBytes(
  media: unknown,
): Promise<Uint8Array | undefined> {
  if (media instanceof Uint8Array) return media;
  if (media instanceof ArrayBuffer) return new Uint8Array(media);
  if (media instanceof Blob) return new Uint8Array(await media.arrayBuffer());
  return undefined;
}
