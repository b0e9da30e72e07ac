// What the pages gain with a script; without it they do all the same. Regions that follow what happens, dialogs, keys.
"use strict";
(() => {
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const QUIET_MINUTES = 5, SLOW_SECONDS = 10, SPEAK_SECONDS = 10;
  const spoken = $("#spoken"), lost = $("#lost"), dialog = $("#dialog");
  const base = $("link[rel=stylesheet]").getAttribute("href").split("/static/")[0];  // the path of base_url
  const cookie = (name, value) => { document.cookie = `${name}=${value}; path=${base || "/"}; max-age=31536000; samesite=lax`; };

  // -- Speaking: one sentence at a time, at most every ten seconds, the newest last.
  let saidAt = -1e9, waiting = null;
  const say = (sentence) => {
    if (!sentence) return;
    const wait = saidAt + SPEAK_SECONDS * 1000 - performance.now();
    if (wait > 0) {
      if (waiting === null) setTimeout(() => { const next = waiting; waiting = null; say(next); }, wait);
      waiting = sentence;
      return;
    }
    saidAt = performance.now();
    spoken.textContent = sentence;
  };

  // -- Morphing: what is the same stays the same element, so that focus, selection and typing stay.
  const KEPT = new Set(["open", "value", "checked", "tabindex"]);
  const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
  const morph = (old, fresh) => {
    if (old.nodeType !== 1) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.isEqualNode(fresh)) return;
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !KEPT.has(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (!KEPT.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    if (old.nodeName === "PROGRESS") { if (fresh.hasAttribute("value")) old.value = fresh.value; else old.removeAttribute("value"); }
    if (old.matches("input, textarea, select")) return;
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const known = child.id ? [...old.childNodes].find((one) => one.id === child.id) : null;
      if (known && known !== at) { old.insertBefore(known, at); at = known; }
      if (at && same(at, child)) { morph(at, child); at = at.nextSibling; } else old.insertBefore(child, at);
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  };

  // -- Regions that follow: each asks for itself alone, while it says that it lives.
  let movedAt = performance.now(), paused = false;
  const look = async (region, where = location.href) => {
    const answer = await fetch(where, { headers: { "X-Live-Region": region.id, "X-Live-Version": region.dataset.version } });
    if (answer.status === 401 || answer.redirected) { tell("You are signed out. Reload the page to sign in."); return null; }
    if (answer.status === 204) return true;
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(region.id);
    if (!fresh) throw new Error("no region");
    if (paused || region.contains(document.activeElement?.closest("form"))) return true;
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    if (fresh.dataset.says !== region.dataset.says) say(fresh.dataset.says);
    morph(region, fresh);
    if (focused && !focused.isConnected) ((focused.id && document.getElementById(focused.id)) || $("h1, h2", region) || $("#main")).focus();
    ready(region);
    return "live" in region.dataset;
  };
  const follow = (region) => {
    let asOf = new Date(), seconds = Number(region.dataset.live);
    const again = () => setTimeout(step, (performance.now() - movedAt > QUIET_MINUTES * 60000 ? SLOW_SECONDS : Math.max(seconds, 1)) * 1000);
    const step = async () => {
      if (document.hidden || paused) return again();
      try {
        if (!(await look(region))) return;
        asOf = new Date();
        tell("");
      } catch { tell(`No connection: as of ${asOf.toLocaleTimeString()}`); }
      again();
    };
    again();
  };
  // -- What is long is worked out part by part: its link leads to the next one, which is asked for at once.
  const goingOn = new WeakSet(), pass = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
  const goOn = async (region) => {
    if (goingOn.has(region)) return;
    goingOn.add(region);
    for (let link; region.isConnected && (link = $("a[data-on]", region));) {
      const where = link.href;
      try {
        if (!paused) { if ((await look(region, where)) === null) return; tell(""); }
        if ($("a[data-on]", region)?.href === where) await pass(1);
      } catch (error) {
        if (/^4(?!29)/.test(error.message)) { location.href = where; return; }
        tell("No connection: it goes on when there is one");
        await pass(SLOW_SECONDS / 2);
      }
    }
    goingOn.delete(region);
  };
  const tell = (words) => { if (lost.textContent !== words) { lost.textContent = words; lost.hidden = !words; say(words); } };
  for (const kind of ["pointermove", "keydown", "scroll"]) addEventListener(kind, () => { movedAt = performance.now(); }, { passive: true });
  const pause = () => {
    paused = !paused;
    for (const button of $$("[data-pause]")) { button.setAttribute("aria-pressed", paused); button.textContent = paused ? "Resume updates" : "Pause updates"; }
    say(paused ? "Updates are paused" : "Updates continue");
  };

  // -- Dialogs: the page that a link leads to, shown over this one.
  let opener = null;
  const open = async (link) => {
    const answer = await fetch(link.href, { headers: { "X-Dialog": "1" } });
    const inside = answer.redirected ? null : $("[data-in-dialog]", new DOMParser().parseFromString(await answer.text(), "text/html"));
    if (!inside) { location.href = link.href; return; }
    const shut = document.createElement("button");
    shut.type = "button"; shut.className = "button small plain shut"; shut.textContent = "Close";
    shut.addEventListener("click", () => dialog.close());
    dialog.replaceChildren(...($("[data-cancel]", inside) ? [] : [shut]), inside);
    if (!link.closest("dialog")) opener = link;
    ready(dialog);
    dialog.showModal();
    ($("#refused, [autofocus], [data-cancel]", dialog) || shut).focus({ preventScroll: true });
  };
  // The event comes a task after the closing: who has gone on to a field meanwhile keeps it.
  dialog.addEventListener("close", () => {
    const nowhere = dialog.contains(document.activeElement) || document.activeElement === document.body;
    dialog.replaceChildren();
    if (nowhere) (opener?.isConnected ? opener : $("#main")).focus();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog], a[data-cancel]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    if (link.matches("[data-cancel]")) { if (dialog.open) { event.preventDefault(); dialog.close(); } return; }
    event.preventDefault();
    open(link).catch(() => { location.href = link.href; });
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") {  // the address of a filter leaves out what is blank
      for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
      const gone = form.matches(".filter form") && ticked() ? element("input", "", { type: "hidden", name: "done", value: GONE }) : null;
      if (gone) form.append(gone);
      setTimeout(() => { gone?.remove(); for (const field of form.elements) field.disabled = false; });
      return;
    }
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(() => { for (const button of $$("button", form)) { button.disabled = true; button.setAttribute("aria-busy", "true"); } });
  });
  addEventListener("pageshow", () => { for (const form of $$("form[data-sent]")) { delete form.dataset.sent; for (const button of $$("button", form)) { button.disabled = false; button.removeAttribute("aria-busy"); } } });

  // -- What a form would do, or what is found by it, shown while one types: the form names the region. No secret leaves.
  let typing = 0;
  const show = async (form) => {
    const query = new URLSearchParams([...new FormData(form)].filter(([name, value]) => value && !["csrf_token", "form_key"].includes(name) && !$(`[name="${CSS.escape(name)}"][data-secret]`, form)));
    const here = `${form.getAttribute("action")}?${query}`, turn = ++typing;
    if (here.length > 6000) return;
    for (const id of form.dataset.shown.split(" ")) {
      const region = document.getElementById(id), answer = await fetch(here, { headers: { "X-Live-Region": id } });
      if (!answer.ok || answer.redirected || turn !== typing) return;
      morph(region, new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id));
      ready(region);
      say(region.dataset.says);
    }
    if (!form.closest("dialog")) history.replaceState(null, "", here);
  };
  let soon = null;
  for (const kind of ["input", "change"]) document.addEventListener(kind, (event) => {
    const form = event.target.closest("form[data-shown]");
    if (!form) return;
    clearTimeout(soon);
    soon = setTimeout(() => show(form).catch(() => {}), Number(form.dataset.wait || 1000));
  });

  // -- Times: the zone of the browser, the clock of the server, durations that go on.
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const keep = (zone) => cookie("zone", zone);
  if (!/(^|; )zone=/.test(document.cookie)) keep(own);
  const clock = $("[data-clock]");
  const ahead = clock ? new Date(clock.dateTime) - Date.now() : 0;
  $("[data-zone-switch]")?.addEventListener("click", () => { keep(clock.dataset.zone === "UTC" ? own : "UTC"); location.reload(); });
  setInterval(() => {
    if (clock) {
      const shown = new Date(Date.now() + ahead).toLocaleTimeString("en-GB", { timeZone: clock.dataset.zone, hour: "2-digit", minute: "2-digit" });
      if (clock.textContent !== shown) clock.textContent = shown;
    }
    if (!paused) for (const one of $$("[data-ticks]")) { one.dataset.ticks = Number(one.dataset.ticks) + 1; one.textContent = inWords(Number(one.dataset.ticks)); }
  }, 1000);
  const inWords = (seconds) => {
    const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]].map(([unit, size]) => { const count = Math.floor(seconds / size); seconds -= count * size; return [count, unit]; });
    const first = parts.findIndex(([count]) => count);
    return first < 0 ? "0 s" : parts.slice(first, first + 2).filter(([count]) => count).map((part) => part.join(" ")).join(" ");
  };

  // -- Small things of a part of the page that is new: copy buttons, the box that checks all of a page.
  const ready = (part) => {
    for (const button of $$("[data-copy], [data-pause]", part)) button.hidden = false;
    for (const link of $$("a[data-on]", part)) { link.hidden = true; goOn(link.closest(".live")); }
    const from = document.referrer && new URL(document.referrer);
    if (from && from.origin + from.pathname === location.origin + location.pathname) for (const link of $$("[data-newer]", part)) link.hidden = false;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-newer], [data-pause], [data-keys-sheet]");
    if (!button) return;
    if (button.matches("[data-pause]")) pause();
    if (button.matches("[data-keys-sheet]")) sheet();
    if (button.matches("[data-newer]")) { event.preventDefault(); history.back(); }
    if (button.matches("[data-copy]")) { await navigator.clipboard?.writeText($("code", button.parentElement).textContent); say("Copied"); }
  });
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-check-all]")) return;
    for (const box of $$(`input[type=checkbox][name="${event.target.dataset.checkAll}"]`)) { box.checked = event.target.checked; box.dispatchEvent(new Event("change", { bubbles: true })); }
  });

  // -- What is ticked holds for what the list shows: a link or a filter that leads to more of it says that it is gone.
  const GONE = "ticks-gone";
  const ticked = () => $$("[data-count-of]").some((said) => $(`input[name="${said.dataset.countOf}"]:checked, #select-all input:checked`));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]:not([data-dialog], [data-cancel], [data-newer])");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button || link.pathname !== location.pathname || link.hash || !ticked()) return;
    const there = new URL(link.href);
    there.searchParams.set("done", GONE);
    link.href = there;
  });

  document.addEventListener("change", ({ target }) => {  // how many boxes of a column are ticked
    const said = target.name && $(`[data-count-of="${target.name}"]`);
    const count = said ? $$(`input[type=checkbox][name="${target.name}"]:checked`).length : 0;
    if (said) said.textContent = said.textContent.replace(/(what is|\d+) ticked/, `${count || "what is"} ticked`);
  });

  // -- Keys. Off by the box on their sheet.
  const GO = { o: "/", r: "/runs", u: "/usage-inputs", a: "/asset-line-items", f: "/forecast", b: "/billing-utilities", s: "/schedules", j: "/jobs", m: "/mail" };
  const KEYS = [["/", "Search"], ["j k", "Next and previous row"], ["Enter", "Open the row"], ["x", "Select the row"], ["p", "Pause updates"], ["?", "This sheet"], ["Esc", "Close a dialog"],
    ...Object.entries(GO).map(([key, where]) => [`g ${key}`, $(`.side a[href="${base}${where}"]`)?.textContent.trim()])].filter(([, what]) => what);
  const off = () => /(^|; )keys=off/.test(document.cookie);
  const element = (name, text, attributes = {}) => { const made = document.createElement(name); made.textContent = text; for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value); return made; };
  const sheet = () => {
    const card = element("div", "", { class: "card" }), list = element("dl", "", { class: "keys" });
    for (const [key, what] of KEYS) { const pair = element("div", ""), term = element("dt", ""); term.append(element("kbd", key)); pair.append(term, element("dd", what)); list.append(pair); }
    const box = element("input", "", { type: "checkbox", id: "keys-on" }), line = element("div", "", { class: "field check" });
    box.checked = !off();
    box.addEventListener("change", () => cookie("keys", box.checked ? "on" : "off"));
    line.append(box, element("label", "Keys of one letter work", { for: "keys-on" }));
    const shut = element("button", "Close", { type: "button", class: "button" });
    shut.addEventListener("click", () => dialog.close());
    card.append(element("h1", "Keys", { id: "dialog-title" }), list, line, shut);
    opener = document.activeElement;
    dialog.replaceChildren(card);
    dialog.showModal();
  };
  let gone = -1e9;
  const step = (by) => {
    const rows = $$(".rows tbody tr"), at = rows.findIndex((row) => row.classList.contains("at"));
    const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
    if (!next) return;
    rows[at]?.classList.remove("at");
    next.classList.add("at");
    ($("a, input", next) || next).focus();
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || off() || dialog.open || event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    const key = event.key;
    if (performance.now() - gone < 1500 && GO[key] && $(`.side a[href="${base}${GO[key]}"]`)) { location.href = base + GO[key]; return; }
    gone = key === "g" ? performance.now() : -1e9;
    if (key === "/") { $("#search")?.focus(); event.preventDefault(); }
    if (key === "j") step(1);
    if (key === "k") step(-1);
    if (key === "x") $(".rows tr.at input[type=checkbox]")?.click();
    if (key === "Enter" && event.target.matches(".rows tr.at input")) { $("a", event.target.closest("tr"))?.click(); event.preventDefault(); }
    if (key === "p") pause();
    if (key === "?") sheet();
  });

  // The parts of a strip are one stop of the tab key; the arrows go on from there.
  document.addEventListener("keydown", (event) => {
    const part = event.target.closest(".strip a"), parts = part ? $$("a", part.parentNode) : [], at = parts.indexOf(part);
    const next = parts[{ ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: parts.length - 1 }[event.key]];
    if (!next) return;
    event.preventDefault();
    for (const one of parts) one.setAttribute("tabindex", one === next ? 0 : -1);
    next.focus();
  });

  ready(document);
  for (const button of $$("[data-keys-sheet]")) button.hidden = false;
  for (const region of $$("[data-live]")) follow(region);
  if (innerWidth < 600) for (const one of $$(".filter[open]:not(:has(.wrong))")) one.open = false;  // on a phone what is found comes first
  $("#refused")?.focus();
  const here = new URL(location.href);
  if (here.searchParams.has("done")) { here.searchParams.delete("done"); history.replaceState(null, "", here); }
})();
