"""sweep.md: which metrics it shows, what a paper reports, and what is wrong with rows."""

import numpy as np

from experiment_jax.comparison.table import Row
from experiment_jax.sweep import evaluate as evaluation
from experiment_jax.sweep import members
from experiment_jax.sweep.markdown import markdown

PICTURE = np.zeros((4, 6, 3), np.uint8)
MEASURED = dict(protocol="test_90", judge="abc", fd_floor=0.25, extractor_vgg16="def", fd_floor_vgg16=3.5, other="x")


def row(name, problems=(), reported="", **values):
    settings = {"gan.loss": name, "evaluation.reported": reported}
    return Row(name, settings, None, values, {}, int(bool(values)), problems, PICTURE)


def test_it_has_the_main_metrics_in_all_features_and_empty_cells_for_what_a_row_has_not():
    given = [
        row("gan", reported="6.8 ± 0.5", fd_gen=2.0, fd_gen_vgg16=30.0, nfe=1, training_seconds=9.5, mae_recon=0.1),
        row("vae", fd_gen=3.0, fd_gen_vgg16=20.0, fd_recon=1.0, fd_gen_vs_recon=0.5, nfe=0, training_seconds=8.0),
    ]
    table, _, rest = markdown(given, MEASURED).partition("\n\n")
    assert table.splitlines() == [
        "|  | evaluation.reported | `fd_gen` ↓ | `fd_gen_vgg16` ↓ | `fd_recon` ↓ | `fd_gen_vs_recon` ↓ | `nfe` | "
        "`training_seconds` |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| gan | 6.8 ± 0.5 | **2** | 30 |  |  | 1 | 9.5 |",
        "| vae |  | 3 | **20** | 1 | 0.5 | 0 | 8 |",
    ]
    assert "`protocol` test_90, `judge` abc, `fd_floor` 0.25, `extractor_vgg16` def, `fd_floor_vgg16` 3.5." in rest
    assert "compares with no other here" in rest and "other" not in rest.partition("\n")[0]


def test_without_figures_of_a_paper_there_is_no_such_column():
    found = Row("one", {"seed": 3}, None, {"fd_gen": 1.0}, {}, 1, (), PICTURE)
    assert markdown([found], {}) == "|  | `fd_gen` ↓ |\n| --- | ---: |\n| one | 1 |\n"


def test_rows_with_problems_are_listed_below():
    given = [row("gan", ["failed: gan: loss is nan at step 7"]), row("vae", fd_gen=1.0)]
    text = markdown(given, MEASURED)
    assert "| gan |  |  |\n" in text and text.endswith("- gan: failed: gan: loss is nan at step 7\n")


def test_samples_that_are_nearly_one_image_are_a_collapse_and_are_measured_all_the_same(swept, tmp_path, monkeypatch):
    found = members.define(
        swept('yield "flat", {}\nyield "sound", {}'), {}, tmp_path / "sweep", seeds=None, members=True
    )
    members.write(found)
    varies = {"flat": 0.04, "sound": 0.11}
    measured = lambda found, member, plan: ({"fd_gen": 1.0, "pixel_spread": varies[member.name]}, PICTURE)  # noqa: E731
    monkeypatch.setattr(evaluation, "measure", measured)
    evaluation.evaluate(tmp_path / "sweep")
    text = (tmp_path / "sweep" / "sweep.md").read_text()
    assert "- flat: collapsed: its samples vary 0.040 times as much as real images\n" in text and "- sound" not in text
    assert "| flat | **1** | 0.04 |" in text
    assert "collapsed: its samples vary 0.040" in (tmp_path / "sweep" / "sweep.html").read_text()
