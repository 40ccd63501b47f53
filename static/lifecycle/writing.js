// Writing an e-mail: saves while somebody types, shows it, and tells two writers apart. See editor.js for the editors.
"use strict";

(() => {
  const form = document.getElementById("email-form");
  if (!form) return;
  const SAVE_AFTER = 1200, LOOK_AFTER = 250, CHECK_AFTER = 900, TRY_AGAIN_AFTER = 5000;
  const status = document.getElementById("saving");
  document.getElementById("edit_email").classList.add("scripted");
  Editors.start();

  const cookie = (name) => document.cookie.split("; ").find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) || "";
  function typed(extra = {}) {
    const fields = new FormData(form);
    // After a new login the page's own token is old, the cookie's is not.
    fields.delete("csrfmiddlewaretoken");
    Object.entries(extra).forEach(([name, value]) => fields.set(name, value));
    return fields;
  }
  function post(url, fields, accept, signal) {
    return fetch(url, { method: "POST", body: fields, signal, credentials: "same-origin",
      headers: { Accept: accept, "X-CSRFToken": cookie("csrftoken") } });
  }
  function words() {
    const fields = typed();
    const kept = [...fields].filter(([name]) => /^(v\d+-|claim\d+-|variants$)/.test(name));
    return JSON.stringify(kept);
  }
  function later(work, wait) {
    let timer = 0;
    const ask = () => { clearTimeout(timer); timer = setTimeout(work, wait); };
    ask.stop = () => clearTimeout(timer);
    return ask;
  }

  // --- saving ------------------------------------------------------------------------------------
  let kept = form.dataset.unsaved ? "" : words(), running = null, apart = !!form.dataset.unsaved, leaving = false;
  const dirty = () => words() !== kept;
  const say = (text, bad = false) => { status.textContent = text; status.classList.toggle("wrong", bad); };
  const set = (name, value) => document.querySelectorAll(`#edit_email [name=${name}]`).forEach((one) => { one.value = value; });

  async function save() {
    if (running || apart || leaving || !dirty()) return;
    const sent = words();
    running = send(sent);
    await running;
    running = null;
    if (dirty() && !apart) soon();
  }
  async function send(sent) {
    say("Saving…");
    let answer;
    try {
      answer = await post(form.action, typed(), "application/json");
      if (!(answer.headers.get("Content-Type") || "").includes("json")) throw new Error(answer.status);
      answer = await answer.json();
    } catch (error) {
      const cause = error.name === "TypeError" ? "no connection" : "you are logged out, or may not write here: log in in another window";
      say(`Not saved: ${cause}. It is tried again; keep this page open.`, true);
      setTimeout(soon, TRY_AGAIN_AFTER);
      return;
    }
    if (answer.conflict) {
      apart = true;
      set("revision", answer.revision);
      const place = document.getElementById("conflict");
      place.innerHTML = answer.conflict;
      place.scrollIntoView({ block: "start" });
      say("Not saved: other words were saved meanwhile, compare them below.", true);
    } else if (answer.refused) {
      apart = true;
      say(`Not saved: ${answer.refused} Copy what you want to keep.`, true);
    } else {
      kept = sent;
      set("revision", answer.revision);
      set("began_with", answer.began_with);
      say(`Saved ${answer.saved}`);
    }
  }
  const soon = later(save, SAVE_AFTER);

  // Whether a click would be answered, and not with the login.
  async function reached() {
    try {
      const answer = await post(form.dataset.preview, typed(), "application/json");
      return (answer.headers.get("Content-Type") || "").includes("json");
    } catch (error) { return false; }
  }
  let safe = false;
  form.addEventListener("submit", async (event) => {
    // The page goes only once its words are kept, or it is sure that whoever clicks is still logged in.
    if (safe || !dirty()) { leaving = true; return; }
    event.preventDefault();
    const button = event.submitter;
    soon.stop();
    // Its own save under way would look like somebody else's.
    await running;
    const wasApart = apart;
    await save();
    safe = wasApart ? await reached() : !dirty();
    if (safe) form.requestSubmit(button);
    else if (wasApart) say("Not saved: no connection, or you are logged out: log in in another window, then save again.", true);
    safe = false;
  });
  // What leads on from the words takes them along, saved.
  document.querySelectorAll(".writing-links a").forEach((link) => link.addEventListener("click", async (event) => {
    if (!dirty() || apart || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    soon.stop();
    await running;
    await save();
    location.assign(link.href);
  }));
  window.addEventListener("pageshow", () => { leaving = false; });
  window.addEventListener("beforeunload", (event) => { if (!leaving && dirty()) event.preventDefault(); });

  // --- the preview ---------------------------------------------------------------------------------
  const $ = (id) => document.getElementById(id);
  const frame = $("preview-frame"), sight = document.querySelector("#preview .sight");
  const chosen = (name) => form.elements[name]?.value || "";
  let asking = null;

  // The variant that is being written, until somebody chooses a reader.
  let follow = null;
  async function look() {
    const extra = follow === null ? {} : { variant: follow };
    asking?.abort();
    const mine = asking = new AbortController();
    let told;
    try {
      const answer = await post(form.dataset.preview, typed(extra), "application/json", mine.signal);
      told = await answer.json();
    } catch (error) { return; }
    sight.dataset.view = chosen("view");
    const wrong = $("preview-error");
    wrong.hidden = !told.error;
    sight.classList.toggle("stale", !!told.error);
    $("preview-variant").textContent = told.variant ? `variant: ${told.variant}${told.nobody ? `. ${told.nobody}` : ""}` : "";
    if (told.error) {
      // What the language itself refuses names its line already.
      const place = told.line ? `line ${told.line}` : "";
      wrong.textContent = told.error.includes(place) ? told.error : `${told.error} (${place})`;
    } else {
      $("preview-subject").textContent = told.subject;
      $("preview-preheader").textContent = told.preheader;
      frame.srcdoc = chosen("view") === "text" ? asText(told.text) : told.html;
    }
    $("preview-told").textContent = told.told || "";
    offer(told.real || []);
    if (told.sample !== undefined) form.elements.sample.value = told.sample;
    values(told.values || {});
    return told;
  }
  // The people of a real account, among the readers to choose from.
  function offer(found) {
    const select = form.elements.sample;
    const keys = found.map((one) => one.key).join();
    if (!keys || select.dataset.real === keys) return;
    select.dataset.real = keys;
    select.querySelector("optgroup.real")?.remove();
    const group = document.createElement("optgroup");
    group.className = "real";
    group.label = "A real account";
    found.forEach((one) => group.append(new Option(one.name, one.key)));
    select.prepend(group);
  }
  function asText(text) {
    const page = document.implementation.createHTMLDocument("");
    const lines = page.createElement("pre");
    lines.style.cssText = "white-space: pre-wrap; overflow-wrap: anywhere; font: 14px/1.5 ui-monospace, monospace; margin: 16px";
    lines.textContent = text;
    page.body.append(lines);
    return `<!doctype html>${page.documentElement.outerHTML}`;
  }
  function values(found) {
    document.querySelectorAll("[data-variable]").forEach((one) => {
      const value = found[one.dataset.variable] || "";
      one.dataset.value = value;
      const shown = one.closest("li").querySelector(".value");
      shown.textContent = value ? `“${value}”` : "";
    });
  }
  const lookSoon = later(() => look(), LOOK_AFTER);

  // --- the remarks, and who gets which words ----------------------------------------------------------
  async function check() {
    let told;
    try {
      const answer = await post(form.dataset.check, typed(), "text/html");
      if (!answer.ok) return;
      told = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch (error) { return; }
    for (const id of ["remarks", "remark-count", "matrix"]) {
      const fresh = told.getElementById(id);
      if (fresh) document.getElementById(id).replaceWith(document.adoptNode(fresh));
    }
    underline();
  }
  function underline() {
    const found = new Map();
    document.querySelectorAll("#remarks [data-field]").forEach((one) => {
      const list = found.get(one.dataset.field) || [];
      list.push({ line: Number(one.dataset.line), message: one.dataset.message, blocking: one.dataset.blocking === "yes" });
      found.set(one.dataset.field, list);
    });
    Editors.mark(found);
  }
  const checkSoon = later(check, CHECK_AFTER);

  // What the links did is said of the words that they stood in, and of no others.
  function forgetTrial() {
    htmx.trigger($("try-links"), "htmx:abort");
    $("try_links").className = "";
    $("try_links").replaceChildren();
  }

  // --- one variant at a time ---------------------------------------------------------------------------
  const tabs = $("variant-tabs"), variants = [...document.querySelectorAll(".variant")];
  function name(variant, at) {
    const parts = [["provider", "provider"], ["error", "error_class"], ["role", "role"]]
      .map(([label, field]) => [label, form.elements[`v${at}-${field}`].value.trim()]);
    return parts.filter(([, value]) => value).map((pair) => pair.join("=")).join(", ") || "default";
  }
  function show(at, asked = false) {
    if (!variants[at]) return;
    variants.forEach((one, place) => { one.hidden = place !== at; });
    [...tabs.children].forEach((one, place) => {
      if (place === at) one.setAttribute("aria-current", "true"); else one.removeAttribute("aria-current");
    });
    form.elements.at.value = `#v${at}`;
    Editors.measure();
    if (asked) { follow = at; look(); }
  }
  function relabel() {
    variants.forEach((variant, at) => {
      tabs.children[at].textContent = variant.querySelector("h2").textContent = name(variant, at);
    });
  }
  variants.forEach((variant, at) => {
    const tab = document.createElement("a");
    tab.href = `#v${at}`;
    tab.dataset.variantLink = at;
    tabs.append(tab);
  });
  tabs.hidden = variants.length < 2;
  relabel();

  // --- what is clicked and typed -----------------------------------------------------------------------
  form.addEventListener("input", (event) => {
    if (["sample", "view", "take", "account"].includes(event.target.name)) return;
    if (dirty() && !apart) say("Not saved yet");
    relabel();
    forgetTrial();
    soon();
    lookSoon();
    checkSoon();
  });
  const account = form.elements.account;
  document.addEventListener("change", (event) => {
    const { name } = event.target;
    if (!["sample", "view", "account"].includes(name)) return;
    if (name !== "view") follow = null;
    // A made-up reader is in no account.
    if (name === "sample" && account && !event.target.selectedOptions[0].closest(".real")) account.value = "";
    look();
  });
  account?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    // Enter would save and load the page anew.
    event.preventDefault();
    account.dispatchEvent(new Event("change", { bubbles: true }));
  });
  $("send-test").addEventListener("click", async (event) => {
    event.preventDefault();
    const said = $("test-said");
    said.textContent = "Sending…";
    try {
      said.textContent = (await (await post(form.dataset.test, typed(), "application/json")).json()).said;
    } catch (error) { said.textContent = "Not sent: no connection, or you are logged out."; }
  });
  document.getElementById("edit_email").addEventListener("click", (event) => {
    const at = (key) => event.target.closest(`[data-${key}]`);
    const link = at("variant-link"), goes = at("go"), component = at("component"), variable = at("variable");
    if (link) {
      event.preventDefault();
      history.replaceState(null, "", `#v${link.dataset.variantLink}`);
      show(Number(link.dataset.variantLink), true);
    } else if (goes) {
      event.preventDefault();
      const field = goes.dataset.go;
      const found = /^v(\d+)/.exec(field);
      if (found) show(Number(found[1]), true);
      Editors.go(field, Number(goes.closest("li").dataset.line));
    } else if (component) {
      const source = Editors.data.components[component.dataset.component].source;
      Editors.insert(source, source.includes("\n") || /^\{% (button|note|tip|snippet)/.test(source));
    } else if (variable) {
      Editors.insert(`{{ ${variable.dataset.variable} }}`);
    }
  });
  const named = /^#v(\d+)/.exec(location.hash);
  show(Number(named?.[1] || 0));
  underline();
  if (named) follow = Number(named[1]);
  // Without a wish, the words that the reader who stands first gets.
  look().then((told) => { if (!named && told && typeof told.at === "number") { follow = told.at; show(told.at); } });
})();
