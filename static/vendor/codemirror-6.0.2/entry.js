// What of CodeMirror static/lifecycle/editor.js uses; README.md says how the bundle is made from it.
export { minimalSetup } from "codemirror";
export {
  acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, startCompletion,
} from "@codemirror/autocomplete";
export { syntaxHighlighting } from "@codemirror/language";
export { commonmarkLanguage, insertNewlineContinueMarkup, deleteMarkupBackward } from "@codemirror/lang-markdown";
export { setDiagnostics } from "@codemirror/lint";
export { Compartment, EditorState, Prec } from "@codemirror/state";
export {
  Decoration, EditorView, MatchDecorator, ViewPlugin, keymap, lineNumbers, placeholder,
} from "@codemirror/view";
export { classHighlighter } from "@lezer/highlight";
