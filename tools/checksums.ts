// Right checksums for damaged files, so that the damage gets past the first
// check and into the decoders.

const OGG_HEADER_BYTES = 27;
const OGG_CHECKSUM = 22;
const PNG_SIGNATURE_BYTES = 8;

/** Recomputes the checksum of every chunk of a PNG, in place. */
export function resealPng(png: Uint8Array): Uint8Array {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  let at = PNG_SIGNATURE_BYTES;
  while (at + 12 <= png.length) {
    const end = at + 8 + view.getUint32(at);
    if (end + 4 > png.length) break;
    view.setUint32(end, pngChecksum(png.subarray(at + 4, end)));
    at = end + 4;
  }
  return png;
}

/** Recomputes the checksum of every page of an Ogg file, in place. */
export function resealOgg(ogg: Uint8Array): Uint8Array {
  const view = new DataView(ogg.buffer, ogg.byteOffset, ogg.byteLength);
  let at = 0;
  while (at + OGG_HEADER_BYTES <= ogg.length) {
    const table = at + OGG_HEADER_BYTES;
    const body = table + ogg[table - 1]!;
    const end = ogg.subarray(table, body).reduce((sum, n) => sum + n, body);
    view.setUint32(at + OGG_CHECKSUM, 0, true);
    const checksum = oggChecksum(ogg.subarray(at, end));
    view.setUint32(at + OGG_CHECKSUM, checksum, true);
    at = end;
  }
  return ogg;
}

/** CRC-32 with the lowest bit first, inverted at both ends. */
export function pngChecksum(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
  }
  return ~crc >>> 0;
}

/** CRC-32 with the highest bit first. */
function oggChecksum(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0);
    }
  }
  return crc >>> 0;
}
