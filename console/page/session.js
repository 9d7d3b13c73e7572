/** Sign in, refresh and sign out. Both tokens are kept in this module's memory only, so a reload deletes them. */

import { call } from "./api.js";
import { decode } from "./jwt.js";

/** @type {{access: string, refresh: string, refreshKey: string, header: object, claims: object, ahead: number} | null} */
let current = null;
const listeners = [];

/** Return the session, or null. `ahead` is how many milliseconds auth's clock is ahead of this computer's. */
export const session = () => current;

export const accessToken = () => current?.access;

/** Register a function to run whenever the user signs in or out, or the token is replaced. */
export const onSession = (listener) => listeners.push(listener);

/** Return the milliseconds until the token expires by auth's clock; negative once it has. */
export function timeLeft() {
  return current.claims.exp * 1000 - (Date.now() + current.ahead);
}

export function register(name, email, password) {
  return call("auth", "POST", "/register", { json: { email, password, name } });
}

export async function signIn(email, password) {
  return keepTokens(await call("auth", "POST", "/login", { json: { email, password }, isValid: areTokens }));
}

/**
 * Replace both tokens. If auth rejects the refresh token, the session ends.
 *
 * The idempotency key stays with the refresh token until an answer arrives. If the answer is lost, the next try sends
 * both again, and gets the same refresh token.
 */
export async function refresh() {
  const before = current;
  const answer = await call("auth", "POST", "/refresh", {
    headers: { "Idempotency-Key": before.refreshKey },
    json: { refresh_token: before.refresh },
    isValid: areTokens,
  });
  if (current !== before) {
    // the user signed out meanwhile, which ended the session that these tokens belong to
    answer.data = null;
    return answer;
  }
  if (answer.status === 401) setSession(null);
  return keepTokens(answer);
}

/** Delete both tokens and end the session. The tokens are deleted even if auth doesn't respond. */
export function signOut() {
  const { refresh: token } = current;
  setSession(null);
  return call("auth", "POST", "/logout", { json: { refresh_token: token } });
}

function areTokens(data) {
  const { claims } = decode(data.access_token);
  return typeof data.refresh_token === "string" && Number.isFinite(claims.iat) && Number.isFinite(claims.exp);
}

function keepTokens(answer) {
  if (answer.status === 200 && !answer.unexpected) {
    const { access_token: access, refresh_token: refreshToken } = answer.data;
    const { header, claims } = decode(access);
    const ahead = claims.iat * 1000 - Date.now();
    setSession({ access, refresh: refreshToken, refreshKey: randomKey(), header, claims, ahead });
  }
  return answer;
}

/** Return 128 random bits in hexadecimal. crypto.randomUUID doesn't exist on pages that come over plain HTTP. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function setSession(next) {
  current = next;
  listeners.forEach((listener) => listener(next));
}
