// What the console adds where there is script: parts that refresh, copying, dialogs. Everything works without it.
"use strict";

// Parts that refresh: <section data-live="/admin/…" data-every="2">. What is the same is not touched.
const clock = () => new Date().toLocaleTimeString([], { hour12: false });

class Live {
  constructor(section) {
    this.section = section;
    this.every = Number(section.dataset.every) * 1000;
    this.failures = 0;
    this.heard = clock();
    this.seen = null;
    this.schedule();
  }

  schedule() {
    const pause = Math.min(this.every * 2 ** Math.min(this.failures, 4), 60000);
    this.timer = setTimeout(() => this.refresh(), pause * (0.9 + 0.2 * Math.random()));
  }

  async refresh() {
    if (!this.section.isConnected) return;
    if (document.hidden) { this.waiting = true; return; }
    try {
      const answer = await fetch(this.section.dataset.live, {
        headers: { "x-live": "1" }, signal: AbortSignal.timeout(Math.max(5000, this.every)),
      });
      if (answer.status === 401) return this.stale("You are signed out. Load the page again to sign in.");
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      this.failures = 0;
      this.heard = clock();
      delete this.section.dataset.stale;
      if (text !== this.seen && !this.beingUsed()) { this.swap(text); this.seen = text; }
    } catch {
      this.failures += 1;
      if (this.failures > 1) this.stale(`This is as of ${this.heard}: the console does not answer. Trying again.`);
    }
    this.schedule();
  }

  // Text that somebody marks, or a control that is open, must not be pulled away.
  beingUsed() {
    const marked = document.getSelection();
    const within = this.section.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
    return within || (marked && !marked.isCollapsed && this.section.contains(marked.anchorNode));
  }

  // What one has opened, focused and scrolled stays so.
  swap(text) {
    const open = new Map([...this.section.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    const scrolled = [...this.section.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
    const focused = this.section.contains(document.activeElement) ? nameOf(document.activeElement) : null;
    this.section.replaceChildren(document.createRange().createContextualFragment(text));
    for (const one of this.section.querySelectorAll("details[id]")) if (open.has(one.id)) one.open = open.get(one.id);
    for (const [place, one] of this.section.querySelectorAll(".scroll").entries()) if (scrolled[place]) one.scrollTo(...scrolled[place]);
    const go = this.section.querySelector("a[data-go]");  // what was waited for is there
    if (go) { location.replace(go.href); return; }
    if (focused) this.section.querySelector(focused)?.focus({ preventScroll: true });
    prepare(this.section);
    this.section.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
  }

  stale(words) {
    let note = this.section.querySelector(":scope > .stale-note");
    if (!note) {
      note = document.createElement("p");
      note.className = "stale-note";
      note.setAttribute("role", "status");
      this.section.prepend(note);
    }
    if (note.textContent !== words) note.textContent = words;
    this.section.dataset.stale = "";
    this.seen = null;
  }
}

// A selector that finds an element's successor in what takes its place; null where nothing tells it apart.
function nameOf(element) {
  const { id, dataset: { key }, parentElement: parent } = element;
  if (element.matches("summary") && parent.id) return `#${CSS.escape(parent.id)} > summary`;
  if (id || key) return id ? `#${CSS.escape(id)}` : `[data-key="${CSS.escape(key)}"]`;
  return element.matches("a[href]") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : null;
}

const lives = [];
document.addEventListener("visibilitychange", () => {
  for (const live of lives) if (!document.hidden && live.waiting) { live.waiting = false; live.refresh(); }
});

// Copying: <button data-copy="id of what is copied" hidden>
function prepare(root) {
  if (navigator.clipboard) for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const before = button.cloneNode(true);
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
  setTimeout(() => button.replaceChildren(...before.childNodes), 1500);
});

// Dialogs: <a href="a page with one .confirm" data-dialog>. Where that page says no, it is shown as it is.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const answer = await fetch(link.href, { headers: { "x-live": "1" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const confirm = answer.ok && page.querySelector(".confirm");
    if (!confirm) { location.assign(link.href); return; }
    const dialog = document.createElement("dialog");
    const title = confirm.querySelector("h2");
    if (title) { title.id = "dialog-title"; dialog.setAttribute("aria-labelledby", title.id); }
    dialog.append(document.adoptNode(confirm));
    document.body.append(dialog);
    for (const cancel of dialog.querySelectorAll("[data-cancel]")) {
      cancel.addEventListener("click", (click) => { click.preventDefault(); dialog.close(); });
    }
    dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
    dialog.showModal();
  } catch {
    location.assign(link.href);
  }
});

// What a form would do, while one types: <form data-preview="id of what is replaced">; it asks as its button "preview" does.
for (const form of document.querySelectorAll("form[data-preview]")) {
  let timer, asked = 0;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const turn = ++asked, sent = new URLSearchParams(new FormData(form));
      sent.set("preview", "1");
      try {
        const answer = await fetch(form.action, { method: "POST", body: sent, headers: { "x-live": "1" } });
        const text = await answer.text();
        if (answer.ok && turn === asked) document.getElementById(form.dataset.preview).replaceChildren(document.createRange().createContextualFragment(text));
      } catch { /* the button asks again */ }
    }, 250);
  });
}

// The signed-in person's menu closes by Escape and by a click elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const search = document.querySelector("input[type=search]");
  if (event.key === "/" && search && !event.target.closest("input, select, textarea")) { event.preventDefault(); search.focus(); }
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
});

// Where one is, is in sight, too, in a bar that is longer than the screen.
for (const bar of document.querySelectorAll(".side nav, .tabs, .segments")) {
  const here = bar.querySelector("[aria-current]")?.getBoundingClientRect(), room = bar.getBoundingClientRect();
  if (here) bar.scrollLeft += here.left + here.width / 2 - room.left - room.width / 2;
}

prepare(document);
for (const section of document.querySelectorAll("[data-live]")) lives.push(new Live(section));
