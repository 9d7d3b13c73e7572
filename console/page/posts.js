/** Step 3: read, search, page, write, edit and delete posts, with the token and nothing else. */

import { call } from "./api.js";
import { byId, h, say, show } from "./dom.js";
import { confirm, fine, report } from "./outcome.js";
import { accessToken, onSession, session } from "./session.js";

const PAGE = 5;

export function setUpPosts() {
  const list = byId("post-list");
  const answer = byId("posts-answer");
  const more = byId("more");
  const search = byId("search");
  let next = null;
  let asked = 0;

  const send = (method, path, options = {}) => call("posts", method, path, { token: accessToken(), ...options });

  const filtered = () => byId("mine").checked || Boolean(byId("q").value.trim() || byId("tag").value.trim());

  function path(cursor) {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (byId("q").value.trim()) query.set("q", byId("q").value.trim());
    if (byId("tag").value.trim()) query.set("tag", byId("tag").value.trim());
    if (byId("mine").checked) query.set("author", "me");
    if (cursor) query.set("cursor", cursor);
    return `/posts?${query}`;
  }

  /** Read the first page, or add the next one. `follows`: nobody asked for it but this page. Returns the call, so that a caller may report another instead. */
  async function read(cursor = null, follows = false) {
    const number = ++asked;
    const answered = await send("GET", path(cursor), { follows, form: isPage });
    if (number !== asked || !session()) return answered; // a later one was asked for meanwhile
    if (fine(answered)) {
      const items = answered.data.items.map(entry);
      if (cursor) list.append(...items);
      else list.replaceChildren(...items);
      next = answered.data.next;
      show(more, next !== null);
      say(byId("posts-count"), list.children.length ? "" : filtered() ? "Nothing found." : "No posts here yet. Write the first one.");
      if (cursor) items[0]?.querySelector("h4").focus();
    }
    return answered;
  }

  /**
   * Do something, say what became of it, and read the list again. A fault that leaves the list alone is said at `region`.
   *
   * @param {(done: object | null) => string} words  of what was done
   */
  async function change(work, words, region = answer) {
    const answered = await work();
    const stale = answered.status === 412 || answered.status === 404;
    report(region, null);
    if (fine(answered)) confirm(answer, words(answered.data));
    else report(stale ? answer : region, answered);
    if (fine(answered) || stale) {
      const listed = await read(null, true);
      if (fine(answered) && !fine(listed)) report(answer, listed);
    }
    return answered;
  }

  async function readAndReport(cursor, follows) {
    const answered = await read(cursor, follows);
    report(answer, fine(answered) ? null : answered);
  }

  function entry(post) {
    const item = h("li", { class: "post", "data-id": String(post.id) });
    const mine = post.author_id === session().claims.sub;
    const name = `the post “${post.title}”`;
    const said = h("div", { role: "status" });
    const actions = h("span", { class: "post-actions" });
    const edit = h("button", { type: "button", class: "quiet small", "aria-label": `Edit ${name}`, click: () => editor(item, post, said) }, "Edit");
    const remove = h(
      "button",
      {
        type: "button",
        class: "quiet small",
        "aria-label": `Delete ${name}`,
        click: () => {
          actions.replaceChildren(sure());
          actions.querySelector("button").focus();
        },
      },
      "Delete",
    );
    function back() {
      actions.replaceChildren(edit, remove);
      remove.focus();
    }

    /** The question before it is done; Escape is No. */
    function sure() {
      const yes = async () => {
        await change(
          () => send("DELETE", `/posts/${post.id}`, { headers: { "If-Match": `"${post.version}"` } }),
          () => `Deleted: post ${post.id}`,
          said,
        );
        if (item.isConnected) back(); // refused: the list is as it was
        else byId("list-title").focus();
      };
      return h(
        "span",
        { role: "group", "aria-label": `Delete ${name}?`, keydown: (event) => event.key === "Escape" && back() },
        "Delete? ",
        h("button", { type: "button", class: "quiet small", click: yes }, "Yes"),
        h("button", { type: "button", class: "quiet small", click: back }, "No"),
      );
    }

    actions.append(edit, remove);
    item.append(
      h("h4", { tabindex: "-1", dir: "auto" }, post.title),
      h("p", { class: "post-body", dir: "auto" }, post.body),
      h(
        "div",
        { class: "post-foot" },
        h("span", {}, mine ? `${post.author_name} (you)` : post.author_name),
        h("span", {}, new Date(post.created_at).toLocaleString()),
        ...(post.version > 1 ? [h("span", {}, `version ${post.version}`)] : []),
        ...post.tags.map((tag) => h("span", { class: "tag" }, tag)),
        ...(mine ? [] : [h("span", { class: "not-yours" }, "not yours: posts will refuse")]),
        actions,
      ),
      said,
    );
    return item;
  }

  function editor(item, post, said) {
    const title = h("input", { id: `title-${post.id}`, maxlength: "200", required: true, dir: "auto" });
    const body = h("textarea", { id: `body-${post.id}`, rows: "3", required: true, dir: "auto" });
    title.value = post.title;
    body.value = post.body;
    const close = () => {
      const fresh = entry(post);
      item.replaceWith(fresh);
      fresh.querySelector("button").focus();
    };
    const form = h(
      "form",
      {
        class: "stack",
        submit: async (event) => {
          event.preventDefault();
          const changes = { title: title.value, body: body.value };
          // If-Match: nobody else's change since then is overwritten
          const answered = await change(
            () => send("PATCH", `/posts/${post.id}`, { json: changes, headers: { "If-Match": `"${post.version}"` } }),
            (saved) => `Saved: post ${saved.id}, version ${saved.version}`,
            said,
          );
          if (fine(answered)) list.querySelector(`[data-id="${post.id}"] h4`)?.focus();
        },
      },
      h("label", { for: title.id }, "Title"),
      title,
      h("label", { for: body.id }, "Text"),
      body,
      h(
        "div",
        { class: "buttons" },
        h("button", { class: "primary" }, "Save"),
        h("button", { type: "button", class: "quiet", click: close }, "Cancel"),
      ),
    );
    report(said, null);
    item.replaceChildren(form, said);
    title.focus();
  }

  byId("write").addEventListener("submit", async (event) => {
    event.preventDefault();
    const tags = byId("new-tags").value.split(",").map((tag) => tag.trim()).filter(Boolean);
    const json = { title: byId("new-title").value, body: byId("new-body").value, ...(tags.length ? { tags } : {}) };
    const answered = await change(() => send("POST", "/posts", { json }), (post) => `Written: post ${post.id}`);
    if (fine(answered)) event.target.reset();
  });
  search.addEventListener("submit", (event) => {
    event.preventDefault();
    readAndReport();
  });
  byId("mine").addEventListener("change", () => readAndReport());
  more.addEventListener("click", () => readAndReport(next));

  // a refresh replaces the token and leaves the session, and the list, as they are
  let sid = null;
  onSession((now) => {
    show(byId("posts-empty"), !now);
    show(byId("posts-shown"), Boolean(now));
    if (!now) {
      list.replaceChildren();
      report(answer, null);
    } else if (now.claims.sid !== sid) {
      readAndReport(null, true);
    }
    sid = now?.claims.sid ?? null;
  });
}

const isText = (value) => typeof value === "string";

const isPost = ({ id, title, body, tags, created_at: at }) =>
  Number.isInteger(id) && [title, body, at].every(isText) && Array.isArray(tags) && tags.every(isText);

const isPage = ({ items, next }) => items.every(isPost) && (next === null || isText(next));
