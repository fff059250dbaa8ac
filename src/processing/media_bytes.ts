// Bytes of media that are given as bytes, in any of the usual wrappings.

/** Bytes of an encoded picture or clip. */
export type EncodedMedia = Uint8Array | ArrayBuffer | Blob;

/** Whether it is encoded rather than decoded. */
export function isEncoded(media: unknown): media is EncodedMedia {
  return media instanceof Uint8Array || media instanceof ArrayBuffer ||
    media instanceof Blob;
}

/** The bytes, without a copy where possible. */
export async function encodedBytes(media: EncodedMedia): Promise<Uint8Array> {
  if (media instanceof Uint8Array) return media;
  return new Uint8Array(
    media instanceof Blob ? await media.arrayBuffer() : media,
  );
}
