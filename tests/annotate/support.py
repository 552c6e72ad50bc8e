"""What several tests of the annotation need."""

from simgpt.annotate import Asking, OpenAITeacher, Task, annotate
from simgpt.sentences import SourceSentence


def sentences(count, source="captions"):
    """Made-up source sentences, all different."""
    return [
        SourceSentence(f"Dog number {n} runs along beach {n * 7 % 1000} in the rain.", source)
        for n in range(count)
    ]


def live(url, monkeypatch, *, key="test-key", **settings):
    """A teacher at a loopback server."""
    monkeypatch.setenv("OPENAI_API_KEY", key)
    return OpenAITeacher("gpt-4o-mini", base_url=url, **settings)


def annotate_with(teacher, folder, items, *, asking=None, **settings):
    """Annotate `items` with the output and the ledger in `folder`."""
    names = ("prompt", "variant", "sampling", "api")
    chosen = {name: settings.pop(name) for name in names if name in settings}
    task = Task(sentences=items, endpoint=teacher.endpoint, model=teacher.model, **chosen)
    return annotate(
        task,
        teacher,
        output=folder / "triplets.jsonl",
        ledger=folder / "ledger.sqlite",
        asking=asking or Asking(),
        **settings,
    )
