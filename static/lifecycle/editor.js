// Turns the textareas of an e-mail into editors that know its variables, components, shared texts and screens.
// Without this file, or without CodeMirror, they stay plain textareas and everything still works.
"use strict";

const Editors = (() => {
  const byField = new Map();
  const data = JSON.parse(document.getElementById("editor-data")?.textContent || "{}");

  // --- what can be completed -------------------------------------------------------------------
  function variables() {
    return [...document.querySelectorAll("[data-variable]")]
      .filter((one) => one.dataset.has !== "no")
      .map((one) => ({
        label: one.dataset.variable,
        detail: one.dataset.has === "some" ? "empty for some readers" : "",
        info: one.dataset.value ? `${one.dataset.meaning}: “${one.dataset.value}”` : one.dataset.meaning,
        boost: one.dataset.has === "all" ? 1 : 0,
        type: "variable",
        apply: closing(" }}", /^\s*(\}\}|\}|$)|^/),
      }));
  }

  // Inserts the label and, unless the tag goes on behind it, its end; what was closed automatically is replaced.
  function closing(end, leftover, behind = "") {
    return (view, completion, from, to) => {
      const after = view.state.sliceDoc(to, view.state.doc.lineAt(to).to);
      const rest = leftover.exec(after)[0];
      const goesOn = !rest && /^[^{}\n]+[%}]\}/.test(after);
      const text = completion.label + (goesOn ? "" : behind + end);
      // Behind the end, or where what the tag is about is to be typed.
      const stop = completion.label.length + (goesOn ? 0 : behind ? 2 : end.length);
      view.dispatch({
        changes: { from, to: to + (goesOn ? 0 : rest.length), insert: text },
        selection: { anchor: from + stop },
        userEvent: "input.complete",
      });
      if (behind && !goesOn) CodeMirror.startCompletion(view);
    };
  }

  const keys = (list) => list.map((one) => ({
    label: one.key || one, detail: one.name || "", type: "constant", apply: closing('" %}', /^"?\s*(%\}|\}|$)|^/),
  }));
  const BEHIND = { button: ' ""', link: ' ""', snippet: ' ""', if: "  ", elsif: "  ", unless: "  ", case: "  ", when: "  ", assign: "  ", capture: "  ", for: "  " };
  const tags = (data.tags || []).map((one) => {
    const behind = BEHIND[one.label] || "";
    return { ...one, type: "keyword", apply: closing(behind.trim() || !behind ? " %}" : "%}", /^\s*(%\}|\}|$)|^/, behind) };
  });
  const filters = (data.filters || []).map((label) => ({ label, type: "function" }));

  function complete(context) {
    const line = context.state.doc.lineAt(context.pos);
    const before = line.text.slice(0, context.pos - line.from);
    const open = Math.max(before.lastIndexOf("{{"), before.lastIndexOf("{%"));
    if (open < 0 || /[%}]\}/.test(before.slice(open))) return null;
    const inside = before.slice(open);
    const word = /[\w.-]*$/.exec(inside)[0];
    const found = (options, from = context.pos - word.length) => ({ from, options, validFor: /^[\w.-]*$/ });
    const quoted = /^\{%-?\s*(\w+)\s+"([^"]*)$/.exec(inside);
    if (quoted) {
      const list = quoted[1] === "snippet" ? data.snippets : ["button", "link"].includes(quoted[1]) ? data.destinations : [];
      return found(keys(list), context.pos - quoted[2].length);
    }
    if (/^\{%-?\s*\w*$/.test(inside)) return found(tags);
    if (/\|\s*\w*$/.test(inside)) return found(filters);
    if (/["'][^"']*$/.test(inside) && (inside.match(/["']/g).length % 2)) return null;
    return found(variables());
  }

  // --- the editor ------------------------------------------------------------------------------
  const isDark = () => document.documentElement.classList.contains("dark");

  function make(area) {
    const CM = CodeMirror;
    const line = area.dataset.editor === "line";
    const dark = new CM.Compartment();
    const look = () => CM.EditorView.theme({}, { dark: isDark() });
    const marks = new CM.MatchDecorator({
      regexp: /\{\{.*?\}\}|\{%.*?%\}/g,
      decoration: (match) => CM.Decoration.mark({ class: match[0][1] === "%" ? "cm-tag" : "cm-value" }),
    });
    const liquid = CM.ViewPlugin.define(
      (view) => ({ found: marks.createDeco(view), update(update) { this.found = marks.updateDeco(update, this.found); } }),
      { decorations: (plugin) => plugin.found },
    );
    const oneLine = CM.EditorState.transactionFilter.of((change) => {
      if (change.newDoc.lines === 1) return change;
      const text = change.newDoc.toString().replace(/\s*\n\s*/g, " ");
      const at = Math.min(change.newSelection.main.head, text.length);
      return { changes: { from: 0, to: change.startState.doc.length, insert: text }, selection: { anchor: at } };
    });
    const view = new CM.EditorView({
      doc: line ? area.value.replace(/\n/g, " ") : area.value,
      extensions: [
        CM.autocompletion({ icons: false }),
        CM.closeBrackets(),
        CM.EditorState.languageData.of(() => [{ closeBrackets: { brackets: ["{"] } }]),
        // Tab takes what is offered; with nothing on offer it leaves the editor, as in any form.
        CM.keymap.of([{ key: "Tab", run: CM.acceptCompletion }, ...CM.closeBracketsKeymap, ...CM.completionKeymap]),
        line ? [oneLine, CM.Prec.high(CM.keymap.of([{ key: "Enter", run: (one) => CM.acceptCompletion(one) || true }]))] : [
          CM.commonmarkLanguage,
          CM.keymap.of([{ key: "Enter", run: CM.insertNewlineContinueMarkup }, { key: "Backspace", run: CM.deleteMarkupBackward }]),
          CM.lineNumbers(),
        ],
        CM.minimalSetup,
        CM.syntaxHighlighting(CM.classHighlighter),
        CM.EditorState.languageData.of(() => [{ autocomplete: complete }]),
        CM.EditorView.lineWrapping,
        liquid,
        dark.of(look()),
        CM.EditorView.contentAttributes.of({
          "aria-label": area.labels[0]?.firstChild.textContent.trim() || "", spellcheck: "true", id: `${area.id}-typed`,
        }),
        CM.EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          area.value = update.state.doc.toString();
          area.dispatchEvent(new Event("input", { bubbles: true }));
        }),
        CM.EditorView.domEventHandlers({ focus: () => { last = area.id; } }),
      ],
    });
    view.dom.classList.add(line ? "one-line" : "many-lines");
    area.after(view.dom);
    area.hidden = true;
    area.labels[0]?.addEventListener("click", () => view.focus());
    new MutationObserver(() => view.dispatch({ effects: dark.reconfigure(look()) }))
      .observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
    byField.set(area.id, view);
  }

  // --- what the page asks of the editors -------------------------------------------------------
  let last = "";
  function start() {
    if (typeof CodeMirror === "undefined") return;
    document.querySelectorAll("textarea[data-editor]").forEach(make);
  }

  // The editor that was written in last, else the first one that is to be seen.
  function current() {
    const shown = [...byField].filter(([id]) => !document.getElementById(id).closest("[hidden].variant"));
    return (shown.find(([id]) => id === last) || shown.find(([id]) => id.endsWith("-body")) || shown[0])?.[1];
  }

  // Puts the text where the cursor is; `…` in it is where typing goes on.
  function insert(text, own = false) {
    const view = current();
    if (!view) return;
    const { from, to } = view.state.selection.main;
    const column = from - view.state.doc.lineAt(from).from;
    const whole = own && column ? `\n\n${text}` : text;
    const stop = whole.indexOf("…");
    view.dispatch({
      changes: { from, to, insert: whole.replace("…", "") },
      selection: { anchor: from + (stop < 0 ? whole.length : stop) },
      userEvent: "input",
      scrollIntoView: true,
    });
    view.focus();
    if (stop > 0 && whole[stop - 1] === '"') CodeMirror.startCompletion(view);
  }

  // Goes to a field, and in it to a line counted from 1.
  function go(field, line) {
    const view = byField.get(field);
    const plain = document.getElementById(field);
    if (!view) { plain?.focus(); plain?.scrollIntoView({ block: "center" }); return; }
    const at = view.state.doc.line(Math.min(Math.max(line || 1, 1), view.state.doc.lines));
    view.dispatch({ selection: { anchor: line ? at.from : view.state.selection.main.head }, scrollIntoView: true });
    view.focus();
    view.dom.scrollIntoView({ block: "center" });
  }

  // Underlines what the checks found, by field: [{line, message, blocking}, …].
  function mark(found) {
    for (const [field, view] of byField) {
      const told = (found.get(field) || []).filter((one) => one.line && one.line <= view.state.doc.lines).map((one) => {
        const line = view.state.doc.line(one.line);
        return { from: line.from, to: line.to, severity: one.blocking ? "error" : "warning", message: one.message };
      });
      view.dispatch(CodeMirror.setDiagnostics(view.state, told));
    }
  }

  const measure = () => byField.forEach((view) => view.requestMeasure());
  return { start, insert, go, mark, measure, data };
})();
