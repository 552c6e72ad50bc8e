"""One typed config behind three doors."""

import pytest

from simgpt.config import ConfigError, Pooling, RunConfig, Selector, profile_names


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
        ("pooling", 3, "one of: mean, cls"),
        ("backbone", 3, "text"),
        ("triplets", "", "text"),
    ],
)
def test_an_illegal_value_is_refused_with_what_is_legal(name, value, legal):
    with pytest.raises(ConfigError, match=f"{name} is .*must be {legal}"):
        RunConfig.from_params({name: value})


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
