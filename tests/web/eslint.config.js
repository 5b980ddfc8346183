import js from "@eslint/js";
import globals from "globals";

const page = "**/mirclr/serve/page/**/*.js";

export default [
  { ...js.configs.recommended, files: [page] },
  {
    files: [page],
    languageOptions: { ecmaVersion: 2023, sourceType: "module", globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-console": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      // a name of a song is a text, never HTML
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "srcdoc"].map((property) => ({ property })),
        { object: "document", property: "write" },
      ],
    },
  },
];
