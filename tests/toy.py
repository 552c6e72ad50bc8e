"""A made-up SentEval folder: the real layout and counts, sentences of our own."""

import random

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
                pairs.append(f"a {task} {name} {number % 9}\tthe {number % 7}")
                gold.append(f"{draw.choice([0, 1, 2.5, 4, 5])}")
                if task in ("sts15", "sts16") and number % 3 == 0:  # pairs nobody scored
                    pairs.append("unscored\tpair")
                    gold.append("")
            _write(place / f"STS.input.{name}.txt", pairs)
            _write(place / f"STS.gs.{name}.txt", gold)
    stsb = sts / "STSBenchmark"
    stsb.mkdir()
    for split, count in (("dev", 1500), ("test", 1379)):
        rows = [f"g\tf\ty\t{n}\t{n % 6}\tone {n % 11}\ttwo {n % 5}" for n in range(count)]
        _write(stsb / f"sts-{split}.csv", rows)
    sick = folder / "downstream" / "SICK"
    sick.mkdir()
    for name, count in (("SICK_trial.txt", 500), ("SICK_test_annotated.txt", 4927)):
        header = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment"
        rows = [f"{n}\tA {n % 13}\tB {n % 3}\t{1 + n % 5}\tNEUTRAL" for n in range(count)]
        _write(sick / name, [header, *rows])
    return folder


def _write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
