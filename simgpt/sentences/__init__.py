"""Source sentences: where annotation starts."""

from simgpt.sentences.cleaning import clean
from simgpt.sentences.loading import (
    LoadedSentences,
    SourceSentence,
    load_sentences,
    stream_sentences,
)

__all__ = ["LoadedSentences", "SourceSentence", "clean", "load_sentences", "stream_sentences"]
