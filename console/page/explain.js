/** What each line of a token is for, in a sentence or two. */

export const HEADER = {
  alg: "The algorithm of the signature. The token’s word for it isn’t taken: each key has its algorithm, and alg must be that one.",
  typ: "What kind of JWT this is. at+jwt means access token (RFC 9068), so that no other JWT can pass for one.",
  kid: "Which key signed it: an id made from the key, not the key itself. The same id stands in both services’ readiness.",
};

export const CLAIMS = {
  iss: "Issuer: who signed this. posts believes one issuer only.",
  aud: "Audience: every service that may take the token. posts looks for its own name here.",
  sub: "Subject: the id of the user. posts takes a post’s author from here, never from the request’s body.",
  name: "The user’s name when it was signed. posts writes it under a post: it has no users table to look it up in.",
  scope: "What the token allows. An admin’s has users:admin here. Typing it in is easy; signing it is not.",
  sid: "The session at auth. Signing out ends it, but posts doesn’t ask: there the token works on until exp.",
  jti: "An id of this one token.",
  iat: "Issued at, in seconds since 1970.",
  exp: "Expires at, in seconds since 1970. A token can’t be taken back at posts, so it has to be short-lived.",
  nbf: "Not before: until then the token is not valid, in seconds since 1970.",
};

export const SIGNATURE =
  "An HMAC with SHA-256 over the first two parts, exactly as they stand. The key that verifies it is the key that made it.";

/** What a value means for a person, where that isn't plain. */
export function inWords(name, value) {
  if (["iat", "exp", "nbf"].includes(name) && typeof value === "number") {
    return new Date(value * 1000).toLocaleTimeString([], { hour12: false });
  }
  return "";
}
