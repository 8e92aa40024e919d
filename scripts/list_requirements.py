"""Print the requirements of extras of pyproject.toml, one a line: `list_requirements.py [build] [EXTRA ...]`.

So that an environment gets its dependencies once, and a changed source only builds redvillm again.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any


def requirements_of(extra: str, project: dict[str, Any]) -> set[str]:
    """Return the requirements of one extra; an extra that names other extras of redvillm brings theirs."""
    found = set()
    for requirement in project["optional-dependencies"][extra]:
        own = re.fullmatch(r"redvillm\[(.*)\]", requirement)
        if own:
            found.update(*(requirements_of(name.strip(), project) for name in own[1].split(",")))
        else:
            found.add(requirement)
    return found


def main() -> None:
    """Print them sorted."""
    content = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    found = set(content["project"]["dependencies"])
    for name in sys.argv[1:]:
        found.update(content["build-system"]["requires"] if name == "build" else requirements_of(name, content["project"]))
    sys.stdout.write("".join(f"{line}\n" for line in sorted(found)))


if __name__ == "__main__":
    main()
