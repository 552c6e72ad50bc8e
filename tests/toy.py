"""Made-up benchmark folders: the real layouts and counts, sentences of our own.

SentEval's is tokenised and lowercased as the real one: blanks before full stops, capitals in SICK
only.
"""

import gzip
import json
import random

from pyarrow import Table
from pyarrow.parquet import write_table

from simgpt.evaluate.mteb import DATASETS
from simgpt.evaluate.senteval import YEARLY_SUBSETS


def write_senteval(folder):
    draw = random.Random(7)
    sts = folder / "downstream" / "STS"
    for task, subsets in YEARLY_SUBSETS.items():
        place = sts / f"{task.upper()}-en-test"
        place.mkdir(parents=True)
        for name, count in subsets.items():
            pairs, gold = [], []
            for number in range(count):
                pairs.append(f"a {task} {name.lower()} {number % 9} .\tthe {number % 7} .")
                gold.append(f"{draw.choice([0, 1, 2.5, 4, 5])}")
                if task in ("sts15", "sts16") and number % 3 == 0:  # pairs nobody scored
                    pairs.append("unscored\tpair")
                    gold.append("")
            _write(place / f"STS.input.{name}.txt", pairs)
            _write(place / f"STS.gs.{name}.txt", gold)
    stsb = sts / "STSBenchmark"
    stsb.mkdir()
    for split, count in (("dev", 1500), ("test", 1379)):
        rows = [f"g\tf\ty\t{n}\t{n % 6}\tone {n % 11} .\ttwo {n % 5} ." for n in range(count)]
        _write(stsb / f"sts-{split}.csv", rows)
    sick = folder / "downstream" / "SICK"
    sick.mkdir()
    for name, count in (("SICK_trial.txt", 500), ("SICK_test_annotated.txt", 4927)):
        header = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment"
        rows = [f"{n}\tA {n % 13} .\tB {n % 3} .\t{1 + n % 5}\tNEUTRAL" for n in range(count)]
        _write(sick / name, [header, *rows])
    return folder


def _write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_mteb(folder):
    """MTEB's seven datasets in the hub's layout; one of them as parquet."""
    for dataset, count in DATASETS.values():
        rows = [
            {
                "genre": "toy",
                "score": float(n % 6),
                "sentence1": f"A {dataset} {n % 9}.",
                "sentence2": f"The {n % 7}, said B.",
            }
            for n in range(count)
        ]
        if dataset == "sts13-sts":
            (folder / dataset / "data").mkdir(parents=True)
            for part, half in enumerate((rows[:700], rows[700:])):
                path = folder / dataset / "data" / f"test-0000{part}-of-00002.parquet"
                write_table(Table.from_pylist(half), path)
            continue
        (folder / dataset).mkdir(parents=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / dataset / "test.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return folder
