/** The diagram “Who knows what”: the services, what each stores, the key they share, and what the last call reached. */

import { onCall, readiness } from "./api.js";
import { byId, element, setProse, setText } from "./dom.js";
import { ending } from "./messages.js";
import { onSession } from "./session.js";

const POLL_MS = 2000;
const SERVICES = ["auth", "posts"];

const STATES = { ready: "ready", unready: "not ready", silent: "no response" };

const listeners = [];

/** Register a function to run after every readiness check of a service. */
export const onReadiness = (listener) => listeners.push(listener);

export function setUpDiagram() {
  const kids = {};
  const states = {};

  function draw(service, { state, body }) {
    const box = byId(`${service}-box`);
    box.dataset.state = state;
    const why = state === "unready" ? ` (${body?.code ?? "no reason given"})` : "";
    const keyring = { stale: ", key file can’t be read", replaced: ", all keys were replaced" }[body?.keyring] ?? "";
    setText(byId(`${service}-state`), STATES[state] + why + keyring);
    if (body?.kids) kids[service] = body.kids;
    states[service] = state;
    drawSummary();
    drawKids();
  }

  /** Say in words which service is unavailable, for readers who don't see the diagram. */
  function drawSummary() {
    const [auth, posts] = SERVICES.map((service) => states[service]);
    let text = "";
    if (auth && auth !== "ready" && posts === "ready") {
      text = "The `auth` service is unavailable. The `posts` service still works, because it verifies tokens on its own.";
    } else if (auth === "ready" && posts && posts !== "ready") {
      text = "The `posts` service is unavailable. The `auth` service still signs tokens.";
    } else if (auth && posts && auth !== "ready" && posts !== "ready") {
      text = `Both services are unavailable. Check that they are running and that their \`CORS_ORIGINS\` includes \`${location.origin}\`.`;
    }
    setProse(byId("unavailable"), text);
  }

  function drawKids() {
    const [auth, posts] = SERVICES.map((service) => kids[service]);
    const common = (auth ?? []).filter((kid) => (posts ?? []).includes(kid));
    const all = [...new Set([...(auth ?? []), ...(posts ?? [])])];
    byId("kids").replaceChildren(...all.flatMap((kid, index) => [index ? ", " : "", element("code", {}, kid)]));
    let text = "Loading the key IDs…";
    if (auth && posts) {
      text = common.length
        ? "The ID of the secret key. This key is the only thing that both services share."
        : "The keys differ, so the `posts` service refuses every token that the `auth` service signs.";
    } else if (auth ?? posts) {
      text = `The ID of the key that the \`${auth ? "auth" : "posts"}\` service has.`;
    }
    setProse(byId("kids-text"), text);
  }

  async function poll(service) {
    const found = await readiness(service);
    const foundKids = found.body?.kids;
    if (found.state === "ready" && !(Array.isArray(foundKids) && foundKids.every((kid) => typeof kid === "string"))) {
      found.state = "unready";
      found.body = null;
    }
    draw(service, found);
    listeners.forEach((listener) => listener(service, found));
  }

  /** Poll one service. Each has its own loop, so that a slow one doesn't delay the other. */
  async function pollForever(service) {
    for (;;) {
      if (document.visibilityState === "hidden") {
        await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
        continue;
      }
      await poll(service);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  onSession((now) => setText(byId("holds"), now ? "has an access token and a refresh token" : "has no token"));
  SERVICES.forEach(pollForever);
  onCall(drawBegin, drawEnd);
}

function drawBegin({ service, method, path, automatic }) {
  if (automatic) return;
  for (const each of SERVICES) {
    const column = byId(`${each}-column`);
    column.dataset.call = each === service ? "under-way" : "";
    column.dataset.database = "";
    setText(byId(`${each}-call`), each === service ? `${method} ${path.split("?")[0]}` : "");
    setText(byId(`${each}-database`), "");
  }
}

function drawEnd(call) {
  if (call.automatic) return;
  const column = byId(`${call.service}-column`);
  column.dataset.call = ending(call);
  setText(byId(`${call.service}-call`), `${call.method} ${call.path.split("?")[0]} → ${call.answered ? call.status : "no response"}`);
  if (!call.answered) return;
  column.dataset.database = call.database ? "queried" : "not-queried";
  setText(byId(`${call.service}-database`), call.database ? "queried" : "not queried");
}
