"""The rules themselves, as functions from sources to complaints, so that each can be shown to catch what it forbids."""

import re
from pathlib import PurePath

import tree

# A machine's own folders have no business in the project. Built by parts so that this file does not trip over itself.
MACHINE_PATHS = re.compile(r"(?<![\w.}$/-])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "home/" + r"\w+"]) + r")/")
MAX_FILE = 512 * 1024

# Calls that make an operator: they name what they make. Everything else asks the row what an operator is.
MAKERS = re.compile(r"\b(?:emit|emit_blocks|unary|binary|reduce|find)\(\s*$")


def arrow_errors(files, table):
    """files: {relative path under src/: text}. Includes that no arrow allows, and names that are no folder."""
    allowed = tree.reachable(table)
    errors = []
    for path, text in files.items():
        folder = PurePath(path).parts[1]
        if folder not in table:
            errors.append(f"{path}: {folder} has no row in cmake/folders.cmake")
            continue
        for line, target, quoted in tree.includes(text):
            first = PurePath(target).parts[0]
            if first in table and first not in allowed[folder]:
                errors.append(f"{path}:{line}: {folder} may not include {target}; its arrows are {table[folder]}")
            elif first == "graft" and folder != "api":
                errors.append(f"{path}:{line}: only api may include the public headers")
            elif quoted and first not in table and first != "graft":
                errors.append(f"{path}:{line}: \"{target}\" is not written from the root of src/")
            elif ".." in PurePath(target).parts:
                errors.append(f"{path}:{line}: {target} climbs out of its folder")
    return errors


def cycle_error(edges):
    """edges: {node: [nodes]}. The first cycle as text, or None. Iterative: chains of headers may be long."""
    done, trail = set(), []
    for start in edges:
        stack = [(start, iter(edges[start]))] if start not in done else []
        trail[:] = [start] if stack else []
        while stack:
            node, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                trail.pop()
                done.add(node)
            elif following in trail:
                return " -> ".join(trail[trail.index(following) :] + [following])
            elif following not in done and following in edges:
                stack.append((following, iter(edges[following])))
                trail.append(following)
    return None


def outside_errors(files, table):
    """Public headers and everything built on them (cli/, python/, examples) see include/graft and nothing of src/. Their
    own headers are named from their top folder."""
    errors = []
    for path, text in files.items():
        own = PurePath(PurePath(path).parts[0])
        for line, target, quoted in tree.includes(text):
            first = PurePath(target).parts[0]
            if first in table or ".." in PurePath(target).parts:
                errors.append(f"{path}:{line}: {target} is inside src/; only include/graft may be used here")
            elif quoted and first != "graft" and own / target not in {PurePath(p) for p in files}:
                errors.append(f"{path}:{line}: \"{target}\" is neither a public header nor one of {own}/")
    return errors


def operators(ops_md):
    """(names, parameters) of MIL's operators, from docs/ops.md."""
    table = ops_md[ops_md.index("\n## MIL") :]
    parameters = set()
    for signature in re.findall(r"\| `([^`]*:[^`]*)` \|", table):
        parameters |= {word.split(":")[0].strip(" ?") for word in signature.split(";")}
    return set(re.findall(r"^\| \*\*(\w+)\*\*:", table, re.M)), parameters


def name_literals(text, names, parameters):
    """[(line, name)] of string literals that are an operator's name and not the argument of a maker. A word that is a
    parameter too counts where something is compared with it."""
    found = []
    code = re.sub(r"//[^\n]*", "", text)
    for match in re.finditer(r'"(\w+)"', code):
        before = code[: match.start()][-40:]
        if match[1] not in names or MAKERS.search(before) or re.search(r"family [=!]= ?$", before):
            continue
        if match[1] not in parameters or re.search(r"[=!]= ?$", before):
            found.append((code.count("\n", 0, match.start()) + 1, match[1]))
    return found


# What a lowering has no business to ask: where its node goes, and whether something was refused (builder.h).
QUESTIONS = re.compile(r"\btarget\(\)|\bhost\(\)|\bfor_host\b|\bpoison\b")


def question_errors(files):
    """files: {relative path: text}. Lowerings that ask what the builder decides."""
    return [
        f"{path}:{number}: name the forms in order (Builder::first_of) instead of asking: {line.strip()[:80]}"
        for path, text in files.items()
        if re.search(r"src/onnx/(lower_\w+|patterns)\.cc$", path)
        for number, line in enumerate(text.splitlines(), 1)
        if QUESTIONS.search(line.split("//")[0])
    ]


def text_errors(name, text):
    """Paths of one machine in a tracked text file."""
    return [
        f"{name}:{number}: names a folder of one machine: {line.strip()[:100]}"
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATHS.search(line)
    ]
