/** A JWT taken apart and put together again (RFC 7515 section 7.1). Nothing here knows a key. */

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true });

/** The digits of base64url, by value. */
export const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

export const PARTS = ["header", "payload", "signature"];

/** @param {Uint8Array} bytes */
export function encodeBytes(bytes) {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export const encodeText = (text) => encodeBytes(ENCODER.encode(text));

/** Throws where it is no base64url of UTF-8. */
export function decodeText(segment) {
  const binary = atob(segment.replaceAll("-", "+").replaceAll("_", "/"));
  return DECODER.decode(Uint8Array.from(binary, (character) => character.charCodeAt(0)));
}

/** What header and payload say; nothing of it is verified. */
export function read(token) {
  const [header, payload] = token.split(".");
  return { header: JSON.parse(decodeText(header)), claims: JSON.parse(decodeText(payload)) };
}

/** The start and the end of a secret, enough to tell one from another. */
export function shortened(token) {
  return token.length <= 24 ? token : `${token.slice(0, 12)}…${token.slice(-6)}`;
}
