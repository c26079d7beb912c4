"""A run's page: what it shows of a run, that it stands alone, and where it cannot be written."""

import dataclasses
import html.parser
import json
import shutil

import numpy as np
import pytest

from experiment_jax import evaluate, load_run
from experiment_jax.comparison.explained import plain
from experiment_jax.config.types import flat
from experiment_jax.metrics.directions import MEANINGS, directed
from experiment_jax.report import curves, images, latents
from experiment_jax.report.page import REAL, page, write
from experiment_jax.training.logger import read_metrics


class Reader(html.parser.HTMLParser):
    """Headings, the text, and the texts of the pictures."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.text, self.pictures, self._tag = [], "", [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._tag = tag
        self.pictures += [dict(attributes)["alt"]] if tag == "img" else []

    def handle_data(self, data):
        if self._tag not in ("style", "script"):
            self.text += data + "\n"
        if self._tag == "h2" and data.strip():
            self.headings.append(data)


@pytest.fixture(scope="module")
def shown(evaluated):
    """(run, metrics, the page's text, the page as it is read)."""
    run, metrics = evaluated
    text = page(run, metrics, "python eval.py --workdir '<here>' --report")
    return run, metrics, text, Reader(text)


def test_the_page_shows_all_that_there_is_of_a_run_and_stands_alone(shown):
    _, _, text, read = shown
    assert read.headings == [
        "Samples", "Reconstructions", "Nearest training images", "Latents", "Training: representation",
        "Training: matching", "What the metrics mean", "All that was measured", "Config", "Versions", "Command",
    ]  # fmt: skip
    assert "http:" not in text and "https:" not in text and "url(" not in text
    assert "python eval.py --workdir '<here>' --report" in read.text and "<here>" not in text
    for name in ("loss of matching against steps", "validation_spread of matching against steps"):
        assert name in read.pictures
    assert {"representation: reconstructions, step 4", "matching: samples, step 0"} <= set(read.pictures)
    assert {"latents of 450 real images", "latents of 450 samples"} <= set(read.pictures)


def test_every_value_and_setting_is_on_the_page_and_every_metric_of_the_table_is_explained(shown):
    run, metrics, _, read = shown
    lines = read.text.splitlines()
    assert not [key for key, value in metrics.items() if key not in lines or plain(value) not in lines]
    for key, sentence in MEANINGS.items():
        assert (sentence in read.text) == any(directed(each) == key for each in metrics)
    settings = flat({name: run.config[name] for name in ("data", "evaluation", *run.config.stages)})
    assert not [key for key in settings if key not in lines]
    assert "labeller.steps" not in lines  # a stage that the run does not have
    assert {REAL[key] for key in REAL} <= metrics.keys()


def test_validation_images_stand_where_the_protocol_names_them(evaluated):
    run = load_run(evaluated[0].workdir)
    read = Reader(page(run, {**evaluated[1], "protocol": "validation_20"}))
    assert "latents of 20 real images" in read.pictures and "Command" not in read.headings
    assert "test" not in vars(run)  # it was not read


def test_a_run_that_does_not_sample_has_a_page_without_samples(evaluated):
    run = evaluated[0]
    config = run.config.copy_and_resolve_references()
    with config.unlocked():
        config.stages = ("representation",)
    alone = dataclasses.replace(run, config=config, model=dataclasses.replace(run.model, sample=None))
    read = Reader(
        page(alone, {key: evaluated[1][key] for key in ("method", "dataset", "protocol", "judge", "fd_recon")})
    )
    assert read.headings[:3] == ["Reconstructions", "Latents", "Training: representation"]
    assert not [name for name in read.pictures if "samples" in name]


def test_losses_come_first_then_what_was_validated_and_norms_share_a_plot(shown):
    rows = [{"stage": "a", "step": 1, "b_norm": 1.0, "x": 1.0, "a_norm": 2.0, "loss": 3.0}]
    rows += [{"stage": "a", "step": 2, "validation_y": 1e-3, "x": -1.0}]
    assert curves.panels(rows) == {
        "loss": ["loss"], "validation_y": ["validation_y"], "x": ["x"], "norms": ["b_norm", "a_norm"]
    }  # fmt: skip
    assert curves.curves(rows, "other") == ""
    assert curves.plot(rows, ["x"]).shape == (240, 360, 3)
    assert {row["stage"] for row in read_metrics(shown[0].workdir)} == {"representation", "matching"}


def test_pictures_over_time_are_a_few_from_the_first_to_the_last(tmp_path):
    folder = tmp_path / "pictures" / "stage"
    for step in range(0, 900, 100):
        images.pictures.save(folder / f"{step:07d}_samples.png", np.zeros((2, 2, 3), np.uint8))
    (folder / "other.png").write_text("not of training")
    read = Reader(images.over_time(tmp_path, "stage"))
    assert read.pictures == [f"stage: samples, step {step}" for step in (0, 200, 400, 600, 800)]
    assert images.over_time(tmp_path, "none") == ""


def test_latents_of_one_number_and_images_without_a_class_are_drawn():
    points = latents._plane(np.arange(4.0)[:, None])
    drawn = latents.plot(points, np.asarray([-1, 0, 1, 40]), [rf"$\no{n}$" for n in range(50)], latents._limits(points))
    assert drawn.dtype == np.uint8 and drawn.ndim == 3 and drawn.std() > 0


def test_the_command_writes_the_page_beside_the_metrics_and_touches_nothing_else(script, copied, tree):
    before = tree(copied)
    status, _, error = script("eval.py", "--workdir", copied, "--num_samples", 90, "--report")
    path = copied / "eval" / "4" / "report.html"
    assert status == 0 and f"the page: {path}" in error.splitlines()
    text = path.read_text()
    assert f"python eval.py --workdir {copied} --num_samples 90 --report" in Reader(text).text
    changed = {str(name) for name, content in tree(copied).items() if before.get(name) != content}
    assert changed <= {"eval/4/report.html", "eval/4/metrics.json"}


def test_a_page_that_cannot_be_written_is_one_line_behind_the_metrics(script, copied):
    (copied / "eval" / "4" / "report.html").mkdir()  # in the way, for root as well
    status, output, error = script("eval.py", "--workdir", copied, "--num_samples", 90, "--report")
    assert status == 2 and "fd_gen" in json.loads(output.splitlines()[-1])
    assert "report.html: cannot be written (Is a directory)" in error.splitlines()[-1]
    shutil.rmtree(copied / "eval" / "4" / "report.html")
    assert not list((copied / "eval" / "4").glob(".*.html"))
    assert write(load_run(copied), evaluate(load_run(copied), num_samples=90)).is_file()
