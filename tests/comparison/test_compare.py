"""Comparisons: two tiny runs and one file of samples, and what is refused."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiment_jax import load_run
from experiment_jax.comparison import contenders
from experiment_jax.comparison.compare import check_directory, compare
from experiment_jax.comparison.compare_page import Comparison, differences, files
from experiment_jax.comparison.table import Row, best_of, numbers
from experiment_jax.data.split import Split
from experiment_jax.evaluation.evaluate import evaluate_images

TIMES = ("seconds", "latents_per_second")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture(scope="session")
def compared(evaluated, reseeded, tmp_path_factory):
    """(folder, result) of a comparison of a run that was evaluated, the same with another seed, and 100 test images."""
    folder = tmp_path_factory.mktemp("compared")
    run, _ = evaluated
    for name, seed in (("one", 0), ("two", 1)):
        shutil.copytree(run.workdir, folder / name)
        reseeded(folder / name, seed)
    shutil.rmtree(folder / "two" / "eval")
    np.savez(folder / "real.npz", images=run.test.images[:100], labels=run.test.labels[:100])
    paths = [folder / name for name in ("one", "two", "real.npz")]
    return folder, compare(paths, folder / "out", num_samples=90)


@pytest.fixture
def again(compared, tmp_path):
    """A copy of that folder."""
    return Path(shutil.copytree(compared[0], tmp_path / "again"))


def rows(folder):
    return {row["name"]: row for row in csv.DictReader(io.StringIO((folder / "out" / "compare.csv").read_text()))}


def metrics(folder, name):
    return json.loads((folder / name / "eval" / "4" / "metrics.json").read_text())


def test_the_table_holds_what_was_measured_to_the_last_digit(compared, evaluated):
    folder, result = compared
    found = rows(folder)
    assert list(found) == ["one", "two", "real.npz"] == list(result["runs"])
    real = Split(*(array[:100] for array in (evaluated[0].test.images, evaluated[0].test.labels)))
    chosen = contenders.choose(real, 90)
    expected = {
        "one": evaluated[1],
        "two": metrics(folder, "two"),
        "real.npz": evaluate_images(evaluated[0].config, chosen.images, chosen.labels, protocol="test_90"),
    }
    for name, own in expected.items():
        assert result["runs"][name] == own
        for key, value in own.items():
            if isinstance(value, int | float) and key not in TIMES:
                assert float(found[name][key]) == value, key
    assert not set(TIMES) & found["one"].keys()
    assert (result["protocol"], result["judge"]) == ("test_90", evaluated[1]["judge"])
    assert result["best"]["fd_gen"] == ["real.npz"] and "w1_latent" not in result["best"]


def test_the_page_stands_alone_and_says_what_it_shows(compared):
    folder, result = compared
    page = Path(result["page"]).read_text()
    assert "http:" not in page and "https:" not in page
    assert page.count('src="data:image/png;base64,') == 3 == page.count("src=")
    assert "<title>Comparison of 2 runs and 1 set of samples, digits</title>" in page
    assert "type --repeats 3" in page and "90 of its 100 images" in page and "the first two of each class" in page
    assert "fd_gen ↓" in page and "Fréchet distance of samples to real images" in page
    configs = page.split("What differs in the configs")[1].split("<h2>")[0]
    assert configs.count("<tr>") == 2 and "seed" in configs  # the head, and the one setting that differs
    markdown = (folder / "out" / "compare.md").read_text().splitlines()
    assert markdown[0].startswith("|  | method | `fd_gen` ↓ |") and markdown[2].startswith("| one | lsdm | ")
    assert "`w1_latent`" not in markdown[0] and any("`protocol` test_90" in line for line in markdown[5:])


def test_nothing_is_measured_twice_and_another_comparison_takes_the_place(again, tree, monkeypatch):
    edit(again / "one" / "eval" / "4" / "metrics.json", fd_gen=-0.5, fd_gen_se=0.25, repeats=3)
    edit(again / "two" / "eval" / "4" / "metrics.json", fd_gen=-0.1, fd_gen_se=0.0)
    before = {name: tree(again / name) for name in ("one", "two")}
    result = compare([again / "one", again / "two"], again / "out", protocol="test_90")
    assert {name: tree(again / name) for name in ("one", "two")} == before
    assert result["best"]["fd_gen"] == ["one", "two"]
    assert list(rows(again)) == ["one", "two"] and rows(again)["one"]["fd_gen_se"] == "0.25"
    page = (again / "out" / "compare.html").read_text()
    assert '"best tie" data-value="-0.1"' in page and "-0.50 ± 0.25" in page and "standard error" in page


def test_one_run_alone_is_a_table_without_a_best(again):
    result = compare([again / "one"], again / "alone", num_samples=90)
    assert result["best"] == {} and "configs" not in (again / "alone" / "compare.html").read_text()


def test_samples_alone_are_measured_by_the_given_config(again, evaluated, tree):
    run, own = evaluated
    np.savez(again / "unlabelled.npz", images=run.test.images[:90])
    result = compare([again / "unlabelled.npz", again / "real.npz"], again / "new", config=run.config, num_samples=90)
    assert result["judge"] == own["judge"]
    assert "accuracy_gen" not in result["runs"]["unlabelled.npz"] and "accuracy_gen" in result["runs"]["real.npz"]
    assert "their labels are not known" in (again / "new" / "compare.html").read_text()


def other_size(again):
    config = json.loads((again / "two" / "config.json").read_text())
    edit(again / "two" / "config.json", data={**config["data"], "size": 16})
    return ["one", "two"], {}, r"the numbers of one and two do not compare, their data.size are None and 16"


def other_judge(again):
    edit(again / "two" / "config.json", judge="configs/judge_digits.py:smoke")
    return ["one", "two"], {}, r"their judges are configs/judge_digits.py and configs/judge_digits.py:smoke; evaluate"


def other_protocol(again):
    config = json.loads((again / "two" / "config.json").read_text())
    edit(again / "two" / "config.json", evaluation={**config["evaluation"], "protocol": "test_60"})
    return ["one", "two"], {}, r"their protocols are test_70 and test_60; type --protocol test_70"


def unfinished(again):
    shutil.rmtree(again / "two" / "finished" / "matching")
    return ["one", "two"], {}, r"two: is not trained to the end; finish it"


def an_empty_folder(again):
    (again / "empty").mkdir()
    return ["one", "empty"], {}, r"empty: "


def a_folder_of_runs(again):
    return ["one", "."], {}, r"is no run but holds runs; name those"


def a_path_that_is_not_there(again):
    return ["one", "thre"], {}, r"thre: is not there; give runs' directories"


def a_run_twice(again):
    return ["one", "two", "two/../one"], {}, r"one: is given 2 times; give each once"


def too_few_samples(again):
    return ["one", "real.npz"], dict(num_samples=120), r"real.npz: has 100 images, .*test_120; type --num_samples 100"


def samples_without_a_config(again):
    return ["real.npz"], {}, r"samples do not say their data set; type --config configs/NAME.py too"


def samples_of_another_shape(again):
    np.savez(again / "wide.npz", images=np.random.default_rng(0).integers(0, 256, (90, 8, 9, 1), np.uint8))
    return ["one", "wide.npz"], dict(num_samples=90), r"^--compare .*wide.npz: .*8"


def a_directory_of_something_else(again):
    return ["one"], dict(out=again / "two"), r"--out .*two: is not empty and holds no comparison"


CASES = [
    other_size, other_judge, other_protocol, unfinished, an_empty_folder, a_folder_of_runs, a_path_that_is_not_there,
    a_run_twice, too_few_samples, samples_without_a_config, samples_of_another_shape, a_directory_of_something_else,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_cannot_be_compared_is_refused_in_one_line_and_nothing_is_written(case, again, refused, tree):
    names, options, message = case(again)
    before = tree(again)
    options = dict(out=again / "new") | options
    assert re.search(message, refused(compare, [again / name for name in names], **options))
    assert tree(again) == before and not (again / "new").exists()


def test_an_output_is_new_empty_or_a_comparison(tmp_path, refused):
    for name in ("empty", "comparison", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "comparison" / "compare.html").touch()
    (tmp_path / "other" / "notes.txt").touch()
    for name in ("empty", "comparison", "new/and/deep"):
        check_directory(tmp_path / name)
    assert "choose another --out" in refused(check_directory, tmp_path / "other")
    for path in ("other/notes.txt", "other/notes.txt/below"):
        assert "cannot be made in" in refused(check_directory, tmp_path / path)


def test_names_are_the_last_part_and_as_many_before_as_tell_apart():
    paths = [Path(path) for path in ("/a/x/run", "/b/x/run", "/b/y/run", "/c/other", "/c/run.npz")]
    assert contenders.names([Path("/a/b/../c/.")]) == ["c"]
    assert contenders.names(paths) == ["a/x/run", "b/x/run", "y/run", "other", "run.npz"]


def test_samples_are_chosen_by_chance_and_the_same_each_time():
    split = Split(np.arange(1000, dtype=np.uint8).reshape(1000, 1, 1, 1), np.arange(1000, dtype=np.int32))
    chosen = contenders.choose(split, 300)
    assert len(set(chosen.labels)) == 300 and (np.diff(chosen.labels) > 0).all()
    np.testing.assert_array_equal(chosen.labels, contenders.choose(split, 300).labels)
    assert abs(chosen.labels.mean() - 499.5) < 4 * 1000 / np.sqrt(12 * 300)
    assert contenders.choose(split, 1000) is split


def test_settings_that_are_equal_or_of_a_stage_that_one_has_alone_are_left_out():
    one = {"a": {"b": 1, "c": (1, 2), "d": None}, "e": 0.5, "mine": {"x": 1}}
    two = {"a": {"b": 2, "c": [1, 2]}, "e": 0.5, "f": None, "shared": {"y": 1, "z": 1}}
    three = {"a": {"b": 2, "c": [1, 2], "d": None}, "e": 0.5, "f": None, "shared": {"y": 1, "z": 2}}
    assert differences([one, two]) == {"a.b": [(1,), (2,)], "a.d": [(None,), None], "f": [None, (None,)]}
    assert differences([one, two, three])["shared.z"] == [None, (1,), (2,)]
    assert not {"shared.y", "mine.x"} & differences([one, two, three]).keys()
    assert differences([one, one]) == {} == differences([])


def samples(name, **own):
    """(contender, row, metrics) of four samples."""
    split = Split(np.zeros((4, 8, 8, 1), np.uint8), np.full(4, -1, np.int32))
    measured = {"method": "images", "dataset": "digits", "protocol": "test_4", "judge": "abc", "fd_gen": 1.0} | own
    values, errors = numbers(measured)
    row = Row(name, {}, None, values, errors, 1, (), np.zeros((8, 8, 3), np.uint8))
    return contenders.Contender(name, Path(name), None, split), row, measured


def test_a_page_says_what_weakens_its_numbers_and_takes_names_for_text():
    found = [samples("<i>a</i>|b", fd_gen_vgg16=2.0), samples("c", dataset="/elsewhere/digits", w1_latent=1.0)]
    whole, rows, measured = zip(*found, strict=True)
    metrics = dict(zip([row.name for row in rows], measured, strict=True))
    made = files(Comparison(whole, rows, metrics, best_of(rows), "test_4"))
    assert "<i>" not in made["compare.html"] and "&lt;i&gt;a&lt;/i&gt;|b" in made["compare.html"]
    assert "| <i>a</i>\\|b | **1** | 2 |" in made["compare.md"]
    for text in (made["compare.html"], made["compare.md"]):
        assert "No best is marked of w1_latent" in text and "--repeats" not in text
    assert "such as fd_gen_vgg16" in made["compare.html"] and "configs" not in made["compare.html"]


def test_the_second_run_has_another_seed_and_so_other_samples(compared):
    one, two = (load_run(compared[0] / name) for name in ("one", "two"))
    assert one.config.seed != two.config.seed
    assert compared[1]["runs"]["one"]["fd_gen"] != compared[1]["runs"]["two"]["fd_gen"]


def test_a_comparison_of_fewer_does_not_replace_one_of_more(again, caplog):
    before = {name: (again / "out" / name).read_text() for name in ("compare.html", "compare.csv", "compare.md")}
    compare([again / "one", again / "two"], again / "out", num_samples=90)
    assert list(rows(again)) == ["one", "two"] and "it is compare-3.html now" in caplog.text
    assert {name: (again / "out" / name.replace(".", "-3.")).read_text() for name in before} == before
