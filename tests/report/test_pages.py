"""What the book includes is computed from the results files, and from nothing else."""

import json

import pytest
from bs4 import BeautifulSoup

from simgpt import SimgptError
from simgpt.report import headline, load_measured, load_paper
from simgpt.report.annotation import load_scale, load_yields
from simgpt.report.pages import write_generated_pages
from simgpt.report.results import TASKS
from simgpt.report.study import row_labels
from tests.conftest import REPOSITORY

CONFIG = {
    "profile": "laptop",
    "seed": 1,
    "learning_rate": 5e-5,
    "batch_size": 64,
    "epochs": 1,
    "temperature": 0.05,
    "hard_negative_weight": 0.0,
    "trained_share": 0.8,
    "triplets": "bundled",
}


def result(average, development=70.0, seed=None, **settings):
    model = {"name": "bundled"}
    if seed is not None:
        training = {"seconds": 480, "triplets": {"count": 1234, "sha256": "7"}}
        model = {"config": CONFIG | {"seed": seed} | settings, "training": training}
    return {
        "model": model,
        "average": average,
        "tasks": {
            task: {
                "spearman": average / 100,
                "signature": f"{task}|v1",
                "aggregations": {"all": average / 100, "mean": average / 100 - 0.02},
                "subsets": {"only": average / 100},
            }
            for task in TASKS
        },
        "development": {
            name: {"spearman": development / 100}
            for name in ("bundled_dev", "stsb_dev", "sickr_dev")
        },
        "environment": {
            "git": {"commit": "c0ffee00" * 5},
            "python": "3.11",
            "machine": {"gpus": [], "cpu": "a processor", "cores": 2},
            "packages": {"torch": "2", "sentence-transformers": "6"},
        },
    }


def annotated(model, kept, copies):
    return {
        "sentences": kept + copies,
        "triplets": kept,
        "setups": [{"model": model}],
        "outcomes": {"captions": {"kept": kept, "copy": copies}},
    }


def measured(rows, seconds, peak):
    run = {"rows": rows, "seconds": seconds, "rows_per_s": rows / seconds, "peak_mib": peak}
    return run | {"ms_per_row_by_tenth": [1.5] * 9 + [1.625], "ledger_mb": 321.4}


SCALE = {
    "concurrency": 64,
    "throughput": {"median_ratio": 0.914},
    "small": measured(10_000, 20.0, 150.0),
    "full": measured(371_000, 742.0, 190.0),
    "again": measured(371_000, 2.5, 100.0),
    "written_anew": measured(371_000, 50.0, 180.0),
}

LEDGER = {
    "rows": 1_000_000,
    "write_us_per_row_by_tenth": [100.0] * 9 + [120.0],
    "look_up_us_per_row_by_tenth": [5.0] * 10,
}

PROMCSE = {"profile": "laptop-promcse", "prefix_tokens": 10, "energy_weight": 5.0}
THROUGHPUT = {
    "ratio": 2.5,
    "median_s": {"ours": 1.5, "plain": 3.75},
    "padding": {"ours": 0.08, "plain": 0.47},
    "largest_difference": {"loss": 0, "gradient": 2e-7},
    "config": {"batch_size": 64},
}
MEMORY = {  # in the order in which JSON's keys are sorted
    "triplets": {
        "371000": {"anonymous_mib": 403.9, "file_mb": 95.4},
        "5000": {"anonymous_mib": 401.2, "file_mb": 1.2},
    }
}
SCORING = {
    "median_s": {"ours": 40.0, "per_task": 64.0, "senteval": 100.0, "bf16": 20.0, "onnx": 32.0},
    "ratio": {"ours": 1.0, "per_task": 1.6, "senteval": 2.5, "bf16": 0.5, "onnx": 0.8},
    "largest_change": dict.fromkeys(("ours", "per_task", "senteval", "onnx"), 0) | {"bf16": 0.0123},
    "peak_mib": dict.fromkeys(("ours", "per_task", "senteval", "bf16", "onnx"), 812.3),
    "sentences": {"all": {"sentences": 37_700}, "different": {"sentences": 26_083}},
    "multiply_flop_per_s": 131.4e9,
    "fraction_of_peak": 0.714,
    "layers": {"ratio": 1.96},
    "threads": 2,
    "seconds": {"ours": [39.0, 40.0, 41.0]},
}
ESTIMATE = {
    "cases": {
        "small": {
            "memory": {"measured_gib": 1.5, "estimate_gib": 1.25},
            "wall": {"measured_seconds": 12.0, "estimate_seconds": [8.0, 20.5]},
        }
    }
}


SIZES = {
    "total": {"pairs": 18_850, "sentences": 26_083},
    "tasks": {
        task: {
            "pairs": 1379,
            "sentences": 2551,
            "signature": f"{task}|pairs:1379|text:moses-lower|v0.1.0",
            "subsets": {"only": {"pairs": 1379, "sentences": 2551}},
        }
        for task in TASKS
    },
}
OTHERS = [
    {"name": "STS-B, training split", "kind": "rated pairs", "count": 5749},
    {"name": "SICK, training split", "kind": "rated pairs", "count": 4500},
    {"name": "NLI triplets of SimCSE", "kind": "human-written triplets", "count": 275_601},
    {"name": "Sim-GPT", "kind": "LLM-written triplets", "count": 370_200},
]


def as_published(content):
    tasks = {f"senteval_raw_{name}": score for name, score in content["tasks"].items()}
    return content | {"suite": "senteval_raw", "tasks": tasks}


@pytest.fixture
def results(tmp_path):
    theirs = {"model": "Sim-GPT Theirs", "scores": [81.5] * 7, "average": 81.52}
    elsewhere = [{"model": "Theirs", "average": 79.0, "source": "a README"}]
    rows = [{"model": "Theirs", "scores": [80.0] * 7, "average": 80.0}]
    files = {
        "paper": {
            "rows": [*rows, theirs],
            "data": OTHERS,
            "elsewhere": elsewhere,
            "source": "A paper",
            "measure": "x 100",
        },
        "contamination/bundled-triplets": SIZES,
        "textforms/untouched-raw": as_published(result(77.25)),
        "headline/untouched": result(78.0),
        "headline/llm-all-seed1": result(80.0, seed=1),
        "headline/llm-all-seed2": result(81.0, seed=2),
        "rerun/one": result(80.4, seed=1),
        "rerun/two": result(80.8, seed=2),
        "selection/untouched": result(78.0, 66.0),
        "selection/slow": result(79.0, 70.0, seed=1, learning_rate=1e-5),
        "selection/fast": result(81.0, 75.0, seed=1),
        "annotation/weak-one": annotated("weak", 30, 70),
        "benchmarks/annotate_scale": SCALE,
        "benchmarks/ledger_rows": LEDGER,
        "promcse/one": result(79.5, seed=1, **PROMCSE),
        "promcse/two": result(80.0, seed=2, **PROMCSE),
        "benchmarks/train_throughput": THROUGHPUT,
        "benchmarks/train_memory": MEMORY,
        "benchmarks/train_estimate": ESTIMATE,
        "benchmarks/evaluate_throughput": SCORING,
        "teacher/reading": {"read": {"captions": 7}, "usable": {"captions": 2}},
    }
    for name, content in files.items():
        path = tmp_path / "results" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return tmp_path / "results"


def rows_of(path):
    """Each row's cells, without what opens below it."""
    soup = BeautifulSoup(path.read_text(), "html.parser")
    lines = soup.select("table.sortable > tbody > tr:not(.row-details)")
    return [
        [cell.get_text().replace("\xa0", " ") for cell in line.find_all(["th", "td"])]
        for line in lines
    ]


def test_the_headline_is_the_mean_over_seeds_against_the_untouched_encoder(results):
    found = headline(results)
    assert found.mean_average == 80.5
    assert found.gain == 2.5
    assert found.deviation == pytest.approx(0.5**0.5)


def test_further_rows_have_lines_of_their_own_and_are_no_part_of_the_mean(results, tmp_path):
    """Human-written triplets are compared on another page; they are no recipe of this one."""
    further = {"llm-all-average": result(83.0), "graded-seed1": result(82.0, seed=1)}
    for name, content in {**further, "human-seed1": result(60.0, seed=1)}.items():
        (results / "headline" / f"{name}.json").write_text(json.dumps(content))
    assert headline(results).mean_average == 80.5
    write_generated_pages(results, tmp_path)
    *_, trained, one, two = rows_of(tmp_path / "headline-table.txt")
    assert trained[0].endswith("waves 1 to 3, mean of 2 seeds")
    labels = row_labels("headline")
    added = {row[0].split("MiniLM-L6-v2: ")[1] for row in (one, two)}
    assert added == {labels.get(name, name) for name in ("llm-all-average", "graded")}
    assert {row[-1] for row in (one, two)} == {"83.00", "82.00"}
    seeds = rows_of(tmp_path / "seeds-table.txt")
    assert [labels["llm-all-average"], "83.00"] in [row[:2] for row in seeds]
    assert "60.00" not in str(seeds)


def test_facts_tables_and_figures_are_written_for_the_book(results, tmp_path):
    output = tmp_path / "generated"
    facts = write_generated_pages(results, output)
    assert facts["gain"] == "+2.50"
    assert facts["triplets"] == "1,234"
    rerun = [facts[f"rerun_{name}"] for name in ("seeds", "average", "before", "largest")]
    assert rerun == ["1, 2", "80.60", "80.50", "0.40"]
    assert facts["training_minutes"] == "8"
    theirs, _, untouched, trained = rows_of(output / "headline-table.txt")
    assert theirs[0] == "paper Theirs"
    assert untouched[0].startswith("measured here all-MiniLM-L6-v2, untouched")
    assert trained[-1] == "80.50 ± 0.71 (74.15 to 86.85)"  # t with one degree of freedom: 12.706
    selection = rows_of(output / "selection-table.txt")
    assert selection[1][:2] == ["slow", "1e-05"]
    assert ["copy", "70.0 %"] in rows_of(output / "yields-table.txt")
    assert ["full", "371,000", "742.0", "500", "190"] in rows_of(output / "scale-table.txt")
    assert facts["kept_weak_one"] == "30 %"
    assert facts["scale_ratio"] == "91 %"
    assert facts["usable_captions"] == "2 of 7"
    assert (facts["scale_extra_mib"], facts["scale_again_s"]) == ("40", "2.5")
    assert "Kept as triplets: weak: captions: 30 per cent" in (output / "yields.txt").read_text()
    assert rows_of(output / "objectives-table.txt")[-1][:2] == ["PromCSE, seed 2", "80.00"]
    assert rows_of(output / "estimate-table.txt") == [
        ["small", "1.50", "1.25", "12.0", "8.0 to 20.5"]
    ]
    assert (facts["promcse_average"], facts["promcse_gain"]) == ("79.75", "+1.75")
    assert (facts["promcse_against_simcse"], facts["promcse_prefix"]) == ("-0.75", "10")
    assert (facts["step_ratio"], facts["padding_ours"], facts["padding_plain"]) == (
        "2.50",
        "8.0",
        "47.0",
    )
    assert (facts["memory_small"], facts["memory_large"], facts["memory_file"]) == (
        "401",
        "404",
        "95",
    )
    assert (facts["memory_few"], facts["memory_many"]) == ("5,000", "371,000")
    scoring = rows_of(output / "scoring-table.txt")
    assert ["SentEval's loop", "100.0", "2.50", "0.0000", "812"] in scoring
    assert (facts["scoring_bf16"], facts["scoring_bf16_change"]) == ("2.00", "0.012")
    assert (facts["scoring_fraction"], facts["scoring_peak"]) == ("71 %", "131")
    for name in ("idea", "headline", "gains", "selection", "yields", "objectives", "scoring"):
        block = (output / f"{name}.txt").read_text()
        for mode in ("light", "dark"):
            assert f"generated/{name}-{mode}.svg" in block
            assert (output / f"{name}-{mode}.svg").read_text().startswith("<?xml")


def test_what_others_published_stands_beside_what_is_counted_here(results, tmp_path):
    facts = write_generated_pages(results, tmp_path / "generated")
    tables = {path.stem: path.read_text() for path in (tmp_path / "generated").glob("*.txt")}
    rows = {
        name: rows_of(tmp_path / "generated" / f"{name}-table.txt")
        for name in ("benchmarks", "subsets", "aggregations", "forms", "gains")
    }
    assert ["STS-B", "1", "1,379", "2,551", "moses-lower"] in rows["benchmarks"]
    assert ["all seven", "", "18,850", "26,083", ""] in rows["benchmarks"]
    assert ["STS12 only", "1,379", "2,551", "78.00"] in rows["subsets"]
    assert [row[0] for row in rows["aggregations"]][:2] == ["STS12", "STS13"]
    assert ["SICK-R", "78.00", "77.25", "-0.75"] in rows["forms"]
    assert (facts["form_average"], facts["form_change"]) == ("-0.75", "-0.75")
    assert ["Theirs", "80.00", "81.52", "+1.52"] in rows["gains"]
    assert "| Theirs | 80.00 | 79.00 | a README |" in tables["elsewhere-table"]
    assert (facts["paper_odd_row"], facts["paper_odd_mean"]) == ("Sim-GPT Theirs", "81.50")
    assert facts["paper_share"] == "300"
    assert "has 5,749, all seven test sets together 18,850" in tables["labels"]
    assert "come to 370,200" in tables["labels"]


def test_the_settings_of_the_published_runs_are_the_papers(results, tmp_path):
    write_generated_pages(results, tmp_path)
    lines = (tmp_path / "settings-table.txt").read_text().splitlines()
    rows = {line.split(" | ")[0]: line.strip("|").split(" | ")[1:5] for line in lines[2:]}
    assert rows["| learning rate"] == ["5e-05", "1e-05", "0.01", "0.005"]
    assert rows["| hard-negative weight $w$"] == ["0", "0.8", "0", "0"]
    assert rows["| batch $N$, over all GPUs"] == ["512", "512", "512", "256"]
    assert rows["| its margin $m$"] == ["-", "-", "0.2", "0.2"]
    assert rows["| share of words hidden"] == ["0.1", "-", "-", "-"]
    assert [row.strip() for row in rows["| seed"]] == ["32", "2", "48", "25"]


def test_scores_of_another_text_are_not_taken_for_those_as_published(results, tmp_path):
    path = results / "textforms" / "untouched-raw.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"suite": "senteval"}))
    with pytest.raises(SimgptError, match="suite is senteval; it must be senteval_raw"):
        write_generated_pages(results, tmp_path)


def test_an_unchanged_fragment_keeps_its_time_stamp(results, tmp_path):
    output = tmp_path / "generated"
    write_generated_pages(results, output)
    before = (output / "headline-table.txt").stat().st_mtime_ns
    write_generated_pages(results, output)
    assert (output / "headline-table.txt").stat().st_mtime_ns == before


def test_a_result_that_lacks_a_task_is_named(results):
    path = results / "headline" / "llm-all-seed1.json"
    content = json.loads(path.read_text())
    del content["tasks"]["sickr"]
    path.write_text(json.dumps(content))
    with pytest.raises(SimgptError, match=r"llm-all-seed1\.json: lacks sickr"):
        headline(results)


def test_a_study_without_results_is_named(tmp_path):
    with pytest.raises(SimgptError, match="holds no results"):
        load_measured(tmp_path)


def test_the_papers_rows_average_to_what_it_prints_save_for_one_known_row():
    """SBERT-base's seven figures average 74.86, and the paper prints 74.89."""
    for row in load_paper(REPOSITORY / "book" / "results"):
        mean = round(sum(row.scores) / 7, 2)
        assert row.average == pytest.approx(74.89 if row.model == "SBERT-base" else mean, abs=0.011)
    assert len(load_paper(REPOSITORY / "book" / "results")) == 13


def test_the_committed_headline_was_measured_on_clean_commits_and_whole_data():
    found = headline(REPOSITORY / "book" / "results")
    assert len(found.trained) >= 3
    assert len({run.config["seed"] for run in found.trained}) == len(found.trained)
    for run in (found.untouched, *found.trained):
        assert run.content["environment"]["git"]["dirty"] is False
        assert run.content["tasks"]["sts12"]["pairs"] == 3108
    hashes = {run.content["model"]["training"]["triplets"]["sha256"] for run in found.trained}
    assert len(hashes) == 1


def test_the_committed_yields_and_scale_are_whole_and_from_clean_commits():
    results = REPOSITORY / "book" / "results"
    yields = load_yields(results)
    assert {"gemma-3-270m-captions", "gemma-3-270m-questions"} <= yields.keys()
    for summary in yields.values():
        assert summary["git"]["dirty"] is False
        counted = sum(n for counts in summary["outcomes"].values() for n in counts.values())
        assert counted == summary["sentences"]
        assert "not answered" not in str(summary["outcomes"])
    scale = load_scale(results)
    assert scale["environment"]["git"]["dirty"] is False
    assert scale["full"]["rows"] == 371_000
    assert scale["server"]["avoidable_payments"] == 0
    assert scale["ledger"]["rows"] == 1_000_000
