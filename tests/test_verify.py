"""Results are held against themselves, against the files at hand, and against a rerun."""

import json
import shutil

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from typer.testing import CliRunner

from simgpt import SimgptError
from simgpt.cli import app
from simgpt.evaluate import compare_models, evaluate_model, uncertainty
from simgpt.evaluate.scored import cosines_sha256
from simgpt.files import write_json
from simgpt.report.checks import problems_of
from simgpt.report.rerun import NEAR, Verdict
from simgpt.verify import Check, verify
from tests.report.made_up import CLEAN, comparison, model, result, write
from tests.toy import write_senteval


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The bundled encoder's result on made-up benchmarks, its cosines, and the benchmarks."""
    place = tmp_path_factory.mktemp("verify")
    benchmarks = write_senteval(place / "senteval")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(uncertainty.bootstrap_spearman.__kwdefaults__, "resamples", 50)
        patch.setattr("simgpt.environment.git_state", lambda: CLEAN)
        path = place / "results" / "bundled.json"
        evaluate_model("bundled", benchmarks=str(benchmarks), output=path)
        compared = compare_models(str(path), str(path), benchmarks=str(benchmarks))
        write_json(place / "results" / "compared.json", compared)
    return place


@pytest.fixture
def place(measured, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(measured / "results", tmp_path / "results")
    return tmp_path / "results"


def check(place, measured, **settings):
    """What is found of the encoder's result."""
    settings = {"benchmarks": str(measured / "senteval")} | settings
    (found,) = verify([place / "bundled.json"], **settings)
    return found


def spoil(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def verdicts(found):
    return {check.value: finding.verdict.value for check, finding in found.findings.items()}


def test_an_untouched_result_is_ok_end_to_end(place, measured):
    found = check(place, measured)
    assert verdicts(found) == dict.fromkeys(("pieces", "commit", "signatures", "cosines"), "OK")
    assert found.verdict is Verdict.OK
    (compared,) = verify([place / "compared.json"], benchmarks=str(measured / "senteval"))
    assert verdicts(compared) == {"pieces": "OK", "commit": "OK", "signatures": "OK"}


def test_a_changed_score_fails(place, measured):
    def change(content):
        content["tasks"]["sts13"]["spearman"] += 0.01

    spoil(place / "bundled.json", change)
    finding = check(place, measured).findings[Check.PIECES]
    assert finding.verdict is Verdict.FAIL
    assert "sts13" in finding.reason


def test_a_score_that_was_changed_wherever_it_stands_fails_by_its_cosines(place, measured):
    def change(content):
        score = content["tasks"]["stsb"]
        value = score["spearman"] + 2e-6
        score["spearman"] = value
        score["aggregations"] = dict.fromkeys(("all", "mean", "wmean"), value)
        score["subsets"] = {"test": value}

    spoil(place / "bundled.json", change)
    found = check(place, measured)
    assert found.findings[Check.PIECES].verdict is Verdict.OK
    assert found.findings[Check.COSINES].verdict is Verdict.FAIL
    assert "stsb: spearman is" in found.findings[Check.COSINES].reason


def change_a_cosine(path):
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        cosines = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    cosines["sts12"][0] = -cosines["sts12"][0]
    save_file(cosines, path, metadata=metadata)
    return cosines_sha256(cosines)


def test_a_changed_cosine_fails_even_with_its_hash_put_right(place, measured):
    anew = change_a_cosine(place / "bundled.safetensors")
    finding = check(place, measured).findings[Check.COSINES]
    assert finding.verdict is Verdict.FAIL
    assert "not the cosines of bundled.json" in finding.reason
    spoil(place / "bundled.json", lambda content: content.update(cosines_sha256=anew))
    finding = check(place, measured).findings[Check.COSINES]
    assert finding.verdict is Verdict.FAIL
    assert "sts12: spearman is" in finding.reason


def test_cosines_of_another_model_fail(place, measured):
    spoil(place / "bundled.json", lambda content: content["model"].update(weights_sha256="0" * 64))
    finding = check(place, measured).findings[Check.COSINES]
    assert (finding.verdict, finding.reason) == (
        Verdict.FAIL,
        "its cosines are of another model",
    )


@pytest.mark.parametrize(
    ("old", "new", "failing"),
    [
        ("|data:", "|data:0", Check.SIGNATURES),
        ("text:moses-lower", "text:plain", Check.SIGNATURES),
        ("pairs:3108", "pairs:3109", Check.PIECES),
        ("agg:all", "agg:mean", Check.PIECES),
        ("sts12|", "sts14|", Check.PIECES),
    ],
)
def test_a_tampered_signature_fails(place, measured, old, new, failing):
    def change(content):
        score = content["tasks"]["sts12"]
        score["signature"] = score["signature"].replace(old, new)

    spoil(place / "bundled.json", change)
    found = check(place, measured)
    assert found.findings[failing].verdict is Verdict.FAIL
    assert found.verdict is Verdict.FAIL


def test_another_version_of_this_package_does_not_matter(place, measured):
    def change(content):
        score = content["tasks"]["sts12"]
        score["signature"] = score["signature"].rpartition("|")[0] + "|v0.0.1"

    spoil(place / "bundled.json", change)
    assert check(place, measured).verdict is Verdict.OK


def test_what_needs_benchmarks_is_not_checked_without_them(place, measured):
    found = check(place, measured, benchmarks="bundled")
    assert verdicts(found) == {
        "pieces": "OK",
        "commit": "OK",
        "signatures": "not checked",
        "cosines": "not checked",
    }
    assert "sts12" in found.findings[Check.SIGNATURES].reason
    change_a_cosine(place / "bundled.safetensors")  # the hash needs none
    found = check(place, measured, benchmarks="bundled")
    assert found.findings[Check.COSINES].verdict is Verdict.FAIL


def test_cosines_that_are_not_there_are_not_checked(place, measured):
    (place / "bundled.safetensors").unlink()
    assert verdicts(check(place, measured))["cosines"] == "not checked"


def test_uncommitted_changes_fail_and_an_unknown_commit_is_not_checked(place, measured):
    def states(git):
        spoil(place / "bundled.json", lambda content: content["environment"].update(git=git))
        return verdicts(check(place, measured))["commit"]

    assert states(CLEAN | {"dirty": True}) == "FAIL"
    assert states({}) == "not checked"


def test_training_on_other_than_the_bundled_triplets_fails(tmp_path):
    from simgpt.files import sha256_of
    from simgpt.triplets import BUNDLED_DEV_PAIRS, BUNDLED_TRIPLETS

    def found(data, pairs, **settings):
        trained = model(seed=1, **settings)
        trained["training"]["triplets"] = {"count": 17385, "sha256": data}
        trained["training"]["development"]["sha256"] = pairs
        folder = write(tmp_path / "results", one=result(of=trained))
        (one,) = verify([folder], benchmarks="bundled")
        return one.findings[Check.DATA]

    bundled = sha256_of(BUNDLED_TRIPLETS), sha256_of(BUNDLED_DEV_PAIRS)
    assert found(*bundled).verdict is Verdict.OK
    assert "other triplets" in found("0" * 64, bundled[1]).reason
    assert "other pairs" in found(bundled[0], "0" * 64).reason
    own = found("0" * 64, bundled[1], triplets="mine.jsonl")
    assert (own.verdict, "mine.jsonl" in own.reason) == (Verdict.UNCHECKED, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.update(average=83.01), "average is 83.01"),
        (lambda content: content.update(average_unrounded=0.9), "average_unrounded is 0.9"),
        (lambda content: content["tasks"].pop("sts16"), "lacks sts16"),
        (lambda content: content["tasks"]["sts16"].pop("subsets"), "lacks 'subsets'"),
        (lambda content: content["tasks"].update(stsc={}), "stsc: no task of the suite"),
        (
            lambda content: content["tasks"]["sts12"]["interval"].update(low=0.9),
            "sts12: the interval goes from 0.9",
        ),
        (
            lambda content: content["tasks"]["sts12"]["aggregations"].update(mean=0.5),
            "sts12: mean is 0.5",
        ),
        (lambda content: content.update(tasks={}), "no task"),
    ],
)
def test_pieces_that_contradict_each_other_are_named(change, words):
    content = result(80)
    assert problems_of(content) == []
    change(content)
    assert any(words in problem for problem in problems_of(content))


def test_a_comparison_whose_pieces_contradict_each_other_fails(tmp_path):
    content = comparison(model(), model(), p_holm=(0.07,) * 7)
    folder = write(tmp_path / "results", compared=content)
    (found,) = verify([folder], benchmarks="bundled")
    assert found.findings[Check.PIECES].verdict is Verdict.OK
    content["tasks"]["sts12"]["p_holm"] = 0.01
    content["tasks"]["sts13"]["difference"] = 0.04
    for words in ("sts13: difference is 0.04", "average: difference is 0.05"):
        assert any(words in problem for problem in problems_of(content))
    content["tasks"]["sts13"]["difference"] = 0.05
    (found,) = verify([write(folder, compared=content)], benchmarks="bundled")
    assert "sts12: p_holm is 0.01" in found.findings[Check.PIECES].reason


def test_a_torn_file_fails_and_is_named(tmp_path):
    (tmp_path / "torn.json").write_text('{"tasks": {')
    (found,) = verify([tmp_path], benchmarks="bundled")
    assert found.verdict is Verdict.FAIL
    assert "torn.json, line 1" in found.findings[Check.PIECES].reason


def test_a_row_of_the_paper_that_does_not_average_fails_but_for_the_known_one(repository):
    paper = json.loads((repository / "book" / "results" / "paper.json").read_text())
    assert problems_of(paper) == []
    paper["rows"][0]["average"] += 0.1
    assert ["InferSent" in problem for problem in problems_of(paper)] == [True]


def rerun(tmp_path, stored, other):
    """What is found of `stored` against `other`."""
    held = write(tmp_path / "held", laptop=stored)
    again = write(tmp_path / "again" / "any run", scores=other).parent
    (found,) = verify([held], rerun=again, benchmarks="bundled")
    return found.findings[Check.RERUN]


@pytest.mark.parametrize(
    ("moved", "verdict"),
    [
        (0.0, Verdict.OK),
        (0.01, Verdict.OK),
        (0.02, Verdict.NEAR),
        (NEAR, Verdict.NEAR),
        (NEAR + 0.01, Verdict.FAIL),
    ],
)
def test_a_rerun_is_the_same_or_near_or_not(tmp_path, moved, verdict):
    other = result(80 + moved, of=model(seed=3, weights="2" * 64, benchmarks="elsewhere"))
    finding = rerun(tmp_path, result(80, of=model(seed=3, weights="1" * 64)), other)
    assert finding.verdict is verdict


def test_a_run_from_before_some_settings_matches_the_same_command_today(tmp_path):
    old, new = model(seed=2), model(seed=2)
    old["config"] |= {"pooling": "mean", "evals_per_epoch": 4}
    del old["config"]["eval_steps"], old["pooling"]
    new["config"] |= {"teacher": "another", "mlm_weight": 0.0, "benchmarks": "some/folder"}
    assert rerun(tmp_path, result(of=old), result(of=new)).verdict is Verdict.OK
    new["config"]["mlm_weight"] = 0.1
    assert rerun(tmp_path, result(of=old), result(of=new)).verdict is Verdict.UNCHECKED


def test_the_first_configs_scored_in_shares_of_an_epoch_which_is_told_in_steps(tmp_path):
    old = model(seed=1)
    old["config"] |= {"evals_per_epoch": 4}
    del old["config"]["eval_steps"]
    old["training"]["triplets"]["count"] = 6000  # 94 steps of 64
    assert "--set eval_steps=24 " in rerun(tmp_path, result(of=old), result()).reason


def test_the_same_settings_on_other_triplets_are_no_rerun(tmp_path):
    other = model(seed=1)
    other["training"]["triplets"]["sha256"] = "0" * 64
    finding = rerun(tmp_path, result(of=model(seed=1)), result(of=other))
    assert finding.verdict is Verdict.UNCHECKED


SETTINGS = {"learning_rate": 3e-5, "temperature": 0.1}


@pytest.mark.parametrize(
    "other",
    [
        result(of=model(seed=2, **SETTINGS)),
        result(of=model(seed=1, **SETTINGS | {"temperature": 0.05})),
        result(of=model(seed=1, **SETTINGS), suite="mteb"),
        result(of=model(seed=1, **SETTINGS), aggregation="wmean"),
        result(of=model(seed=1, pooling="cls", **SETTINGS)),
        result(),
    ],
)
def test_what_is_no_rerun_is_not_taken_for_one_and_the_command_is_told(tmp_path, other):
    stored = result(of=model(seed=1, **SETTINGS))
    assert rerun(tmp_path, stored, stored).verdict is Verdict.OK
    finding = rerun(tmp_path, stored, other)
    assert finding.verdict is Verdict.UNCHECKED
    assert (
        "simgpt train --profile laptop --set temperature=0.1 --set learning_rate=3e-05 "
        "--output runs/laptop && simgpt evaluate runs/laptop --output" in finding.reason
    )


def test_an_untrained_model_is_matched_by_its_weights(tmp_path):
    assert rerun(tmp_path, result(), result(80, of=model("other name"))).verdict is Verdict.OK
    finding = rerun(tmp_path, result(), result(80, of=model(weights="0" * 64)))
    assert finding.verdict is Verdict.UNCHECKED
    assert "simgpt evaluate bundled --output" in finding.reason


def test_a_rerun_that_is_torn_is_an_error(tmp_path, place):
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "torn.json").write_text("{")
    with pytest.raises(SimgptError, match=r"torn\.json, line 1"):
        verify([place], rerun=tmp_path / "again", benchmarks="bundled")


def test_the_command_has_a_line_for_each_file_and_status_1_on_failure(place, measured):
    words = ["report", "verify", str(place), "--benchmarks", str(measured / "senteval")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "pieces" in done.stdout
    spoil(place / "bundled.json", lambda content: content.update(average=99.0))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert "FAIL, pieces: average is 99.0" in done.stdout


def test_the_committed_results_hold(repository):
    found = verify([repository / "book" / "results"], benchmarks="bundled")
    assert len(found) > 20
    assert {str(one.path): one.findings for one in found if one.verdict is Verdict.FAIL} == {}


def test_the_committed_results_were_scored_on_these_benchmarks(repository, senteval):
    found = verify([repository / "book" / "results" / "headline"], benchmarks=str(senteval))
    assert {one.findings[Check.SIGNATURES].verdict for one in found} == {Verdict.OK}
