"""The two entry scripts: what they print, what they write, and what they refuse in one line."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from experiment_jax import Stopped, load_config, load_run, train
from experiment_jax.commands import command_line, process
from experiment_jax.config.load import override, split_overrides
from experiment_jax.data import load as data
from experiment_jax.runs import directory

PROJECT = Path(__file__).resolve().parent.parent
DIGITS = "configs/lsdm_digits.py"
SMOKE = f"{DIGITS}:smoke"
# Eight devices cannot share the smoke test's batches of 20.
SHARED = ["--config.representation.batch_size=16", "--config.matching.batch_size=40"]


def python(*arguments, **environment):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The directory of a run that `train.py` made of the shipped smoke variant, on one device."""
    workdir = tmp_path_factory.mktemp("smoke") / "run"
    done = python("train.py", "--config", SMOKE, "--workdir", workdir, XLA_FLAGS="")
    assert done.returncode == 0, done.stderr
    return workdir


KEYS = {
    "method", "dataset", "step", "num_samples", "nfe", "images_per_second", "seconds", "judge", "protocol",
    "fd_gen", "fd_recon", "fd_gen_vs_recon", "fd_floor", "fd_extractor",
    "accuracy_gen", "accuracy_recon", "accuracy_real", "w1_latent", "w1_latent_floor", "spread", "fidelity",
}  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(smoke, tmp_path_factory):
    """(directory, standard output) of `eval.py` on a copy of the smoke run."""
    workdir = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(smoke, workdir)
    done = python("eval.py", "--workdir", workdir, "--num_samples", 70, "--save_samples", 23)
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


def test_the_last_line_is_the_metrics_flat_and_they_are_written(evaluated):
    workdir, output = evaluated
    metrics = json.loads(output.splitlines()[-1])
    assert metrics.keys() >= KEYS
    assert not any(isinstance(value, dict | list) for value in metrics.values())
    assert (metrics["method"], metrics["dataset"], metrics["step"]) == ("lsdm", "digits", 2)
    assert metrics["num_samples"] == 70 and metrics["nfe"] == 1
    assert not {"psnr", "cas"} & metrics.keys()  # what does not apply is absent
    assert all(np.isfinite(value) for value in metrics.values() if isinstance(value, float))
    assert json.loads((workdir / "eval" / "2" / "metrics.json").read_text()) == metrics


def test_the_picture_has_a_row_a_class_and_more(evaluated):
    with Image.open(evaluated[0] / "eval" / "2" / "samples.png") as picture:
        width, height = picture.size
        assert width >= 10 * 32 and height > width  # ten rows of ten samples, and reconstructions below


def test_saved_samples_are_bytes_with_their_labels(evaluated):
    [path] = (evaluated[0] / "eval" / "2").glob("*.npz")
    with np.load(path) as saved:
        assert saved["images"].shape == (23, 8, 8, 1) and saved["images"].dtype == np.uint8
        assert saved["labels"].shape == (23,) and set(saved["labels"]) <= set(range(10))
    np.testing.assert_array_equal(load_run(evaluated[0]).sample(saved_labels(path)).images, saved_images(path))


def saved_labels(path):
    with np.load(path) as saved:
        return saved["labels"]


def saved_images(path):
    with np.load(path) as saved:
        return saved["images"]


def test_sample_i_depends_on_key_i_and_not_on_the_batch(finished):
    run = load_run(finished[1])
    labels = np.arange(23, dtype=np.int32) % 10
    whole, few = run.sample(labels, seed=3), run.sample(labels[:7], seed=3)
    # Not bit by bit: the compiler multiplies matrices of other shapes in another order.
    np.testing.assert_allclose(whole.latents[:7], few.latents, rtol=1e-5, atol=1e-5)
    keys = jax.random.split(jax.random.key(1), 11)
    latents = run.model.sample(run.model.params, keys, labels[:11]).latents
    backwards = run.model.sample(run.model.params, keys[::-1], labels[:11][::-1]).latents
    np.testing.assert_allclose(latents, backwards[::-1], rtol=1e-5, atol=1e-5)
    other = run.model.sample(run.model.params, keys.at[4].set(jax.random.key(2)), labels[:11]).latents
    same = np.isclose(latents, other, rtol=1e-5, atol=1e-5).all(axis=1)
    np.testing.assert_array_equal(same, np.arange(11) != 4)
    assert not np.allclose(run.sample(labels, seed=4).latents, whole.latents)


def test_latents_alone_are_those_of_the_samples(finished):
    run = load_run(finished[1])
    labels = np.arange(23, dtype=np.int32) % 10
    np.testing.assert_allclose(
        run.sample_latents(labels, seed=3), run.sample(labels, seed=3).latents, rtol=1e-5, atol=1e-6
    )


def test_sampling_in_parts_gives_the_same_samples(finished):
    run = load_run(finished[1])
    labels = np.arange(23, dtype=np.int32) % 10
    whole = run.sample(labels)
    config = run.config.copy_and_resolve_references()
    with config.unlocked():
        config.evaluation.batch_size = 5
    parts = dataclasses.replace(run, config=config)
    np.testing.assert_allclose(parts.sample(labels).latents, whole.latents, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("path", sorted((PROJECT / "configs").glob("*.py")), ids=lambda path: path.stem)
def test_the_smoke_variant_of_every_shipped_config_trains(path, one, tmp_path, request, monkeypatch):
    # Thin networks, and of larger sets a part: it is the config's stages that are tested, and compiling the networks at
    # their own widths and passing over everything would take minutes.
    config = load_config(f"{path}:smoke")
    widths = {f"{stage}.widths": len(config[stage].widths) for stage in config.stages if "widths" in config[stage]}
    own = {} if config.data.name else {"data.name": "digits", "data.size": 32}  # a recipe for any set
    config = load_config(f"{path}:smoke", {key: (4,) * levels for key, levels in widths.items()} | own)
    name = config.data.name
    if name != "digits":
        root = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
        if not (root / name).is_dir() and not Path(name).is_dir():
            pytest.skip(f"needs the data set {name}, which is not in {root} (TFDS_DATA_DIR)")
        read = data.read

        def first(section, split):
            whole, names = read(section, split)
            return whole.take(np.arange(min(len(whole), 3000))), names

        monkeypatch.setattr(data, "read", first)
    if path.stem == "lsdm_digits":
        workdir = request.getfixturevalue("smoke")  # which train.py has trained already
    else:
        train(config, workdir := tmp_path, one)
    run = load_run(workdir)
    assert list(run.model.params) == list(config.stages)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.model.params))
    assert run.step == config[config.stages[-1]].steps


def test_overrides_take_an_equals_sign_or_a_space(refused):
    arguments = ["--config", "x.py", "--config.a.b=1", "--workdir", "d", "--config.c", "2=3"]
    assert split_overrides(arguments) == (["--config", "x.py", "--workdir", "d"], {"a.b": "1", "c": "2=3"})
    assert "needs a value" in refused(split_overrides, ["--config.a.b"])


@pytest.fixture(scope="module")
def corrupt(tmp_path_factory):
    """A prepared set with a damaged shard, and one of TFRecords."""
    folders = []
    for name in ("corrupt", "tfrecord"):
        folder = tmp_path_factory.mktemp(name) / "tiny_digits" / "1.0.0"
        folders.append(Path(shutil.copytree(PROJECT / "tests" / "data" / "tiny_digits" / "1.0.0", folder)))
    shard = folders[0] / "tiny_digits-train.array_record-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:1000])
    information = folders[1] / "dataset_info.json"
    information.write_text(information.read_text().replace('"array_record"', '"tfrecord"'))
    return dict(zip(("corrupt", "tfrecord"), map(str, folders), strict=True))


BAD_CONFIG = {
    "unknown key": (["--config.matching.stepz=3"], "did you mean --config.matching.steps"),
    "wrong type": (["--config.matching.steps=many"], "expected int, as in --config.matching.steps="),
    "no value": (["--config.matching.steps"], "needs a value"),
    "unknown flag": (["--verbose"], "type train.py --help"),
    "two units": (["--config.matching.epochs=3", "--config.matching.steps=3"], "exactly one of"),
    "missing set": (["--config.data.name=no_such_set"], "data.name=no_such_set"),
    "missing folder": (["--config.data.name=/no/such/folder"], "data.name=/no/such/folder"),
    "corrupt set": (["--config.data.name={corrupt}"], "tfds build tiny_digits --file_format=array_record"),
    "TFRecord": (["--config.data.name={tfrecord}"], "tfds build tiny_digits --file_format=array_record"),
    "unprepared": (["--config.data.name=mnist"], "tfds build mnist --file_format=array_record"),
    "too many pairs": (["--config.data.paired=5000"], "type --config.data.paired=1190"),
    "indivisible pairs": (["--config.data.paired=101"], "type --config.data.paired=100"),
    "sides": (["--config.representation.widths=(4,4,4,4)"], "8x8 images cannot be halved 4 times"),
    "strata": (["--config.matching.batch_size=16"], "10 classes cannot share it"),
    "no sampling steps": (
        ["--config.matching.matcher=score", "--config.matching.score.sampling_steps=0"],
        "matching.score.sampling_steps=0: give 1 or more",
    ),
    "epsilon": (
        ["--config.matching.matcher=flow", "--config.matching.flow.epsilon=0"],
        "matching.flow.epsilon=0.0: give a pos",
    ),
    "devices": (["--config.representation.batch_size=12"], "8 devices cannot share it"),
    "view": (["--config.matching.view=all"], "type --config.matching.view=paired"),
    "build": (["--config.matching.build=os:system"], "matching.build=os:system: give package.module:function"),
    "stages": (["--config.stages=('matching',)"], "needs a stage before it that encodes and decodes"),
    "no such stage": (["--config.stages=('data',)"], "no section for a stage data"),
    "optimiser": (["--config.matching.optimiser.name=adamant"], "choose adam"),
    "optimiser of the critic": (
        ["--config.matching.matcher=critic", "--config.matching.critic.optimiser.schedule=stepwise"],
        "choose cosine or constant",
    ),
    "kind": (["--config.representation.kind=vqvae"], "choose one of autoencoder, vae, wae, rae, identity"),
    "weight": (
        ["--config.representation.kind=vae", "--config.representation.vae.kl=-1"],
        "vae.kl=-1.0: give 0 or more",
    ),
    "components": (
        ["--config.matching.matcher=gmm", "--config.matching.gmm.components=0"],
        "gmm.components=0: give 1 or more",
    ),
    "nothing to train": (["--config.matching.matcher=prior"], "type --config.matching.steps=0"),
    "pixels": (["--config.representation.kind=identity"], "type --config.representation.steps=0"),
    "seed": (["--config.seed=-1"], "seed=-1"),
    "best": (["--config.matching.best=colour"], "choose one of"),
    "on_nonfinite": (["--config.matching.on_nonfinite=go"], "matching.on_nonfinite=go: choose one of stop, skip"),
    "no run to take from": (["--config.representation.from_run=/no/such/run"], "/no/such/run"),
}


@pytest.mark.parametrize("case", BAD_CONFIG)
def test_train_refuses_in_one_line_and_touches_nothing(case, script, corrupt, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    arguments, reason = BAD_CONFIG[case]
    arguments = [each.format(**corrupt) for each in arguments]
    workdir = tmp_path / "run"
    order = [*arguments, "--workdir", workdir] if case != "no value" else ["--workdir", workdir, *arguments]
    status, output, error = script("train.py", "--config", SMOKE, *SHARED, *order)
    assert (status, output) == (2, "")
    assert len(error.splitlines()) == 1 and error.startswith("train.py: ") and reason in error
    assert not workdir.exists()


BOTH = """
import sys
from experiment_jax.commands.scripts import evaluate, train
own = sys.argv[1:]
for command, arguments in ((train, ["--config", "configs/lsdm_digits.py"]), (evaluate, [])):
    sys.argv = ["command", *own, *arguments]
    try:
        command()
    except SystemExit as left:
        print(left.code)
"""


LARGE = ("jax", "scipy", "sklearn", "matplotlib", "orbax", "tensorflow_datasets", "grain", "PIL")
READ = """
import sys
from experiment_jax.commands.scripts import evaluate, train
for command, *arguments in COMMANDS:
    sys.argv = ["command", *arguments]
    try:
        {"train": train, "evaluate": evaluate}[command]()
    except SystemExit as left:
        print(left.code, file=sys.stderr)
print(sorted(set(LARGE) & set(sys.modules)), file=sys.stderr)
"""


def test_help_and_what_is_mistyped_need_not_wait_for_jax(tmp_path):
    commands = [
        ["train", "--help"],
        ["evaluate", "--help"],
        ["train", "--config", "lsdm_digits", "--config.seed=x", "--workdir", str(tmp_path / "run")],
        ["train", "--config", "regene_digits", "--seeds", "2", "--distributed", "--workdir", str(tmp_path / "run")],
        ["evaluate", "--workdir", str(tmp_path / "run"), "--input", "low.png"],
    ]
    done = python("-c", READ.replace("COMMANDS", repr(commands)).replace("LARGE", repr(LARGE)))
    told = done.stderr.splitlines()
    assert [line for line in told if line.isdigit()] == ["0", "0", "2", "2", "2"], done.stderr
    assert len(told) == 9 and told[-1] == "[]"
    assert "--config.seed=x: expected int" in told[2] and not (tmp_path / "run").exists()


def test_every_shipped_config_is_read_without_jax():
    names = [path.stem for path in (PROJECT / "configs").glob("*.py")]
    program = f"import sys\nfrom experiment_jax import load_config\nfor name in {names}: load_config(name)\n"
    done = python("-c", f"{program}print(sorted(set({LARGE}) & set(sys.modules)))")
    assert done.stdout == "[]\n", done.stderr


def test_a_device_that_is_not_there_is_said_in_one_line_before_anything_is_written(tree, tmp_path):
    # Where JAX is installed for GPUs there may be one.
    platform = "nonsense" if any(find_spec(f"jax_cuda{number}_plugin") for number in (12, 13)) else "cuda"
    directory.write_config(tmp_path, load_config("lsdm_digits"))  # of a run that has not begun
    before = tree(tmp_path)
    done = python("-c", BOTH, "--workdir", tmp_path, JAX_PLATFORMS=platform)
    assert done.stdout == "2\n2\n", done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith(f"command: JAX_PLATFORMS={platform}: there is no such device (")
        assert "; type JAX_PLATFORMS=cpu, or install JAX for it" in line
    assert tree(tmp_path) == before


def test_too_little_memory_names_the_stage_and_what_to_type(script, tmp_path):
    # 10 TB of parameters; the machine has less.
    wide = "--config.representation.widths=(262144,262144)"
    status, _, error = script("train.py", "--config", SMOKE, *SHARED, wide, "--workdir", tmp_path / "run")
    line = error.splitlines()[-1]
    assert status == 2 and "Traceback" not in error
    assert line.startswith("train.py: representation: there is too little memory (Out of memory allocating ")
    assert line.endswith(
        "type --config.representation.batch_size=8 with another --workdir, or --config.data.resident=false"
    )


ENDS = {
    "Ctrl-C": (KeyboardInterrupt(), 130, "interrupted; type the same command again"),
    "SIGTERM": (Stopped("stage stopped at step 3 of 4"), 143, "stage stopped at step 3 of 4; type the same command"),
    "SIGUSR1": (Stopped("stage stopped at step 3 of 4", signal.SIGUSR1), 138, "type the same command again"),
    "host": (MemoryError("Unable to allocate 8.00 PiB for an array"), 2, "memory (Unable to allocate 8.00 PiB for an"),
    "device": (
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12 bytes."),
        2,
        "memory (Out of memory while trying to allocate 12 bytes); take a device with more",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_command_that_ends_early_says_so_in_one_line_and_by_its_status(end, capsys):
    error, status, reason = ENDS[end]

    @process.prepared()
    def main():
        raise error

    with pytest.raises(SystemExit) as left:
        command_line.run(main)
    message = capsys.readouterr().err
    assert left.value.code == status and reason in message and len(message.splitlines()) == 1


def test_other_errors_of_jax_are_bugs_and_keep_their_traceback():
    @process.prepared()
    def main():
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        command_line.run(main)


STAGES = {  # of every kind that is trained
    "representation": DIGITS, "matching": DIGITS, "regression": "configs/lsdm_sr_digits.py",
    "classifier": "configs/regene_digits.py", "decoder": "configs/regene_digits.py",
    "perceptual": "configs/study_unpaired.py:digits", "labeller": "configs/study_unpaired.py:digits",
}  # fmt: skip


LATE = [
    *((stage, "optimiser.name", "adamant", "choose adam or sgd") for stage in STAGES),
    *((stage, "optimiser.schedule", "stepwise", "choose cosine or constant") for stage in STAGES),
    *(
        (stage, "compute", "float16", "compute=float16: choose one of float32, bfloat16")
        for stage in ("representation", "classifier", "decoder", "perceptual")
    ),
]


@pytest.mark.parametrize(("stage", "key", "value", "reason"), LATE)
def test_what_only_training_a_stage_reads_is_refused_before_anything_is_written(
    stage, key, value, reason, tmp_path, one, refused
):
    config = load_config(STAGES[stage])
    with config.unlocked():
        config.stages = tuple({**dict.fromkeys(config.stages), stage: None})
    override(config, {f"{stage}.{key}": value})
    assert reason in refused(train, config, tmp_path / "run", one)
    assert not (tmp_path / "run").exists()


def test_train_refuses_a_misfit_and_the_directory_of_another_config(script, finished, tmp_path, tree):
    _, workdir = finished
    before = tree(workdir)
    arguments = ["--config", SMOKE, *SHARED, "--workdir"]
    status, output, error = script("train.py", *arguments, workdir)
    assert (status, output, len(error.splitlines())) == (2, "", 1) and "choose another --workdir" in error
    assert tree(workdir) == before
    taking = f"--config.representation.from_run={workdir}"
    status, output, error = script("train.py", *arguments, tmp_path / "run", taking)
    assert (status, output, len(error.splitlines())) == (2, "", 1) and "(4,) there" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [(f"{DIGITS}:tiny", "choose one of"), ("configs/lsdm_digit.py", "lsdm_digits"), (None, "--config")],
)
def test_train_refuses_unknown_configs(spec, reason, script, tmp_path):
    arguments = ["--config", spec] if spec else []
    status, output, error = script("train.py", *arguments, "--workdir", tmp_path / "run")
    assert (status, output, len(error.splitlines())) == (2, "", 1) and reason in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--config", "configs/judge_digits.py", "--sweep"], "defines no sweep()"),
        (["--config", DIGITS, "--sweep", "--config.matching.sinkhorn.epsilon=1"], "the sweep sets it itself"),
        (["--config", SMOKE, *SHARED, "--seeds", "2", "--sweep_index", "2"], "the members are numbered from 0 to 1"),
        (["--config", DIGITS, "--seeds", "0"], "0 is not a positive number"),
        (["--config", DIGITS, "--sweep", "--sweep_together"], "differ in matching.matcher (sinkhorn, flow)"),
        (["--config", DIGITS, "--seeds", "2", "--sweep_together", "--sweep_index", "0"], "leave one of them out"),
        (["--config", SMOKE, "--seeds", "2"], "member lsdm_digits-smoke-seed0: representation.batch_size=20: 8 dev"),
    ],
)
def test_train_refuses_sweeps_in_one_line_and_touches_nothing(arguments, reason, script, tmp_path):
    status, output, error = script("train.py", *arguments, "--workdir", tmp_path / "sweep")
    assert (status, output) == (2, "")
    assert len(error.splitlines()) == 1 and error.startswith("train.py: ") and reason in error
    assert not (tmp_path / "sweep").exists()


def test_a_list_of_members_is_printed_and_nothing_is_written(script, tmp_path):
    status, output, _ = script("train.py", "--config", DIGITS, "--workdir", tmp_path / "sweep", "--sweep_list")
    lines = output.splitlines()
    assert status == 0 and len(lines) > 1 and not (tmp_path / "sweep").exists()
    assert lines[1].startswith("python ") and "train.py --config configs/lsdm_digits.py --workdir " in lines[1]
    assert " --sweep_index 1  # sinkhorn-1: matching.matcher=sinkhorn matching.sinkhorn.epsilon=1.0" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--workdir", "{empty}"], "holds no run; train one"),
        (["--workdir", "{run}", "--sweep"], "holds no sweep; train one"),
        (["--workdir", "{run}", "--by", "spread"], "type --sweep too"),
        (["--workdir", "{run}", "--sweep", "--step", "4"], "--step: is of one run"),
        (
            ["--workdir", "{run}", "--sweep", "--by", "fd_floor"],
            "--by fd_floor: has no value that is best; choose one of",
        ),
        (["--workdir", "{run}", "--sweep", "--bound"], "--bound: is of one run, not of a sweep (--sweep)"),
        (
            ["--images", "x.npz", "--config", DIGITS, "--cas"],
            "--cas: is of one run or a sweep or a comparison, not of anybody's",
        ),
        (["--workdir", "{run}", "--step", "3"], "matching has no such checkpoint; it has 2, 4"),
        (["--workdir", "{run}", "--step", "three"], "invalid int value"),
        (["--workdir", "{run}", "--num_samples", "-5"], "num_samples"),
        (["--workdir", "{run}", "--num_samples", "0"], "num_samples"),
        (["--workdir", "{run}", "--save_samples", "-5"], "save_samples"),
        (["--workdir", "{run}", "--protocol", "all"], "protocol=all"),
        ([], "--workdir"),
    ],
)
def test_eval_refuses_in_one_line_and_touches_nothing(arguments, reason, script, finished, tmp_path, tree):
    _, workdir = finished
    before = tree(workdir)
    places = dict(empty=tmp_path, run=workdir)
    status, output, error = script("eval.py", *[each.format(**places) for each in arguments])
    assert (status, output) == (2, "")
    assert len(error.splitlines()) == 1 and error.startswith("eval.py: ") and reason in error
    assert tree(workdir) == before and not any(tmp_path.iterdir())


FLAGS = {  # every flag of eval.py, with a value that it takes
    "workdir": ["{run}"], "step": ["0"], "num_samples": ["7"], "protocol": ["test_40"], "cas": [],
    "figures": ["a:b"], "bound": [], "save_samples": ["7"], "sweep": [], "by": ["fd_gen"],
    "input": ["low.png"], "output": ["high.png"], "images": ["x.npz"], "config": [DIGITS],
    "repeats": ["3"], "judge": ["judges/digits"], "extractor": ["vgg16"], "inception_weights": ["x.pth"],
    "reference": ["x.npz"], "lpips": [], "save_judge": ["x"], "save_reference": ["x.npz"],
    "compare": ["{run}"], "out": ["x"], "export": ["x.bin"], "report": [],
}  # fmt: skip
NETWORKS = ["extractor", "inception_weights", "judge"]
MEASURED = ["num_samples", "protocol", "cas", "repeats", "lpips", "reference", *NETWORKS]
TAKEN = {  # by what a person asks for: the flags that ask for it, and those that may stand beside them
    "run": (["workdir"], ["step", *MEASURED, "figures", "bound", "save_samples", "report"]),
    "sweep": (["workdir", "sweep"], ["by", *MEASURED]),
    "images": (["images", "config"], ["protocol", "reference", *NETWORKS]),
    "judge": (["save_judge", "workdir", "config"], []),
    "reference": (["save_reference", "config"], ["protocol", *NETWORKS]),
    "enlarge": (["workdir", "input", "output"], ["step"]),
    "export": (["export", "workdir"], ["step"]),
    "compare": (["compare"], ["out", "config", *MEASURED]),
}
ASKING = {
    "sweep",
    "by",
    "input",
    "output",
    "images",
    "config",
    "save_judge",
    "save_reference",
    "compare",
    "out",
    "export",
}  # beside a run these ask for something else


@pytest.mark.parametrize("mode", TAKEN)
def test_eval_refuses_every_flag_that_does_not_apply(mode, script, finished, tmp_path, tree):
    asking, beside = TAKEN[mode]
    before = tree(finished[1])
    own = {*asking, *beside, *(["sweep", "export"] if mode == "run" else [])}  # beside --workdir these are other modes
    foreign = [flag for flag in FLAGS if flag not in own]
    for flag in foreign:
        arguments = [each.format(run=finished[1]) for name in (*asking, flag) for each in (f"--{name}", *FLAGS[name])]
        status, output, error = script("eval.py", *arguments)
        assert (status, output, len(error.splitlines())) == (2, "", 1), (flag, error)
        names = {flag, *asking} if flag in ASKING else {flag}
        assert error.startswith(tuple(f"eval.py: --{name}: is of " for name in names)), error
        assert "leave one of them out" in error or " too" in error
    assert tree(finished[1]) == before and not any(tmp_path.iterdir())


@pytest.mark.parametrize("mode", TAKEN)
def test_eval_names_what_is_missing(mode, script, finished):
    asking, _ = TAKEN[mode]
    for missing in asking[1:] if mode != "run" else ():
        rest = [name for name in asking if name not in (missing, "sweep")] + ["by"] * (missing == "sweep")
        arguments = [each.format(run=finished[1]) for name in rest for each in (f"--{name}", *FLAGS[name])]
        status, _, error = script("eval.py", *arguments)
        assert (status, len(error.splitlines())) == (2, 1) and f"type --{missing}" in error, error


def test_a_stage_that_is_not_finished_cannot_be_evaluated(script, finished, tmp_path):
    workdir = Path(shutil.copytree(finished[1], tmp_path / "run"))
    shutil.rmtree(workdir / "finished" / "matching")
    status, _, error = script("eval.py", "--workdir", workdir)
    assert (status, len(error.splitlines())) == (2, 1) and "the stage matching is not finished" in error


def test_a_damaged_config_is_one_line(script, finished, tmp_path):
    workdir = Path(shutil.copytree(finished[1], tmp_path / "run"))
    (workdir / "config.json").write_text("{")
    for name, arguments in (("eval.py", []), ("train.py", ["--config", SMOKE])):
        status, _, error = script(name, *arguments, "--workdir", workdir)
        assert (status, len(error.splitlines())) == (2, 1) and "is damaged" in error


@pytest.mark.parametrize("written", [None, 1, 3])
def test_a_config_of_another_format_is_refused_in_one_line_and_the_run_is_left_alone(
    written, script, finished, tmp_path, tree
):
    workdir = Path(shutil.copytree(finished[1], tmp_path / "run"))
    path = workdir / "config.json"
    content = json.loads(path.read_text())
    assert content.pop("format") == 2
    path.write_text(json.dumps(content if written is None else {**content, "format": written}))
    before = tree(workdir)
    for name, arguments in (("eval.py", []), ("train.py", ["--config", SMOKE])):
        status, output, error = script(name, *arguments, "--workdir", workdir)
        assert (status, output, len(error.splitlines())) == (2, "", 1) and error.startswith(f"{name}: {path}: ")
        assert "is of a format that this version does not read; it reads format 2" in error
        assert "train again in another --workdir" in error
    taking = f"--config.representation.from_run={workdir}"
    status, _, error = script("train.py", "--config", SMOKE, *SHARED, "--workdir", tmp_path / "other", taking)
    assert (status, len(error.splitlines())) == (2, 1) and "it reads format 2" in error
    assert tree(workdir) == before and not (tmp_path / "other").exists()


def test_the_one_line_is_all_that_a_process_writes(tmp_path):
    done = python("train.py", "--config", SMOKE, "--config.matching.stepz=3", "--workdir", tmp_path / "run")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert not (tmp_path / "run").exists()
