"""How the files of the packages import each other, read from their text: imports inside functions count too."""

import ast
from graphlib import TopologicalSorter
from itertools import permutations
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
METHODS = ("lsdm_jax", "regene_jax", "rivals_jax")
FOUNDATIONS = ("config", "data", "devices", "metrics", "drawing", "files", "errors")
# Each may import those before it.
ORDER = (
    "method",
    "networks",
    "runs",
    "training",
    "extractors",
    "evaluation",
    "comparison",
    "sweep",
    "report",
    "commands",
)
HEIGHT = dict.fromkeys(FOUNDATIONS, 0) | {room: number for number, room in enumerate(ORDER, 1)}


def module(path):
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


FILES = {module(path): path for name in ("experiment_jax", *METHODS) for path in (PROJECT / name).rglob("*.py")}


def imports(name):
    """(module, name in it or "") of all that a file imports; a name that is a module is one."""
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from ((each.name, "") for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                whole = f"{node.module}.{each.name}"
                yield (whole, "") if whole in FILES else (node.module, each.name)


ARROWS = {name: {found for found, _ in imports(name)} & FILES.keys() - {name} for name in FILES}
OWN = sorted(name for name in FILES if name.startswith("experiment_jax."))


def test_experiment_jax_has_few_floors_and_no_circle():
    floors = {}
    for name in TopologicalSorter({name: ARROWS[name] for name in OWN}).static_order():  # raises CycleError
        floors[name] = 1 + max((floors[below] for below in ARROWS.get(name, ())), default=0)
    # The commands, what the two scripts do, stand on top of all rooms.
    floors = {name: floor for name, floor in floors.items() if ".commands." not in name}
    assert max(floors.values()) <= 7, max(floors, key=floors.get)


def test_rooms_import_those_below_them_only_and_no_method():
    rooms = {name: name.split(".")[1] for name in OWN}
    assert set(rooms.values()) == set(HEIGHT)
    assert not [(name, found) for name in OWN for found in ARROWS[name] if found not in rooms]
    arrows = {(rooms[name], rooms[found]) for name in OWN for found in ARROWS[name] if rooms[name] != rooms[found]}
    assert not [arrow for arrow in arrows if HEIGHT[arrow[1]] >= max(HEIGHT[arrow[0]], 1)]
    assert not [arrow for arrow in arrows if arrow[::-1] in arrows]


def test_methods_do_not_know_each_other():
    arrows = {(name.split(".")[0], found.split(".")[0]) for name in FILES for found, _ in imports(name)}
    assert not arrows & set(permutations(METHODS, 2)) and {(name, "experiment_jax") for name in METHODS} <= arrows


def test_no_file_imports_a_private_name_of_another():
    found = [(name, part) for name in FILES for pair in imports(name) for part in ".".join(pair).split(".")]
    assert not [(name, part) for name, part in found if part.startswith("_") and not part.startswith("__")]
