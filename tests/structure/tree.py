"""What the structure tests know of the repository. Standard library only, so that they start at once."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(os.path.abspath(__file__)).parents[2]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*(?:include|import)[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', re.M)
ROW = re.compile(r"^graft_folder\((\w+)([^)]*(?:\$<[^)]*>)?[^)]*)\)$", re.M)
WORDS = {"ARROWS", "LIBS", "PRIVATE", "OPTIONS"}


def folders(text=None):
    """{folder: [arrows]} from the rows of cmake/folders.cmake, in their order."""
    if text is None:
        text = (ROOT / "cmake/folders.cmake").read_text()
    table = {}
    for name, rest in ROW.findall(text):
        arrows, section = [], None
        for word in rest.split():
            if word in WORDS:
                section = word
            elif section == "ARROWS":
                arrows.append(word)
        table[name] = arrows
    return table


def reachable(table):
    """{folder: every folder that it may include, itself too}."""

    def walk(name, seen):
        if name not in seen:
            seen.add(name)
            for arrow in table[name]:
                walk(arrow, seen)
        return seen

    return {name: walk(name, set()) for name in table}


def includes(text):
    """[(line, path, quoted)] of every #include."""
    found = []
    for match in INCLUDE.finditer(text):
        path = match.group(1) or match.group(2)
        found.append((text.count("\n", 0, match.start()) + 1, path, match.group(1) is not None))
    return found


def sources(*tops):
    """C, C++ and Objective-C++ files under the given folders, as paths relative to the root."""
    result = []
    for top in tops:
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in {".h", ".hpp", ".cc", ".c", ".mm", ".inc", ".def"} and path.is_file():
                result.append(path.relative_to(ROOT))
    return result


def tracked():
    """Every file that git knows, with its size; empty outside a git checkout."""
    run = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=False)
    names = run.stdout.decode().split("\0") if run.returncode == 0 else []
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]
