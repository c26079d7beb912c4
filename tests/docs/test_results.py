"""README.md and docs/ show the tables that the files in results/ make, and nothing of the results is left out."""

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "results"))
import documents
import tables

RESULTS, OLDER = documents.Results(), documents.Results(tables.OLD)
TABLES = tables.tables(RESULTS, OLDER)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("path", documents.documents(), ids=lambda path: path.name)
def test_a_document_holds_exactly_the_tables_that_the_files_make(path):
    text = path.read_text()
    assert text == documents.fill(text, TABLES), "type: make results"


def test_every_table_is_shown():
    shown = {name for path in documents.documents() for _, name, _ in documents.MARKED.findall(path.read_text())}
    assert shown == set(TABLES)


def test_every_result_is_used_or_says_why_not():
    for results, unused in ((RESULTS, {}), (OLDER, tables.UNUSED)):
        assert results.read | set(unused) == results.all()
        assert not results.read & set(unused)
        assert all(unused.values())


@pytest.mark.parametrize("path", documents.documents(), ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path):
    for target in LINK.findall(path.read_text()):
        name, _, heading = target.partition("#")
        if "://" in target:
            continue
        found = path.parent / name if name else path
        assert found.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, target


def write(folder, name, **metrics):
    metrics = (
        dict(protocol="test_40", num_samples=40, judge="abc", fd_extractor="judge of digits, 8 features") | metrics
    )
    metrics = dict(accuracy_real=0.9, fd_floor=0.25, seed=0) | metrics
    (folder / name).mkdir()
    (folder / name / "metrics.json").write_text(json.dumps(metrics))
    (folder / name / "config.json").write_text(json.dumps({"seed": metrics["seed"]}))


def test_a_table_is_of_the_numbers_in_the_files(tmp_path):
    write(tmp_path, "one", fd_gen=1.2345, w1_latent=3.0, w1_latent_floor=2.0)
    write(tmp_path, "two", fd_gen=0.5)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "sweep.csv").write_text("name,kind,fd_gen,cas\nfirst,vae,0.75,\n")
    results = documents.Results(tmp_path)
    rows = [results.run("one", of="a"), results.run("two", of="b"), dict(of="asked", fd_gen=documents.Written("≤ 1"))]
    table = documents.Table({"": "{of}", "d": "{fd_gen:.2f}", "W₁": "{w1_ratio:.1f}"}, rows, smallest=["d"])
    lines = documents.markdown(table).splitlines()
    assert lines[2:5] == ["| a | 1.23 | 1.5 |", "| b | **0.50** |  |", "| asked | ≤ 1 |  |"]
    judge = "Judge `abc`, digits, 8 features: accuracy 0.900 on real images, `fd_floor` 0.250."
    assert lines[-1] == f"`test_40`: 40 samples, seed 0. {judge}"
    assert results.sweep("study") == {"first": {"fd_gen": 0.75}}
    assert results.read == results.all() == {"one", "two", "study"}


def test_rows_under_different_judges_are_refused(tmp_path):
    write(tmp_path, "one", fd_gen=1.0)
    write(tmp_path, "two", fd_gen=0.5, judge="def")
    results = documents.Results(tmp_path)
    with pytest.raises(ValueError, match="different protocols or judges"):
        documents.markdown(documents.Table({"d": "{fd_gen:.2f}"}, [results.run("one"), results.run("two")]))


def test_a_column_that_no_row_fills_is_refused():
    with pytest.raises(ValueError, match="the column d is empty"):
        documents.markdown(documents.Table({"of": "{of}", "d": "{fd_gne:.2f}"}, [{"of": "a", "fd_gen": 1.0}]))


def test_the_smallest_of_a_row_is_bold():
    table = documents.Table(
        {"a": "{a:.1f}, {b:.1f}", "b": "{b:.1f}"}, [dict(a=3.0, b=2.0), dict(a=-1.0, b=9.0)], ["a", "b"], True, False
    )
    assert documents.markdown(table).splitlines()[2:] == ["| 3.0, 2.0 | **2.0** |", "| **-1.0**, 9.0 | 9.0 |"]


def test_what_ties_with_the_best_is_bold_too():
    """1.00 ± 0.03 and 1.09 ± 0.04 differ by less than twice 0.05; 1.11 ± 0.04 by more."""
    rows = [dict(a=a, e=e) for a, e in ((1.0, 0.03), (1.09, 0.04), (1.11, 0.04), (0.99, 0.0))]
    small = documents.Table({"a": "{a:.2f} ± {e:.2f}"}, rows[:3], ["a"], False, False)
    bold = [line.startswith("| **") for line in documents.markdown(small).splitlines()[2:]]
    assert bold == [True, True, False]
    large = documents.Table({"a": "{a:.2f} ± {e:.2f}"}, rows, caption=False, largest=["a"])
    bold = [line.startswith("| **") for line in documents.markdown(large).splitlines()[2:]]
    assert bold == [False, True, True, False]


def test_what_was_asked_is_compared_before_rounding():
    found = documents.reached("{:.2f}", 0.9, 1.1, here=0.899, there=1.1)
    assert found == "here: 0.90, missed; there: 1.10"
    assert documents.reached("{:.0%}", _=0.373) == "37%"


def test_only_what_stands_between_the_marks_is_replaced():
    text = "a\n<!-- table x -->\nold\n<!-- /table -->\nb\n<!-- table y -->\n<!-- /table -->\n"
    filled = documents.fill(text, {"x": "new\n", "y": "other\n"})
    assert filled == "a\n<!-- table x -->\nnew\n<!-- /table -->\nb\n<!-- table y -->\nother\n<!-- /table -->\n"
    assert documents.fill(filled, {"x": "new\n", "y": "other\n"}) == filled
