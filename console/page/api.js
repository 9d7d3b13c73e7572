/** Calls of the two services, and the record of each: what was sent, and what came back. */

const TIMEOUT = 15_000;

/**
 * @typedef {object} Call
 * @property {number} id  counts up
 * @property {"auth" | "posts"} service
 * @property {string} method
 * @property {string} path  with its query
 * @property {string} url
 * @property {[string, string][]} headers  those that the page set; the browser adds its own
 * @property {object} [json]  the body that was sent
 * @property {boolean} follows  the page's own reading after something that the person did
 * @property {Date} at
 * @property {number} [ms]
 * @property {boolean} answered  false: nothing came back
 * @property {number} [status]
 * @property {string} [reason]  the phrase of the status
 * @property {Headers} [answer]  the headers that a page may read
 * @property {object | null} [data]  the body that came back
 * @property {object} [problem]  the same, where it is an error (RFC 9457)
 * @property {boolean} [database]  whether the service asked its own Postgres for this
 * @property {boolean} strange  it succeeded, but the body is not what the service answers: something else stands there
 */

let bases = {};
let count = 0;
const listeners = { begin: [], end: [] };

/** Where the services are. */
export function configure(config) {
  bases = { auth: config.auth, posts: config.posts };
}

export const baseOf = (service) => bases[service];

/** Be told of every call when it begins and when it has ended. */
export function listen(begin, end) {
  if (begin) listeners.begin.push(begin);
  if (end) listeners.end.push(end);
}

/**
 * Call a service. What goes wrong is in the record; nothing is thrown.
 *
 * @param {"auth" | "posts"} service
 * @param {string} method
 * @param {string} path
 * @param {{token?: string, json?: object, headers?: Object<string, string>, follows?: boolean, form?: (data: any) => unknown}} options
 *   `form` looks at the body of a success: where it gives something false, or throws, the answer is strange
 * @returns {Promise<Call>}
 */
export async function call(service, method, path, { token, json, headers = {}, follows = false, form = () => true } = {}) {
  const url = bases[service] + path;
  const sent = [
    ...(token === undefined ? [] : [["Authorization", `Bearer ${token}`]]),
    ...(json === undefined ? [] : [["Content-Type", "application/json"]]),
    ...Object.entries(headers),
  ];
  const record = { id: ++count, service, method, path, url, headers: sent, json, follows, at: new Date(), answered: false, strange: false };
  listeners.begin.forEach((listener) => listener(record));
  const started = performance.now();
  try {
    const response = await fetch(url, {
      method,
      headers: sent,
      body: json === undefined ? undefined : JSON.stringify(json),
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT),
    });
    const text = await response.text();
    record.status = response.status;
    record.reason = response.statusText;
    record.answer = response.headers;
    record.data = parsed(text);
    record.problem = response.headers.get("Content-Type")?.startsWith("application/problem+json")
      ? problemIn(record.data)
      : undefined;
    record.strange = response.ok ? !fits(record.data, form) : response.status >= 400 && !record.problem;
    // a name without a duration: it is there exactly when the database was asked
    record.database = (response.headers.get("Server-Timing") ?? "").split(",").some((metric) => metric.trim() === "database");
    record.answered = true;
  } catch {
    // fetch tells no more than that: the browser's own console has the reason
  }
  record.ms = Math.round(performance.now() - started);
  listeners.end.forEach((listener) => listener(record));
  return record;
}

/**
 * Ask a service whether it can work. It is no call of the reader's, so nobody is told.
 *
 * @returns {Promise<{state: "ready" | "unready" | "silent", body?: object}>}
 */
export async function readiness(service) {
  try {
    const response = await fetch(`${bases[service]}/health/ready`, {
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(1500),
    });
    return { state: response.ok ? "ready" : "unready", body: parsed(await response.text()) };
  } catch {
    return { state: "silent" };
  }
}

function problemIn(data) {
  if (typeof data?.code !== "string" || typeof data.detail !== "string") return undefined;
  return { ...data, errors: Array.isArray(data.errors) ? data.errors.filter((fault) => fault?.message) : [] };
}

function fits(data, form) {
  try {
    return Boolean(form(data));
  } catch {
    return false;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
