// Writing a journey: leads to the value that is to be mended, and leaves no form with unsaved values unasked.
"use strict";

(() => {
  const began = new WeakMap();
  const forms = () => [...document.querySelectorAll("#edit_journey form")];
  // Its token may be made new meanwhile, and nobody typed it.
  const typed = (form) => JSON.stringify([...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken"));
  const dirty = (form) => !!form.dataset.unsaved || typed(form) !== began.get(form);

  function start() {
    const fresh = forms().filter((form) => !began.has(form));
    fresh.forEach((form) => began.set(form, typed(form)));
    const wrong = fresh.map((form) => form.querySelector(".field-wrong")).find(Boolean);
    wrong?.scrollIntoView({ block: "center" });
    wrong?.querySelector("input, select, textarea")?.focus({ preventScroll: true });
  }
  // For the page itself and for every answer that comes in its place.
  document.addEventListener("htmx:load", start);
  document.addEventListener("htmx:confirm", (event) => {
    const { elt, target } = event.detail;
    const lost = target?.id === "edit_journey" && forms().find((form) => form !== elt && dirty(form));
    if (!lost) return;
    const name = lost.closest("details")?.querySelector("summary").textContent.trim();
    const where = name ? `under “${name}”` : "in this part";
    if (!confirm(`What you changed ${where} is not saved. Go on without it?`)) event.preventDefault();
  });
  window.addEventListener("beforeunload", (event) => { if (forms().some(dirty)) event.preventDefault(); });
})();
