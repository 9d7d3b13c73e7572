/** Make forged tokens from a good one. None of this needs the services' key. */

import { ALPHABET, decode, decodeText, encodeBytes, encodeText } from "./jwt.js";

const MODERATOR_SCOPE = "posts:moderate";

/** More than check 1 allows, less than the 8190 bytes that a header line may have. */
const OVERSIZED_BYTES = 5000;

/** Format the payload for the editor, with the scope of a moderator added. */
export function moderatorPayload(token) {
  const { claims } = decode(token);
  return onePerLine({ ...claims, scope: `${claims.scope} ${MODERATOR_SCOPE}`.trim() });
}

/** Format an object with one member per line; JSON.stringify would spread an array over several. */
function onePerLine(object) {
  const members = Object.entries(object).map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  return `{\n${members.join(",\n")}\n}`;
}

function withPayload(token, text) {
  const [header, , signature] = token.split(".");
  return [header, encodeText(withoutSpaces(text)), signature].join(".");
}

function withHeader(token, changes) {
  const [header, payload, signature] = token.split(".");
  return [encodeText(JSON.stringify({ ...JSON.parse(decodeText(header)), ...changes })), payload, signature].join(".");
}

/** Change a character in the middle of the signature, where all six of its bits count. */
function withChangedCharacter(token) {
  const middle = token.lastIndexOf(".") + Math.floor((token.length - token.lastIndexOf(".")) / 2);
  return token.slice(0, middle) + (token[middle] === "A" ? "B" : "A") + token.slice(middle + 1);
}

/** Change a bit that encodes nothing: 43 characters hold 258 bits, and the 32 bytes of the signature need 256. */
function withChangedUnusedBit(token) {
  const value = ALPHABET.indexOf(token.at(-1));
  return token.slice(0, -1) + ALPHABET[value ^ 1];
}

async function signedWithOwnKey(token) {
  const signed = withPayload(token, moderatorPayload(token)).split(".").slice(0, 2).join(".");
  const key = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(signed));
  return `${signed}.${encodeBytes(new Uint8Array(signature))}`;
}

/** Write JSON as auth does, so that an unchanged payload gives the same token. Return other text as it is. */
function withoutSpaces(text) {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return text;
  }
}

/**
 * @typedef {object} Kind
 * @property {string} id
 * @property {string} name
 * @property {string} about
 * @property {(token: string, text?: string) => string | Promise<string>} make
 * @property {boolean} [editable]  made from the text in the editor
 */

/** @type {{title: string, kinds: Kind[]}[]} */
export const GROUPS = [
  {
    title: "Change the content",
    kinds: [
      {
        id: "payload",
        name: "Make me a moderator",
        about: "Adds `posts:moderate` to `scope` and keeps the old signature. The payload is only base64url, so anyone can rewrite it. Edit it as you like.",
        make: withPayload,
        editable: true,
      },
      {
        id: "flip",
        name: "Change the signature",
        about: "Changes one character in the middle of the signature and nothing else.",
        make: withChangedCharacter,
      },
    ],
  },
  {
    title: "Trick the verifier",
    kinds: [
      {
        id: "none",
        name: "alg: none",
        about: "Sets `alg` to `none` and leaves the signature empty. Many JWT libraries used to accept such tokens.",
        make: (token) => `${withHeader(token, { alg: "none" }).split(".").slice(0, 2).join(".")}.`,
      },
      {
        id: "own-key",
        name: "Sign with my own key",
        about: "Makes you a moderator and signs the token correctly, but with a key that your browser generates now. The `kid` still names the real key.",
        make: signedWithOwnKey,
      },
      {
        id: "kid",
        name: "Unknown kid",
        about: "Sets `kid` to a key that the `posts` service doesn’t have.",
        make: (token) => withHeader(token, { kid: "a-key-of-mine" }),
      },
      {
        id: "typ",
        name: "typ: JWT",
        about: "Sets `typ` to `JWT`, as if another kind of token, such as an ID token, were used as an access token.",
        make: (token) => withHeader(token, { typ: "JWT" }),
      },
      {
        id: "crit",
        name: "crit in the header",
        about: "Adds `crit`, a list of extensions. A verifier that doesn’t support them must refuse the token (RFC 7515, section 4.1.11), but some ignore the list.",
        make: (token) => withHeader(token, { crit: ["b64"], b64: false }),
      },
    ],
  },
  {
    title: "Break the format",
    kinds: [
      {
        id: "cut",
        name: "Remove a segment",
        about: "Sends the header and the payload, without the signature and the dot before it.",
        make: (token) => token.slice(0, token.lastIndexOf(".")),
      },
      {
        id: "spare",
        name: "Change an unused bit",
        about: "The last character of the signature has two bits that encode nothing. A lenient decoder ignores them and accepts four spellings of the same token.",
        make: withChangedUnusedBit,
      },
      {
        id: "huge",
        name: "Oversized header",
        about: "Pads the header until the token has 5000 bytes. The service refuses it before spending any time on parsing it.",
        make: (token) => withHeader(token, { pad: "x".repeat(Math.floor(((OVERSIZED_BYTES - token.length) * 3) / 4)) }),
      },
    ],
  },
  {
    title: "For comparison",
    kinds: [
      {
        id: "untouched",
        name: "Your own token",
        about: "Your token as the `auth` service signed it. It passes every check.",
        make: (token) => token,
      },
    ],
  },
];
