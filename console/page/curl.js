/** A call as a line for a POSIX shell. */

/** The members of a body that are never written out, and the shell variable that stands in for each. */
export const SECRETS = { password: "PASSWORD", refresh_token: "REFRESH_TOKEN" };

/** One word for the shell, whatever stands in the text: between single quotes nothing has a meaning but their end. */
export const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * @param {{method: string, url: string, headers: [string, string][], json?: object}} call
 * @param {boolean} whole  whether the access token stands in it; else it is read from $TOKEN
 */
export function curl({ method, url, headers, json }, whole) {
  const words = ["curl -sSi", ...(method === "GET" ? [] : [`-X ${method}`]), quote(url)];
  for (const [name, value] of headers) {
    words.push(name === "Authorization" && !whole ? `-H "Authorization: Bearer $TOKEN"` : `-H ${quote(`${name}: ${value}`)}`);
  }
  if (json !== undefined) words.push(`--data-raw ${body(json)}`);
  return words.join(" ");
}

/** The variables that have to be set before the line works. */
export function variables({ headers, json }, whole) {
  const bearer = !whole && headers.some(([name]) => name === "Authorization") ? ["TOKEN"] : [];
  return [...bearer, ...Object.keys(json ?? {}).filter((name) => name in SECRETS).map((name) => SECRETS[name])];
}

function body(json) {
  let words = "";
  let text = "{";
  Object.entries(json).forEach(([name, value], index) => {
    text += `${index ? "," : ""}${JSON.stringify(name)}:`;
    if (name in SECRETS) {
      words += `${quote(`${text}"`)}"$${SECRETS[name]}"`;
      text = '"';
    } else {
      text += JSON.stringify(value);
    }
  });
  return words + quote(`${text}}`);
}
