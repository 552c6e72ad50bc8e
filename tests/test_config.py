"""One typed config behind three doors."""

import pytest

from simgpt.config import ConfigError, Pooling, Precision, RunConfig, Selector, profile_names


def test_a_profile_fills_the_settings_and_parameters_override_it():
    cfg = RunConfig.from_params({"profile": "smoke", "seed": 3})
    assert (cfg.profile, cfg.max_triplets, cfg.seed) == ("smoke", 256, 3)
    assert RunConfig.from_params({"profile": "laptop"}).max_triplets == 0


def test_every_profile_is_a_legal_config():
    assert {"smoke", "laptop"} <= set(profile_names())
    for name in profile_names():
        assert RunConfig.from_params({"profile": name}).profile == name


def test_text_from_yaml_or_the_command_line_is_brought_to_its_type():
    cfg = RunConfig.from_params(
        {"learning_rate": "5e-5", "seed": "7", "epochs": 2.0, "pooling": "cls"}
    )
    assert (cfg.learning_rate, cfg.seed, cfg.epochs) == (5e-5, 7, 2)
    assert cfg.pooling is Pooling.CLS
    assert isinstance(cfg.epochs, int)


def test_an_unknown_setting_is_refused_with_the_known_ones_listed():
    with pytest.raises(ConfigError, match=r"unknown setting sede; known: profile, .*seed"):
        RunConfig.from_params({"sede": 3})


def test_an_unknown_profile_is_refused_with_the_known_ones_listed():
    with pytest.raises(ConfigError, match=r"unknown profile 'laptpo'; known: .*laptop"):
        RunConfig.from_params({"profile": "laptpo"})


@pytest.mark.parametrize(
    ("name", "value", "legal"),
    [
        ("seed", "three", "a whole number"),
        ("seed", 1.5, "a whole number"),
        ("seed", True, "a whole number"),
        ("seed", -1, "0 or more"),
        ("learning_rate", "fast", "a number"),
        ("learning_rate", None, "a number"),
        ("learning_rate", 0, "above 0"),
        ("temperature", float("nan"), "a number"),
        ("temperature", -0.05, "above 0"),
        ("batch_size", 1, "2 or more"),
        ("trained_share", 0, "above 0 and at most 1"),
        ("warmup", 1.5, "from 0 to 1"),
        ("selector", "sts12", "one of: bundled, stsb_dev"),
        ("pooling", 3, "one of: auto, mean, cls, cls_before_pooler, avg_top2, avg_first_last"),
        ("precision", "int8", "one of: auto, fp32, bf16, fp16"),
        ("hard_negatives", "perhaps", "true or false"),
        ("prefix_tokens", -1, "0"),
        ("mlm_rate", 0, "above 0 and below 1"),
        ("energy_margin", 3, "from 0 to 2"),
        ("eval_steps", 0, "1 or more"),
        ("backbone", 3, "text"),
        ("triplets", "", "text"),
    ],
)
def test_an_illegal_value_is_refused_with_what_is_legal(name, value, legal):
    with pytest.raises(ConfigError, match=f"{name} is .*must be {legal}"):
        RunConfig.from_params({name: value})


def test_truth_values_are_read_as_yaml_and_the_command_line_write_them():
    for value in (False, "false", "False"):
        assert RunConfig.from_params({"hard_negatives": value}).hard_negatives is False


def test_the_energy_hinge_without_hard_negatives_is_refused():
    with pytest.raises(ConfigError, match="energy_weight needs hard_negatives"):
        RunConfig.from_params({"energy_weight": 5, "hard_negatives": False})


@pytest.mark.parametrize("fresh", [{"prefix_tokens": 10}, {"pooling": "cls"}])
def test_fresh_weights_are_not_averaged_with_earlier_ones(fresh):
    with pytest.raises(ConfigError, match="trained_share must be 1"):
        RunConfig.from_params({"trained_share": 0.8} | fresh)


# Published beside the paper, one script a column: its name, SimCSE base and large, PromCSE base
# and large. GPUs times batch a GPU is the batch of a step; 4 GPUs scale the contrastive gradient.
PUBLISHED = {
    "backbone": ("roberta-base", "roberta-large", "roberta-base", "roberta-large"),
    "batch_size": (4 * 128, 4 * 128, 4 * 128, 4 * 64),
    "contrastive_weight": (1 / 4,) * 4,
    "epochs": (5, 5, 10, 5),
    "learning_rate": (5e-5, 1e-5, 1e-2, 5e-3),
    "warmup": (0,) * 4,
    "max_tokens": (32,) * 4,
    "pooling": (Pooling.CLS,) * 4,
    "temperature": (0.05,) * 4,
    "hard_negative_weight": (0, 0.8, 0, 0),
    "mlm_weight": (0.05, 0, 0, 0),
    "prefix_tokens": (0, 0, 10, 10),
    "energy_weight": (0, 0, 5, 5.7),
    "precision": (Precision.FP16,) * 4,
    "selector": (Selector.STSB_DEV,) * 4,
    "eval_steps": (125, 125, 125, 25),
    "seed": (32, 2, 48, 25),
    "trained_share": (1,) * 4,
    "max_triplets": (0,) * 4,
}


def test_the_paper_profiles_are_the_published_runs_field_by_field():
    names = ("simcse-base", "simcse-large", "promcse-base", "promcse-large")
    for column, name in enumerate(names):
        held = RunConfig.from_params({"profile": f"paper-{name}"}).to_dict()
        assert {field: held[field] for field in PUBLISHED} == {
            field: values[column] for field, values in PUBLISHED.items()
        }
    assert RunConfig.from_params({"profile": "paper-simcse-base"}).mlm_rate == 0.1
    for name in ("promcse-base", "promcse-large"):
        assert RunConfig.from_params({"profile": f"paper-{name}"}).energy_margin == 0.2


@pytest.mark.parametrize(
    ("colab", "paper"), [("colab", "paper-simcse-base"), ("colab-promcse", "paper-promcse-base")]
)
def test_on_one_gpu_only_memory_precision_and_seed_differ_from_the_paper(colab, paper):
    held, published = (RunConfig.from_params({"profile": n}).to_dict() for n in (colab, paper))
    differing = {name for name in held if held[name] != published[name]}
    assert differing == {"profile", "mini_batch_size", "precision", "seed"}


def test_no_test_split_can_be_asked_to_select():
    assert {choice.value for choice in Selector} == {"bundled", "stsb_dev"}


def test_a_notebook_with_a_misspelt_parameter_is_refused():
    namespace = {"profile": "smoke", "In": [], "Out": {}, "_": 1, "__name__": "__main__"}
    assert RunConfig.from_notebook(namespace | {"simgpt": pytest}).profile == "smoke"
    with pytest.raises(ConfigError, match="unknown setting sede"):
        RunConfig.from_notebook(namespace | {"sede": 3})


def test_two_configs_never_share_a_run_name():
    names = {RunConfig(seed=seed).run_name for seed in range(20)}
    assert len(names) == 20
    assert all(name.startswith("smoke-") for name in names)
