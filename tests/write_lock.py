"""Writes requirements.lock: the versions that the tests run with, of all that requirements.txt asks for.

python tests/write_lock.py     in the environment of the tests
"""

import re
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parent.parent
HEAD = """# The versions that the tests ran with, on Python 3.11 and Linux: pip install -r requirements.lock
# requirements.txt says which others should do. Written by tests/write_lock.py.
"""


def asked(path: Path) -> list[Requirement]:
    """The requirements in a file, without those of files that it includes."""
    lines = (re.sub(r"\s*#.*", "", line) for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def closed(wanted: list[Requirement]) -> dict[str, str]:
    """{package: installed version} of requirements and of all that these require here."""
    found, seen = {}, set()
    while wanted:
        each = wanted.pop()
        name = canonicalize_name(each.name)
        if (name, *sorted(each.extras)) in seen:
            continue
        seen.add((name, *sorted(each.extras)))
        found[name] = version(each.name)
        for text in requires(each.name) or ():
            needed = Requirement(text)
            extras = [{"extra": extra} for extra in ("", *each.extras)]
            if needed.marker is None or any(needed.marker.evaluate(extra) for extra in extras):
                wanted.append(needed)
    return found


if __name__ == "__main__":
    found = closed(asked(PROJECT / "requirements.txt"))
    (PROJECT / "requirements.lock").write_text(HEAD + "".join(f"{name}=={found[name]}\n" for name in sorted(found)))
