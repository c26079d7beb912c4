"""Places that a person types: what they mean from every folder, and what is no place here."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_jax import UserError, evaluate, load_config, load_run, train
from experiment_jax.comparison.compare import compare
from experiment_jax.config.places import lasting, lasting_data, place
from experiment_jax.evaluation.enlarge import enlarge
from experiment_jax.evaluation.files import read_images
from experiment_jax.evaluation.kept_reference import keep_reference
from experiment_jax.extractors import judges, references
from experiment_jax.networks.pretrained import inception
from experiment_jax.runs import directory
from experiment_jax.sweep import members

DATA = Path(__file__).parents[1] / "data"
BUCKET = "gs://bucket/thing"


def test_a_home_is_expanded_and_nothing_need_be_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place("~/runs/x", "--workdir") == tmp_path / "runs" / "x"
    assert place(Path("~"), "--workdir") == tmp_path
    for own in ("runs/x", "a:b", "configs/x.py:smoke", "/", ".", "x~", "gs:"):
        assert place(own, "--workdir") == Path(own)


@pytest.mark.parametrize(
    "text",
    [BUCKET, "s3://b", "file:///tmp", "gs:/b", "~nobody-of-this-name/x", "", None, 3, b"runs", "a\0b", "x" * 5000, []],
)
def test_what_is_no_place_here_is_refused(text, refused):
    assert refused(place, text, "--workdir").startswith("--workdir ")


def test_a_place_below_a_file_is_refused(tmp_path, refused):
    (tmp_path / "file").touch()
    assert "lies below a file" in refused(place, tmp_path / "file" / "run", "--workdir")


@given(st.text(max_size=40))
def test_whatever_text_is_a_place_or_one_line(text):
    try:
        assert isinstance(place(text, "--workdir"), Path)
    except UserError as error:
        assert "\n" not in str(error)


CALLS = {
    "--workdir": lambda config, run: train(config, BUCKET),
    "--workdir of a run": lambda config, run: load_run(BUCKET),
    "--workdir of a sweep": lambda config, run: members.read(BUCKET),
    "--config": lambda config, run: load_config(f"{BUCKET}.py:smoke"),
    "--config.matching.from_run": lambda config, run: load_config("lsdm_digits", {"matching.from_run": BUCKET}),
    "--images": lambda config, run: read_images(BUCKET, config.data),
    "--compare": lambda config, run: compare([BUCKET]),
    "--out": lambda config, run: compare([run.workdir], BUCKET),
    "--save_reference": lambda config, run: keep_reference(config, f"{BUCKET}.npz"),
    "--reference": lambda config, run: references.read(f"{BUCKET}.npz"),
    "judge": lambda config, run: evaluate(run, judge=BUCKET),
    "--inception_weights": lambda config, run: inception.load(f"{BUCKET}.pth"),
    "data.name": lambda config, run: load_config_data(BUCKET),
}


def load_config_data(name):
    return train(load_config("lsdm_digits", {"data.name": name}), "never")


@pytest.mark.parametrize("call", CALLS)
def test_a_bucket_is_refused_wherever_a_path_is_typed_and_no_folder_is_made(
    call, finished, digits, refused, tmp_path, monkeypatch
):
    run, config = load_run(finished[1]), digits()
    monkeypatch.chdir(tmp_path)
    message = refused(CALLS[call], config, run)
    assert message.startswith(call.split(" ")[0]) and BUCKET in message
    assert not any(tmp_path.iterdir())


def test_homes_are_expanded_wherever_a_path_is_typed(finished, digits, tmp_path, monkeypatch, request):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(finished[1], tmp_path / "run")
    shutil.copytree(DATA / "tiny_digits", tmp_path / "tiny_digits")
    shutil.copy(request.config.rootpath / "configs" / "lsdm_digits.py", tmp_path / "own.py")
    assert load_run("~/run").workdir == tmp_path / "run"
    own = load_config("~/own.py:smoke", {"data.name": "~/tiny_digits/1.0.0", "matching.from_run": "~/run"})
    assert own.data.name == str(tmp_path / "tiny_digits" / "1.0.0")
    assert own.matching.from_run == str(tmp_path / "run")
    keep_reference(digits(), "~/reference.npz")
    assert references.read("~/reference.npz").path == "~/reference.npz"
    images = load_run("~/run").test.images
    np.savez(tmp_path / "images.npz", images=images)
    np.testing.assert_array_equal(read_images("~/images.npz", digits().data).images, images)
    judge = request.config.rootpath / "judges" / "digits"
    shutil.copytree(judge, tmp_path / "judge")
    assert judges.find("~/judge", digits().data, None).digest == judges.find(str(judge), digits().data, None).digest
    assert "holds no sweep" in _line(members.read, "~/run")
    assert f"the run in {tmp_path / 'run'} enlarges no images" in _line(enlarge, load_run("~/run"), "~/a", "~/b.png")
    assert not [path for path in Path.cwd().iterdir() if path.name.startswith("~")]


def _line(call, *arguments):
    with pytest.raises(UserError) as error:
        call(*arguments)
    return str(error.value)


def test_what_a_config_names_is_the_same_from_every_folder(tmp_path, monkeypatch, request, tiny):
    shutil.copytree(DATA / "tiny_digits", tmp_path / "tiny_digits")
    shutil.copy(request.config.rootpath / "configs" / "judge_digits.py", tmp_path / "mine.py")
    monkeypatch.chdir(tmp_path)
    names = {"data.name": "digits+tiny_digits/1.0.0", "judge": "mine.py:smoke", "representation.from_run": "run"}
    here = load_config("lsdm_digits", {**names, "witnesses": ("configs/resnet_digits.py:cpu",)})
    assert here.data.name == f"digits+{tmp_path}/tiny_digits/1.0.0"
    assert here.judge == f"{tmp_path}/mine.py:smoke" and here.representation.from_run == f"{tmp_path}/run"
    assert here.witnesses == ("configs/resnet_digits.py:cpu",)  # shipped: found from everywhere by that name
    monkeypatch.chdir(request.config.rootpath)
    assert load_config("lsdm_digits").judge == "configs/judge_digits.py" == lasting("configs/judge_digits.py")
    assert lasting_data("mnist") == "mnist" and lasting_data("tests/data/tiny_digits/1.0.0").startswith(os.sep)


def test_a_run_goes_on_however_its_data_is_written(tmp_path, monkeypatch, tiny):
    shutil.copytree(DATA / "tiny_digits", tmp_path / "tiny_digits")
    monkeypatch.chdir(tmp_path)
    config = tiny(data__name="tiny_digits/1.0.0", representation__from_run="some/run")
    with config.unlocked():
        config.data.name = "tiny_digits/1.0.0"  # as older versions wrote it
    directory.write_config(tmp_path / "run", config)
    again = tiny(data__name=f"{tmp_path}/tiny_digits/1.0.0", representation__from_run="moved/run")
    assert directory.check(tmp_path / "run", again) == []


def test_a_witness_that_is_no_name_is_refused(refused):
    assert refused(load_config, "lsdm_digits", {"witnesses": (0,)}).startswith("--config.witnesses=(0,)")
