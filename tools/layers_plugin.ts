/// <reference lib="deno.unstable" />
// A lint plugin that applies tools/layers.ts to every import and every name of
// a module. tools/check_layers.ts runs it.
import {
  importProblem,
  mayComputeImports,
  mayNameRuntime,
  RUNTIME_GLOBALS,
} from "./layers.ts";

/** The plugin; its one rule is `layers/imports`. */
const plugin: Deno.lint.Plugin = {
  name: "layers",
  rules: { imports: { create: visitor } },
};
export default plugin;

function visitor(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  const path = context.filename.replaceAll("\\", "/");
  const root = path.lastIndexOf("/src/") + "/src/".length;
  const file = path.slice(root);
  const named: Deno.lint.Identifier[] = [];
  const declared = new Set<string>();

  const check = (node: Deno.lint.Node, specifier: unknown) => {
    const problem = specifierProblem(file, specifier);
    if (problem !== undefined) context.report({ node, message: problem });
  };
  return {
    ImportDeclaration: (node) => check(node, node.source.value),
    ExportAllDeclaration: (node) => check(node, node.source.value),
    ExportNamedDeclaration: (node) => {
      if (node.source) check(node, node.source.value);
    },
    ImportExpression: (node) => check(node, staticString(node.source)),
    TSImportType: ({ argument }) => {
      if (argument.type === "TSLiteralType") {
        check(argument, staticString(argument.literal));
      }
    },
    Identifier: (node) => {
      if (!RUNTIME_GLOBALS.includes(node.name) || isKey(node)) return;
      if (isDeclaration(node)) declared.add(node.name);
      else named.push(node);
    },
    "Program:exit": () => {
      for (const node of named) {
        if (mayNameRuntime(file) || declared.has(node.name)) continue;
        const message =
          `names "${node.name}"; only the files of src/platform may`;
        context.report({ node, message });
      }
    },
  };
}

function staticString(node: Deno.lint.Node): unknown {
  return node.type === "Literal" ? node.value : undefined;
}

/** Whether an identifier declares a variable or parameter of its own. */
function isDeclaration(node: Deno.lint.Identifier): boolean {
  const { parent } = node;
  if (parent.type === "VariableDeclarator") return parent.id === node;
  return "params" in parent && Array.isArray(parent.params) &&
    parent.params.some((param) => param === node);
}

function specifierProblem(
  file: string,
  specifier: unknown,
): string | undefined {
  if (typeof specifier !== "string") {
    return mayComputeImports(file)
      ? undefined
      : "imports a module whose name is computed, which cannot be checked";
  }
  if (specifier.startsWith("node:")) {
    return mayNameRuntime(file)
      ? undefined
      : `imports "${specifier}"; only the files of src/platform may`;
  }
  if (!specifier.startsWith(".")) return undefined;
  // Two made-up folders above src/ tell what leads out of it.
  const { pathname } = new URL(specifier, `file:///out/src/${file}`);
  const target = pathname.startsWith("/out/src/")
    ? pathname.slice("/out/src/".length)
    : `../${pathname.slice("/out/".length)}`;
  return importProblem(file, target);
}

/** Whether an identifier is a property's name, as `process` in `x.process`. */
function isKey(node: Deno.lint.Identifier): boolean {
  const { parent } = node;
  switch (parent.type) {
    case "MemberExpression":
      return parent.property === node && !parent.computed &&
        parent.object !== node;
    case "Property":
    case "MethodDefinition":
    case "PropertyDefinition":
    case "TSPropertySignature":
    case "TSMethodSignature":
      return parent.key === node && !parent.computed;
    default:
      return false;
  }
}
