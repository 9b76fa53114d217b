// The service, asked over HTTP. A token, where one is needed, lives in this module's memory and nowhere else.

let token = "";

export function useToken(given) {
  token = given;
}

// An answer that is not what was asked for: the problem that the service tells, by its fields where it names them.
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || `the service answered ${status}`);
    this.status = status;
    this.type = body.type || "";
    this.errors = body.errors || [];
  }
}

async function ask(path, options = {}, read = (response) => response.json()) {
  const headers = { Accept: "application/json", ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "omit", referrerPolicy: "no-referrer" });
  } catch {
    throw new Problem(0, { detail: "the service cannot be reached" });
  }
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
  return read(response);
}

export const get = (path) => ask(path);

export const post = (path, document) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(document) });

// A link cannot send a token: where there is one, the page that it leads to is fetched with it, and shown in a window of
// its own, in which this page's policy holds. That knows no style within a page, so the style is given as an object.
export function withToken(link) {
  link.addEventListener("click", async (event) => {
    if (!token) return;
    event.preventDefault();
    const opened = window.open(""); // at once, since a window that nobody has clicked for is not opened
    const shown = opened.document;
    shown.write("<!doctype html>");
    shown.close();
    try {
      const style = new opened.CSSStyleSheet();
      const text = (await ask(link.href, {}, (response) => response.text())).replace(/<style>(.*?)<\/style>/s, (_, rules) => {
        style.replaceSync(rules);
        return "";
      });
      const page = new DOMParser().parseFromString(text, "text/html");
      for (const element of page.querySelectorAll("script, meta[http-equiv]")) element.remove();
      shown.replaceChild(shown.adoptNode(page.documentElement), shown.documentElement);
      shown.adoptedStyleSheets = [style];
    } catch (problem) {
      shown.body.textContent = problem.message;
    }
  });
  return link;
}

// Asks one thing at a time, and of what was wanted meanwhile only the newest: a dragged dot wants many a second.
export function newestOnly(work) {
  let running = false;
  let waiting = null;
  return async function start(...wanted) {
    waiting = wanted;
    if (running) return;
    running = true;
    try {
      while (waiting) {
        const next = waiting;
        waiting = null;
        await work(() => waiting === null, ...next);
      }
    } finally {
      running = false;
    }
  };
}
