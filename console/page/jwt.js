/** Encode and decode JWTs (RFC 7515, section 7.1). No keys here: nothing is signed or verified. */

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true });

/** The characters of base64url, in order of their value. */
export const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

export const PARTS = ["header", "payload", "signature"];

/** @param {Uint8Array} bytes */
export function encodeBytes(bytes) {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export const encodeText = (text) => encodeBytes(ENCODER.encode(text));

/** Decode a segment. Throws if it isn't base64url of UTF-8. */
export function decodeText(segment) {
  const binary = atob(segment.replaceAll("-", "+").replaceAll("_", "/"));
  return DECODER.decode(Uint8Array.from(binary, (character) => character.charCodeAt(0)));
}

/** Decode header and payload without verifying the token. */
export function decode(token) {
  const [header, payload] = token.split(".");
  return { header: JSON.parse(decodeText(header)), claims: JSON.parse(decodeText(payload)) };
}

/** Shorten a token to its start and end, enough to tell it from another. */
export function shorten(token) {
  return token.length <= 24 ? token : `${token.slice(0, 12)}…${token.slice(-6)}`;
}
