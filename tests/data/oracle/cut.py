#!/usr/bin/env python3
"""Takes over the cases of another set, and prints the table of README.md.

    python3 tests/data/oracle/cut.py FROM [TO]

FROM is a directory of the same schema. The files of tensors are copied whole, since each belongs to one family; the
manifest gets one case a line, so that a change shows as what it is.
"""
import collections
import json
import pathlib
import shutil
import sys

source = pathlib.Path(sys.argv[1])
target = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent)
manifest = json.loads((source / "manifest.json").read_text())
cases = manifest.pop("cases")
for file in sorted({case["file"] for case in cases if "file" in case}):
    shutil.copyfile(source / file, target / file)
head = "".join(f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in manifest.items())
lines = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
(target / "manifest.json").write_text("{\n" + head + '"cases": [\n' + lines + "\n]\n}\n")

families = collections.defaultdict(collections.Counter)
for case in cases:
    families[case["family"]][case["op"].split(".")[-1]] += 1
print("| family | cases | per function |\n|---|---|---|")
for family, functions in families.items():
    print(f"| {family} | {functions.total()} | {', '.join(f'{name} {n}' for name, n in functions.items())} |")
print(f"| **total** | **{len(cases)}** | |")
tags = collections.Counter(tag for case in cases for tag in case["tags"])
print(", ".join(f"{n} `{tag}`" for tag, n in tags.most_common()))
