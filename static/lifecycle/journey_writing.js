// Writing a journey: leads to the value that is to be mended, and leaves no part with unsaved values unasked.
"use strict";

(() => {
  let form = null, began = "";
  const typed = () => JSON.stringify([...new FormData(form)]);
  const dirty = () => !!form?.isConnected && (!!form.dataset.unsaved || typed() !== began);

  function start() {
    const shown = document.getElementById("part-form");
    if (shown === form) return;
    form = shown;
    began = form ? typed() : "";
    const wrong = form?.querySelector(".field-wrong");
    wrong?.scrollIntoView({ block: "center" });
    wrong?.querySelector("input, select, textarea")?.focus({ preventScroll: true });
  }
  // For the page itself and for every part that comes in its place.
  document.addEventListener("htmx:load", start);
  document.addEventListener("htmx:confirm", (event) => {
    const { elt, target } = event.detail;
    if (elt === form || target?.id !== "edit_journey" || !dirty()) return;
    if (!confirm("What you changed in this part is not saved. Go on without it?")) event.preventDefault();
  });
  window.addEventListener("beforeunload", (event) => { if (dirty()) event.preventDefault(); });
})();
