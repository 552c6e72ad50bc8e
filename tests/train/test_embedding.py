"""Sorting a step's sentences by length must change nothing but the padding."""

import torch

from simgpt.encoder import load_encoder
from simgpt.train.embedding import embed_columns

COLUMNS = (
    ["A dog runs.", "Two people are talking quietly in the kitchen of a very old house."],
    ["A dog is running on the sand of a wide and empty beach.", "People talk."],
    ["No.", "The kitchen was repainted last summer by a friend of theirs, who is a painter."],
)


def test_embeddings_and_gradients_equal_those_of_one_padded_pass_per_column():
    model = load_encoder("bundled").eval()
    features = [model.preprocess(column) for column in COLUMNS]
    expected = [model(dict(column))["sentence_embedding"] for column in features]
    torch.cat(expected).pow(3).sum().backward()
    weight = next(model.parameters())
    gradient = weight.grad.clone()
    model.zero_grad()

    found = embed_columns(model, features, chunks=3)
    torch.cat(found).pow(3).sum().backward()

    assert [tuple(column.shape) for column in found] == [(2, 384)] * 3
    torch.testing.assert_close(torch.cat(found), torch.cat(expected), atol=1e-6, rtol=0)
    torch.testing.assert_close(weight.grad, gradient, atol=1e-6, rtol=0)


def test_chunks_are_cut_to_their_own_longest_row():
    seen = []

    def spy(rows):
        seen.append(tuple(rows["input_ids"].shape))
        return {"sentence_embedding": rows["input_ids"].sum(dim=1, keepdim=True).float()}

    column = {
        "input_ids": torch.tensor([[5, 6, 7, 8], [9, 0, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]]),
    }
    (embedded,) = embed_columns(spy, [column], chunks=2)
    assert seen == [(1, 1), (1, 4)]
    assert embedded.flatten().tolist() == [26.0, 9.0]
