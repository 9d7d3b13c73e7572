/** Elements, made of text alone: nothing that a service answers is ever read as markup. */

/**
 * @param {string} tag
 * @param {Object<string, string | boolean | EventListener>} attributes  true sets it empty, false and undefined leave it
 *     out; a function listens to the event of that name
 * @param {...(Node | string | null | undefined)} children  strings become text
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Show or hide for everybody: to the eye, to the keyboard and to a screen reader. */
export function show(element, visible) {
  element.hidden = !visible;
}

/** Set text only where it differs, so that a live region does not speak again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A button that copies what `text()` gives, and says that it did. */
export function copyButton(label, text) {
  const button = h("button", { type: "button", class: "quiet small" }, label);
  const status = h("span", { class: "copied", role: "status" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      say(status, "Copied");
    } catch {
      say(status, "The browser does not let the page copy here; select the text instead");
    }
    setTimeout(() => say(status, ""), 4000);
  });
  return h("span", { class: "copy" }, button, status);
}
