#!/usr/bin/env python3
"""Holds a page's examples to the program that is compiled and run: each part of the program between "// -- NAME --" and
"// -- end --" is on the page, word for word, in the code block behind "<!-- FILE: NAME -->", and the page has no other
C++ code.

usage: check_examples.py PROGRAM PAGE     exit status 1, and a line per difference, if there is one
       check_examples.py --self-check     plants each kind of difference and fails unless all are found
"""

import difflib
import re
import sys
from pathlib import Path

PART = re.compile(r"^// -- ([a-z-]+) --\n(.*?)^// -- end --$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^(?:<!-- (\S+): ([a-z-]+) -->\n)?```cpp\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def differences(program_name, program, page):
    """Yields a line, or a diff, for each difference."""
    parts = PART.findall(program)
    blocks = BLOCK.findall(page)
    if not parts:
        yield "the program has no parts"
    if program.count("\n// -- ") != 2 * len(parts):
        yield "the program has a part without an end, or an end without a part"
    shown = {}
    for file, name, code in blocks:
        if file != program_name:
            yield f"a code block of the page comes from no program that is checked:\n{code}"
        elif name in shown:
            yield f"the page shows '{name}' twice"
        else:
            shown[name] = code
    names = [name for name, _ in parts]
    for name in names:
        if names.count(name) > 1:
            yield f"the program has two parts '{name}'"
        if name not in shown:
            yield f"the page does not show '{name}'"
    for name, code in shown.items():
        if name not in names:
            yield f"the program has no part '{name}'"
        elif code != dict(parts)[name]:
            yield "".join(
                difflib.unified_diff(dict(parts)[name].splitlines(True), code.splitlines(True), f"program, {name}", "page")
            )


def self_check():
    program = "int x;\n// -- one --\nint a;\n// -- end --\n// -- two --\nint b;\n\nint c;\n// -- end --\n"
    page = "Text\n\n<!-- p.cc: one -->\n```cpp\nint a;\n```\nmore\n<!-- p.cc: two -->\n```cpp\nint b;\n\nint c;\n```\n"
    wrong = 0
    if found := list(differences("p.cc", program, page)):
        print("a page without a difference has one:", *found)
        wrong += 1
    planted = [
        (program.replace("int b;", "int d;"), page),
        (program, page.replace("int a;", "int  a;")),
        (program, page.replace("int b;\n\n", "int b;\n")),
        (program, page.replace("<!-- p.cc: one -->\n", "")),
        (program, page.replace("p.cc: one", "q.cc: one")),
        (program, page.replace("p.cc: two", "p.cc: three")),
        (program, page.replace("p.cc: two", "p.cc: one")),
        (program, page + "```cpp\nint z;\n```\n"),
        (program, page[: page.index("more")]),
        (program.replace("// -- two --\n", ""), page),
        (program.replace("// -- two --", "// -- one --"), page),
        (program[: program.rindex("// -- end --")], page),
        ("int x;\n", "Text\n"),
    ]
    for number, (changed_program, changed_page) in enumerate(planted):
        if not list(differences("p.cc", changed_program, changed_page)):
            print(f"difference {number} was not found")
            wrong += 1
    return wrong


def main():
    if sys.argv[1:] == ["--self-check"]:
        return 1 if self_check() else 0
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    program, page = Path(sys.argv[1]), Path(sys.argv[2])
    name = "tests/consumer/" + program.name
    found = list(differences(name, program.read_text(encoding="utf-8"), page.read_text(encoding="utf-8")))
    for difference in found:
        print(f"{page}: {difference}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
