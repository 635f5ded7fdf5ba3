// Parts: arrays that the server sends as bytes, each kept in its slot until another digest takes its place.

const TYPES = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array };

export function readPart(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + view.getUint32(0, true);
  const { slot, digest, arrays } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  // A copy of its own: the message may begin anywhere, typed arrays must not.
  const read = () => {
    const body = bytes.slice(start).buffer;
    return Object.fromEntries(arrays.map(({ name, type, at, length }) => [name, new TYPES[type](body, at, length)]));
  };
  return { slot, digest, read };
}

// Rows as one bit each, the lowest bit of a byte first, in base64 (figures/linked_maps.py has the other side).
export function encodeRows(rows, total) {
  const bits = new Uint8Array(Math.ceil(total / 8));
  for (const row of rows) bits[row >> 3] |= 1 << (row & 7);
  let text = "";
  for (let i = 0; i < bits.length; i += 8192) text += String.fromCharCode(...bits.subarray(i, i + 8192));
  return btoa(text);
}

export function decodeRows(text, total) {
  const bits = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const rows = [];
  for (let row = 0; row < total; row++) if (bits[row >> 3] & (1 << (row & 7))) rows.push(row);
  return rows;
}
