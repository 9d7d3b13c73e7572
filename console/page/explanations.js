/** What each line of a token is for, in a sentence or two. */

export const HEADER = {
  alg: "The algorithm of the signature. The services don’t trust this value: each key has its own algorithm, and `alg` must match it.",
  typ: "The kind of JWT. `at+jwt` means access token (RFC 9068), so no other kind of JWT can be used as one.",
  kid: "The ID of the key that signed the token. It is computed from the key but doesn’t reveal it. The readiness endpoints of both services list the IDs of their keys.",
};

export const CLAIMS = {
  iss: "Issuer: the service that signed the token. The `posts` service accepts one issuer only.",
  aud: "Audience: the services that may accept the token. The `posts` service looks for its own name here. The `auth` service isn’t among them: it accepts only the account token that came with this one.",
  sub: "Subject: the ID of the user. This is the author of a post; the request body can’t name another one.",
  name: "The user’s name when the token was signed. The `posts` service shows it under each post, because it has no users table to look it up in.",
  scope: "What the token allows. A moderator’s token also has `posts:moderate`. Anyone can type that in, but not sign it.",
  sid: "The session at the `auth` service. Signing out ends it, but the `posts` service doesn’t check: there, the token works until it expires.",
  jti: "The ID of this token.",
  iat: "Issued at, in seconds since 1970.",
  exp: "Expires at, in seconds since 1970. The `posts` service can’t revoke a token, so tokens have to be short-lived.",
  nbf: "Not before, in seconds since 1970. The token isn’t valid until then.",
};

export const SIGNATURE =
  "An HMAC with SHA-256 over the exact text of the first two parts. The key that verifies it is the same key that made it.";

/** Return the time of day for a timestamp, and an empty string for any other claim. */
export function timeOfDay(name, value) {
  if (["iat", "exp", "nbf"].includes(name) && typeof value === "number") {
    return new Date(value * 1000).toLocaleTimeString([], { hour12: false });
  }
  return "";
}
