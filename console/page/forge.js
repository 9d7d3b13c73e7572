/** Broken tokens, each made of a good one. Pure: a token in, a token out; none of this needs the service's key. */

import { ALPHABET, decodeText, encodeBytes, encodeText, read } from "./token.js";

const ADMIN = "users:admin";

/** Long enough for check 1 to refuse it, short enough for the 8190 bytes that a header line may have. */
const HUGE = 5000;

/** The payload as it is easy to read, with the scope of an admin put in. */
export function adminPayload(token) {
  const { claims } = read(token);
  return pretty({ ...claims, scope: `${claims.scope} ${ADMIN}`.trim() });
}

/** A member a line: what JSON.stringify makes of aud would take four. */
function pretty(object) {
  const members = Object.entries(object).map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  return `{\n${members.join(",\n")}\n}`;
}

/** JSON is sent compact, as auth writes it; what is no JSON is sent as typed. */
function withPayload(token, text) {
  const [header, , signature] = token.split(".");
  return [header, encodeText(compact(text)), signature].join(".");
}

function withHeader(token, changes) {
  const [header, payload, signature] = token.split(".");
  return [encodeText(JSON.stringify({ ...JSON.parse(decodeText(header)), ...changes })), payload, signature].join(".");
}

/** A character in the middle: all six of its bits count. */
function flipped(token) {
  const middle = token.lastIndexOf(".") + Math.floor((token.length - token.lastIndexOf(".")) / 2);
  return token.slice(0, middle) + (token[middle] === "A" ? "B" : "A") + token.slice(middle + 1);
}

/** 32 bytes are 43 characters, and the last of them has two bits to spare. */
function spareBits(token) {
  const value = ALPHABET.indexOf(token.at(-1));
  return token.slice(0, -1) + ALPHABET[value ^ 1];
}

async function signedWithOwnKey(token) {
  const signed = withPayload(token, adminPayload(token)).split(".").slice(0, 2).join(".");
  const key = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(signed));
  return `${signed}.${encodeBytes(new Uint8Array(signature))}`;
}

function compact(text) {
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
 * @property {boolean} [editable]  it is made of the text in the editor
 */

/** @type {{title: string, kinds: Kind[]}[]} */
export const GROUPS = [
  {
    title: "Change what it says",
    kinds: [
      {
        id: "payload",
        name: "Make me an admin",
        about: "Add users:admin to scope and keep the old signature. The payload is only base64url, so anyone can rewrite it. Change whatever you like.",
        make: withPayload,
        editable: true,
      },
      {
        id: "flip",
        name: "Flip a character",
        about: "One character in the middle of the signature. The rest is untouched.",
        make: flipped,
      },
    ],
  },
  {
    title: "Change how it is checked",
    kinds: [
      {
        id: "none",
        name: "alg: none",
        about: "Say that the token needs no signature, and leave it out. The classic: libraries used to believe it.",
        make: (token) => `${withHeader(token, { alg: "none" }).split(".").slice(0, 2).join(".")}.`,
      },
      {
        id: "own-key",
        name: "A key of my own",
        about: "Make an admin’s payload and sign it properly, with a key that your browser makes now (WebCrypto), under the kid of the real one.",
        make: signedWithOwnKey,
      },
      {
        id: "kid",
        name: "Another kid",
        about: "Name a key that posts does not have.",
        make: (token) => withHeader(token, { kid: "a-key-of-mine" }),
      },
      {
        id: "typ",
        name: "typ: JWT",
        about: "Pass another kind of JWT, an ID token for instance, for an access token.",
        make: (token) => withHeader(token, { typ: "JWT" }),
      },
      {
        id: "crit",
        name: "crit in the header",
        about: "Ask for an extension that a verifier must understand or refuse (RFC 7515 section 4.1.11). Some ignore it.",
        make: (token) => withHeader(token, { crit: ["b64"], b64: false }),
      },
    ],
  },
  {
    title: "Break its form",
    kinds: [
      {
        id: "cut",
        name: "Cut a segment",
        about: "Send header and payload, without the signature and its dot.",
        make: (token) => token.slice(0, token.lastIndexOf(".")),
      },
      {
        id: "spare",
        name: "Touch the spare bits",
        about: "The signature’s last character has two bits that count for nothing. A lenient decoder reads the same bytes from it, so one token would have four spellings.",
        make: spareBits,
      },
      {
        id: "huge",
        name: "A huge header",
        about: "Fill the header until the token has 5000 bytes, so that whoever parses it has work to do.",
        make: (token) => withHeader(token, { pad: "x".repeat(Math.floor(((HUGE - token.length) * 3) / 4)) }),
      },
    ],
  },
  {
    title: "For comparison",
    kinds: [
      { id: "untouched", name: "Untouched", about: "The token as auth signed it. It must pass.", make: (token) => token },
    ],
  },
];

/**
 * Where a forged token differs from the good one, segment by segment: what both begin and end with is left out.
 *
 * @returns {{text: string, from: number, to: number}[]}  from === to: nothing differs in it
 */
export function differences(forged, good) {
  const before = good.split(".");
  return forged.split(".").map((text, index) => {
    const old = before[index] ?? "";
    let from = 0;
    while (from < text.length && from < old.length && text[from] === old[from]) from++;
    let tail = 0;
    while (tail < Math.min(text.length, old.length) - from && text.at(-1 - tail) === old.at(-1 - tail)) tail++;
    return { text, from, to: text.length - tail };
  });
}
