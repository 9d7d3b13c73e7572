/** Who is signed in. Both tokens live in this module's memory and nowhere else: a reload forgets them. */

import { call } from "./api.js";
import { read } from "./token.js";

/** @type {{access: string, refresh: string, header: object, claims: object, ahead: number} | null} */
let current = null;
const listeners = [];

/** The token and what it says, or null. `ahead`: milliseconds by which auth's clock is ahead of this machine's. */
export const session = () => current;

export const accessToken = () => current?.access;

/** Be told whenever somebody signs in or out, or the token is replaced. */
export const onSession = (listener) => listeners.push(listener);

/** Milliseconds until the token's exp, by the clock that signed it; negative once it has passed. */
export function timeLeft() {
  return current.claims.exp * 1000 - (Date.now() + current.ahead);
}

export function register(name, email, password) {
  return call("auth", "POST", "/register", { json: { email, password, name } });
}

export async function signIn(email, password) {
  return taken(await call("auth", "POST", "/login", { json: { email, password }, form: areTokens }));
}

/** Replace both tokens. One that auth refuses is of no more use, so the session is over. */
export async function refresh() {
  const used = current;
  const answer = await call("auth", "POST", "/refresh", { json: { refresh_token: used.refresh }, form: areTokens });
  if (current !== used) {
    // signed out meanwhile, and perhaps somebody else in: what came is nobody's, and ended with the session
    answer.data = null;
    return answer;
  }
  if (answer.status === 401) become(null);
  return taken(answer);
}

/** Forget both tokens, also where auth can't be told. */
export function signOut() {
  const { refresh: token } = current;
  become(null);
  return call("auth", "POST", "/logout", { json: { refresh_token: token } });
}

function areTokens(data) {
  const { claims } = read(data.access_token);
  return typeof data.refresh_token === "string" && Number.isFinite(claims.iat) && Number.isFinite(claims.exp);
}

function taken(answer) {
  if (answer.status === 200 && !answer.strange) {
    const { access_token: access, refresh_token: refreshToken } = answer.data;
    const { header, claims } = read(access);
    become({ access, refresh: refreshToken, header, claims, ahead: claims.iat * 1000 - Date.now() });
  }
  return answer;
}

function become(next) {
  current = next;
  listeners.forEach((listener) => listener(next));
}
