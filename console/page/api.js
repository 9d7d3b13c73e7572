/** Call the two services, and record what was sent and what came back. */

const TIMEOUT_MS = 15_000;
const READINESS_TIMEOUT_MS = 1500;

/**
 * @typedef {object} Call
 * @property {number} id  1 for the first call, then counting up
 * @property {"auth" | "posts"} service
 * @property {string} method
 * @property {string} path  including the query
 * @property {string} url
 * @property {[string, string][]} headers  set by the page; the browser adds more
 * @property {object} [json]  request body
 * @property {boolean} automatic  made by the page itself, for example to reload the list after a change
 * @property {Date} at
 * @property {number} [ms]
 * @property {boolean} answered  false if no response arrived
 * @property {number} [status]
 * @property {string} [reason]  reason phrase of the status
 * @property {Headers} [answer]  response headers that the browser lets the page read
 * @property {object | null} [data]  response body
 * @property {object} [problem]  response body of an error (RFC 9457)
 * @property {boolean} [database]  whether the service queried its database
 * @property {boolean} unexpected  the response can't come from this service; something else answers at its address
 */

let urls = {};
let count = 0;
const listeners = { begin: [], end: [] };

/** Set the base URLs of the services. */
export function configure(config) {
  urls = { auth: config.auth, posts: config.posts };
}

export const serviceUrl = (service) => urls[service];

/** Register functions to run when a call begins and when it ends. */
export function onCall(begin, end) {
  if (begin) listeners.begin.push(begin);
  if (end) listeners.end.push(end);
}

/**
 * Call a service. Never throws: failures are part of the returned record.
 *
 * @param {"auth" | "posts"} service
 * @param {string} method
 * @param {string} path
 * @param {{token?: string, json?: object, headers?: Object<string, string>, automatic?: boolean, isValid?: (data: any) => unknown}} options
 *   `isValid` checks the body of a success; if it returns a falsy value or throws, the response is unexpected
 * @returns {Promise<Call>}
 */
export async function call(service, method, path, { token, json, headers = {}, automatic = false, isValid = () => true } = {}) {
  const url = urls[service] + path;
  const sent = [
    ...(token === undefined ? [] : [["Authorization", `Bearer ${token}`]]),
    ...(json === undefined ? [] : [["Content-Type", "application/json"]]),
    ...Object.entries(headers),
  ];
  const record = { id: ++count, service, method, path, url, headers: sent, json, automatic, at: new Date(), answered: false, unexpected: false };
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
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    record.status = response.status;
    record.reason = response.statusText;
    record.answer = response.headers;
    record.data = parseJson(text);
    record.problem = response.headers.get("Content-Type")?.startsWith("application/problem+json")
      ? readProblem(record.data)
      : undefined;
    record.unexpected = response.ok ? !passes(record.data, isValid) : response.status >= 400 && !record.problem;
    // the service adds this metric, without a duration, only if it queried its database
    record.database = (response.headers.get("Server-Timing") ?? "").split(",").some((metric) => metric.trim() === "database");
    record.answered = true;
  } catch {
    // fetch doesn't tell the page why it failed; the browser's developer console does
  }
  record.ms = Math.round(performance.now() - started);
  listeners.end.forEach((listener) => listener(record));
  return record;
}

/**
 * Ask a service whether it is ready. This is not a call of the user's, so no listener hears of it.
 *
 * @returns {Promise<{state: "ready" | "unready" | "silent", body?: object}>}
 */
export async function readiness(service) {
  try {
    const response = await fetch(`${urls[service]}/health/ready`, {
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(READINESS_TIMEOUT_MS),
    });
    return { state: response.ok ? "ready" : "unready", body: parseJson(await response.text()) };
  } catch {
    return { state: "silent" };
  }
}

function readProblem(data) {
  if (typeof data?.code !== "string" || typeof data.detail !== "string") return undefined;
  return { ...data, errors: Array.isArray(data.errors) ? data.errors.filter((fault) => fault?.message) : [] };
}

function passes(data, isValid) {
  try {
    return Boolean(isValid(data));
  } catch {
    return false;
  }
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
