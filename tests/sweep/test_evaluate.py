"""The table of a sweep: what is evaluated, means and errors over seeds, CSV, and the page."""

import base64
import csv
import dataclasses
import html.parser
import io
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiment_jax import load_run, train
from experiment_jax.comparison.table import Row
from experiment_jax.drawing import plots
from experiment_jax.extractors import judges
from experiment_jax.sweep import evaluate as evaluation
from experiment_jax.sweep import members, page
from experiment_jax.sweep.evaluate import evaluate
from experiment_jax.sweep.train import train_members

EPSILON = "matching.sinkhorn.epsilon"
TWO = 'yield "low", {"matching.sinkhorn.epsilon": 1.0}\nyield "high", {"matching.sinkhorn.epsilon": 3.0}'
BROKEN = """
yield "sound", {}
yield "broken", {"matching.optimiser.learning_rate": 1e30, "matching.optimiser.clip": 0.0}
yield "later", {"matching.width": 9}
"""


def define(spec, workdir, seeds=None):
    return members.define(spec, {}, workdir, seeds=seeds, members=True)


def rows(workdir):
    return list(csv.DictReader(io.StringIO((workdir / "sweep.csv").read_text())))


def untimed(workdir):
    """The rows without how fast samples were drawn, which no two evaluations agree on."""
    return [{key: value for key, value in each.items() if key != "images_per_second"} for each in rows(workdir)]


def row(name, errors=None, problems=(), runs=1, **values):
    settings = {EPSILON: float(len(name))}
    return Row(name, settings, None, values, errors or {}, runs, problems, np.zeros((4, 6, 3), np.uint8))


def test_means_and_standard_errors_over_seeds_are_those_of_the_runs(swept, tmp_path, monkeypatch):
    found = define(swept(TWO), tmp_path / "sweep", seeds=3)
    members.write(found)
    values = {member.name: 1 / (3 + number**2) for number, member in enumerate(found.members)}
    picture = np.zeros((4, 6, 3), np.uint8)
    measured = lambda found, member, plan: ({"fd_gen": values[member.name], "step": 4}, picture)  # noqa: E731
    monkeypatch.setattr(evaluation, "measure", measured)
    best = evaluate(tmp_path / "sweep", "fd_gen")
    low, high = rows(tmp_path / "sweep")
    own = [values[f"low-seed{seed}"] for seed in range(3)]
    assert float(low["fd_gen"]) == pytest.approx(np.mean(own), rel=1e-12)
    assert float(low["fd_gen_se"]) == pytest.approx(np.std(own, ddof=1) / math.sqrt(3), rel=1e-12)
    assert (low["name"], low["runs"], low["matching.sinkhorn.epsilon"]) == ("low", "3", "1.0")
    assert (best["name"], best["fd_gen"], best["runs"]) == ("high", float(high["fd_gen"]), 3)
    assert best["matching.sinkhorn.epsilon"] == 3.0
    runs = list(csv.DictReader(io.StringIO((tmp_path / "sweep" / "runs.csv").read_text())))
    assert [(run["name"], float(run["fd_gen"])) for run in runs] == list(values.items())
    assert [run["seed"] for run in runs] == ["0", "1", "2"] * 2


@pytest.fixture(scope="session")
def evaluated_two(trained_two, tmp_path_factory):
    """The directory of a sweep of two members that `evaluate` has measured, for tests that do not write to it."""
    workdir = Path(shutil.copytree(trained_two, tmp_path_factory.mktemp("evaluated") / "sweep"))
    evaluate(workdir)
    return workdir


@pytest.fixture
def measured(evaluated_two, tmp_path):
    """A copy of that directory."""
    return Path(shutil.copytree(evaluated_two, tmp_path / "sweep"))


def test_what_is_evaluated_already_is_not_evaluated_again(measured):
    tables = [measured / name for name in ("sweep.csv", "sweep.html")]
    written = [measured / name / "eval" / "4" / "metrics.json" for name in ("low", "high")]
    before = [path.read_text() for path in tables]
    clocks = [path.read_bytes() for path in written]  # every evaluation writes how many seconds it took
    evaluate(measured)
    assert [path.read_text() for path in tables] == before and [path.read_bytes() for path in written] == clocks
    evaluate(measured, num_samples=120)  # another number is another evaluation
    assert {each["num_samples"] for each in rows(measured)} == {"120"}
    assert not {"seconds", "latents_per_second"} & rows(measured)[0].keys()


def test_a_table_of_fewer_runs_does_not_replace_one_of_more(measured, caplog):
    before = (measured / "sweep.csv").read_text()
    shutil.rmtree(measured / "high" / "finished")
    assert evaluate(measured)["name"] == "low"
    assert [each["runs"] for each in rows(measured)] == ["1", "0"]
    assert (measured / "sweep-2.csv").read_text() == before and (measured / "sweep-2.html").is_file()
    assert "of high fewer runs are measured than before: the table of before is sweep-2.csv" in caplog.text
    evaluate(measured)
    assert (measured / "sweep-2.csv").read_text() == before and not (measured / "sweep-1.csv").exists()


JUDGE = """
import runpy
from experiment_jax.config.load import override

def get_config():
    config = runpy.run_path({shipped!r})["get_config"]()
    override(config, {{"classifier.steps": 3, "classifier.batch_size": 20}})
    return config
"""


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_another_judge_or_witness_measured_is_measured_again(measured, tmp_path, refused, request):
    first = untimed(measured)
    folders = [measured / name for name in ("low", "high")]
    written = [folder / "eval" / "4" / "metrics.json" for folder in folders]
    for stale in (dict(judge="0" * 12), dict(witness_resnet8="0" * 12)):
        edit(written[0], fd_gen=-1.0, **stale)
        evaluate(measured)
        assert untimed(measured) == first
        assert not stale.items() & json.loads(written[0].read_text()).items()
    (tmp_path / "judge.py").write_text(
        JUDGE.format(shipped=str(request.config.rootpath / "configs" / "judge_digits.py"))
    )
    edit(folders[0] / "config.json", judge=str(tmp_path / "judge.py"))
    message = refused(evaluate, measured)
    assert re.search(r"low and high do not compare, their judges are .*judge\.py and configs/judge_dig", message)
    assert untimed(measured) == first
    edit(folders[1] / "config.json", judge=str(tmp_path / "judge.py"))
    evaluate(measured)
    [digest] = {json.loads(path.read_text())["judge"] for path in written}
    assert digest == judges.find(str(tmp_path / "judge.py"), load_run(folders[0]).config.data, train).digest
    assert all(new["fd_gen"] != old["fd_gen"] for new, old in zip(rows(measured), first, strict=True))


def test_members_of_different_protocols_are_compared_by_one(measured, refused):
    path = measured / "low" / "config.json"
    edit(path, evaluation={**json.loads(path.read_text())["evaluation"], "protocol": "test_70"})
    assert "their protocols are test_70 and test_90; type --protocol test_70" in refused(evaluate, measured)
    evaluate(measured, protocol="test_70")
    assert {each["num_samples"] for each in rows(measured)} == {"70"}


def test_members_that_failed_or_wait_are_in_the_table_with_the_reason(swept, tmp_path, one):
    found = define(swept(BROKEN), tmp_path / "sweep")
    for index in (0, 1):
        train_members(found, index, one)
    best = evaluate(tmp_path / "sweep")
    sound, broken, later = rows(tmp_path / "sweep")
    assert best["name"] == "sound" and sound["problems"] == "" and float(sound["fd_gen"]) > 0
    assert broken["problems"].startswith("failed: matching: ") and broken["fd_gen"] == ""
    assert later["problems"] == "not trained to the end yet" and later["runs"] == "0"
    assert "failed: matching: " in (tmp_path / "sweep" / "sweep.html").read_text()


def test_a_metric_that_no_member_has_is_refused_with_those_that_there_are(measured, tree, refused):
    for name in ("sweep.csv", "sweep.html", "sweep.png"):
        (measured / name).unlink(missing_ok=True)
    before = tree(measured)
    message = refused(evaluate, measured, "psnr")
    assert re.search(r"--by psnr: no member has that metric; choose one of .*fd_gen.*spread", message)
    assert tree(measured) == before


def test_a_sweep_of_which_nothing_is_finished_says_so(swept, tmp_path, refused):
    members.write(define(swept(TWO), tmp_path / "sweep"))
    assert "none of its members is measured" in refused(evaluate, tmp_path / "sweep")
    assert len(rows(tmp_path / "sweep")) == 2


@pytest.mark.parametrize("metric", ["fd_floor", "accuracy_real", "num_samples", "fd_gne", ""])
def test_what_has_no_best_chooses_no_member_and_nothing_is_measured(metric, swept, tmp_path, tree, refused):
    members.write(define(swept(TWO), tmp_path / "sweep"))
    before = tree(tmp_path)
    message = refused(evaluate, tmp_path / "sweep", [metric, "fd_gen"])
    assert re.search(rf"^--by {metric}: has no value that is best; choose one of .*fd_gen, .*spread", message)
    assert tree(tmp_path) == before


def test_the_mean_of_draws_is_best_where_its_signal_is_strongest(swept, tmp_path, monkeypatch, refused):
    members.write(define(swept(TWO), tmp_path / "sweep"))
    values, picture = {"low": 21.0, "high": 24.0}, np.zeros((4, 6, 3), np.uint8)
    measured = lambda found, member, plan: (  # noqa: E731
        {"mean_psnr": values[member.name], "latent_size": 3},
        picture,
    )
    monkeypatch.setattr(evaluation, "measure", measured)
    # What has no best can still be plotted.
    assert evaluate(tmp_path / "sweep", ["mean_psnr", "latent_size"])["name"] == "high"
    message = refused(evaluate, tmp_path / "sweep", "psnr")
    assert message.endswith("--by psnr: no member has that metric; choose one of mean_psnr")


class Reader(html.parser.HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_the_page_holds_everything_itself():
    given = [row("a", fd_gen=0.2, spread=0.9), row("bb", {"fd_gen": 0.05}, fd_gen=0.1, spread=0.8)]
    read = Reader(page.page("configs/x.py", given, ["fd_gen"], given[1]))
    addresses = [attributes[key] for _, attributes in read.tags for key in ("src", "href") if key in attributes]
    assert len(addresses) == 3  # a plot, and a picture a member
    for address in addresses:
        kind, _, content = address.partition(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).size > (1, 1)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in read.tags}
    assert "0.100 ± 0.050" in read.text and "Best by fd_gen: bb" in read.text
    cells = [attributes for tag, attributes in read.tags if tag == "td"]
    assert {cell["data-value"] for cell in cells if cell.get("class") == "best"} == {"0.1", "0.9"}


def test_a_member_that_ties_with_the_best_is_marked_otherwise():
    given = [row("a", {"fd_gen": 0.03}, fd_gen=0.2), row("bb", {"fd_gen": 0.05}, fd_gen=0.1), row("c", fd_gen=0.3)]
    cells = {attributes.get("data-value"): attributes.get("class") for _, attributes in read_tags(given)}
    assert (cells["0.1"], cells["0.2"], cells["0.3"]) == ("best", "best tie", None)


def read_tags(given):
    return [each for each in Reader(page.page("x.py", given, ["fd_gen"], given[1])).tags if each[0] == "td"]


def test_names_and_reasons_are_text_and_no_markup():
    given = [row("<b>x</b>", problems=["<script>alert(1)</script> & more"], fd_gen=1.0)]
    read = Reader(page.page("c&d.py", given, ["fd_gen"], given[0]))
    assert "b" not in {tag for tag, _ in read.tags} and [tag for tag, _ in read.tags].count("script") == 1
    assert "<script>alert(1)</script> & more" in read.text and "<b>x</b>" in read.text and "c&d.py" in read.text


def test_plots_are_of_settings_that_differ_and_of_each_metric_that_is_asked_for():
    given = [row("a", fd_gen=0.2, spread=0.9), row("bb", fd_gen=0.1, spread=0.8)]
    same = [dataclasses.replace(each, settings={**each.settings, "seed": 3}) for each in given]
    assert page.panels(same, ["fd_gen", "spread"]) == [
        (EPSILON, "fd_gen"),
        (EPSILON, "spread"),
    ]
    assert page.all_plots(same, ["fd_gen", "spread"]).shape == (320, 800, 3)


def test_a_curve_joins_members_that_are_alike_in_all_else():
    figure = plots.figure(4, 3)
    axes = figure.subplots()
    given = [
        Row(f"{n}{view}", {"data.paired": n, "view": view}, None, {"fd_gen": n / 7 + len(view)}, {}, 1, (), None)
        for view in ("all", "some")
        for n in (0, 10, 300)
    ]
    page.draw(axes, given, "data.paired", "fd_gen")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["view all", "view some"]
    lines = [container.lines[0].get_xydata() for container in axes.containers]
    np.testing.assert_allclose(lines[1], [(n, n / 7 + 4) for n in (0, 10, 300)])


def test_a_plot_shows_only_members_that_set_the_setting():
    given = [row("a", fd_gen=0.2), row("bb", fd_gen=0.1), Row("none", {}, None, {"fd_gen": 9.0}, {}, 1, (), None)]
    assert page.plot(given, EPSILON, "fd_gen").shape == (300, 400, 3)
    np.testing.assert_array_equal(
        page.plot(given, EPSILON, "fd_gen"),
        page.plot(given[:2], EPSILON, "fd_gen"),
    )
