"""The packaged encoders as they really arrive: what they compute, held against numbers of others."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch

from bench.core.packages import BIGBENCH
from bench.models import models
from bench.models.encoders import BLEURT, BertTiny, MiniLML3, MiniLML6, Mpnet

SENTENCES = ("How old are you?", "What is your age?", "The train to Vienna was late again.")


def loaded(name, download=False):
    """Load a model; one whose download is too much for a test has to be in the cache already."""
    source = models.build(name, {}, name)
    if not download and not source.ready():
        pytest.skip(f"{name} is not in the cache; whoever runs an experiment with it puts it there")
    source.prepare()
    return source.load(torch.device("cpu"), torch.float32)


def embedding(base, sentences):
    """Return the mean over tokens of the encoder's last states, as sentence encoders are read."""
    batch = base.tokenizer(list(sentences), padding=True, return_tensors="pt")
    with torch.no_grad():
        states = base.network.base_model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    return (states * mask).sum(1) / mask.sum(1)


def test_minilm_loads_frozen_in_its_mapped_file_and_does_not_cut_what_it_reads():
    base = loaded("minilm-l6", download=True)
    assert (base.kind, base.context_length) == ("encoder", 512)
    assert base.head.paths == ("bert.pooler", "classifier")  # its pooler comes along, as it was drawn
    assert sum(p.numel() for p in base.network.base_model.parameters()) == MiniLML6.parameters
    assert not any(parameter.requires_grad for parameter in base.network.parameters())
    # The file beside the weights says 128 tokens, always: that is how sentences are embedded, not what we read.
    assert len(base.tokenizer("word " * 300)["input_ids"]) == 302
    assert base.tokenizer("What is it?")["input_ids"] == [101, 2054, 2003, 2009, 1029, 102]


@pytest.mark.parametrize("name", ["minilm-l6", "minilm-l3", "mpnet-base"])
def test_sentences_that_mean_the_same_lie_close_together(name):
    first, *others = embedding(loaded(name, download=name == "minilm-l6"), SENTENCES)
    same, other = (torch.cosine_similarity(first, each, dim=0) for each in others)
    assert same > 0.7
    assert other < 0.2


def test_minilm_l3_computes_what_the_onnx_file_computes():
    base = loaded("minilm-l3")
    assert base.head.paths == ("bert.pooler", "classifier")  # the pooler does not come along
    body = sum(p.numel() for n, p in base.network.base_model.named_parameters() if not n.startswith("pooler."))
    assert body == MiniLML3.parameters
    # By onnxruntime 1.32 from the file in the wheel.
    expected = [0.10415442, 0.17808914, -0.5860642, 0.03884833, 0.06717274, -0.06115246]
    found = embedding(base, ["What is the capital of France?"])
    torch.testing.assert_close(found[0, :6], torch.tensor(expected), rtol=0, atol=2e-5)


def test_bert_tiny_gives_the_scores_that_bleurts_own_test_expects():
    base = loaded("bert-tiny-bleurt")
    assert base.head.paths == ("classifier",)  # its pooler was trained, for BLEURT reads it
    assert sum(p.numel() for p in base.network.base_model.parameters()) == BertTiny.parameters
    with zipfile.ZipFile(io.BytesIO(BIGBENCH.read(BLEURT))) as archive:
        (data,) = (name for name in archive.namelist() if "test_checkpoint/variables/variables.data" in name)
        # Behind the encoder stand the bias and the weights of BLEURT's own head.
        bias, *head = np.frombuffer(archive.read(data), "<f4", 129, 4 * BertTiny.parameters)
    references = ["An apple a day keeps the doctor away."] * 2
    candidates = ["An apple a day keeps the doctor away.", "An apple a day keeps doctors away."]
    batch = base.tokenizer(references, candidates, padding=True, return_tensors="pt")
    with torch.no_grad():
        pooled = base.network.base_model(**batch).pooler_output.numpy()
    scores = pooled @ np.array(head) + bias
    assert scores == pytest.approx([0.910811, 0.771989], abs=1e-5)


def test_mpnet_has_the_parameters_of_its_page_and_no_kinds_of_tokens():
    base = loaded("mpnet-base")
    # Its pooler, which no classifier of this family uses, is left in the file.
    pooler = 768 * 768 + 768
    assert sum(p.numel() for p in base.network.base_model.parameters()) + pooler == Mpnet.parameters
    assert set(base.tokenizer("a")) == {"input_ids", "attention_mask"}
    assert base.context_length == 512
