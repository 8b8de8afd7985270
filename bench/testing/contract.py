"""What holds for every method, whoever wrote it: the built-ins pass these very tests."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from bench.experiment.expansion import check_search_space
from bench.experiment.settings import Training
from bench.methods.attaching import attach
from bench.methods.base import Method, TunedModel
from bench.models.language_model import LanguageModel
from bench.testing.tiny import assert_same_state, state_of, tiny_encoder, tiny_model, tiny_splits
from bench.training.encoding import Encoder
from bench.training.evaluation import Scorer
from bench.training.loop import Hooks, TrainingJob, TrainingResult, train
from bench.training.memory import Meters


@dataclass
class Attached:
    """A method on a tiny model of its own."""

    base: LanguageModel
    tuned: TunedModel
    encoder: Encoder | None

    def scores(self) -> np.ndarray:
        """Score the validation split: [n, C]."""
        return Scorer(self.tuned, self.encoder, None, 4).run(tiny_splits().validation).scores

    def logits(self) -> np.ndarray:
        """Return the logits over the whole vocabulary after four texts, [4, V]; scores where there is no model."""
        if self.encoder is None:
            return self.scores()
        texts, _ = self.encoder.inputs(tiny_splits().validation[:4], None)
        word = self.encoder.label_ids[0][:1]
        self.tuned.train(False)
        with torch.inference_mode(), self.tuned.evaluating():
            return self.tuned.logits(self.encoder.batch([(ids, word) for ids in texts])).float().numpy()


class MethodContract:
    """Tests of one configured method on a tiny random model; subclass it and name the method.

    The model is a decoder (Llama, 2 layers, width 32) unless `family` says otherwise.
    """

    method: ClassVar[Method]
    """The method to test, configured."""
    family: ClassVar[str] = "llama"
    """One of `bench.testing.tiny`: llama, gpt2, gpt_neox, bloom, opt, gemma3, qwen2, t5, bert, roberta, distilbert."""
    learning_rate: ClassVar[float] = 0.01
    """Large enough that five steps change what the tiny model answers."""

    def attach(self, seed: int = 0, base: LanguageModel | None = None) -> Attached:
        """Attach the method to a tiny model that nothing else uses, or to this one."""
        base = base or tiny_model(self.family)
        uses = self.method.uses_model
        tuned = attach(self.method, base, tiny_splits(), seed)
        return Attached(tuned.base if uses else base, tuned, tiny_encoder(base) if uses else None)

    def train(self, attached: Attached, folder: Path, steps: int = 5) -> TrainingResult:
        """Train as a trial does, on the tiny training split; a method that trains nothing is left as it is."""
        result, encoder = TrainingResult(), attached.encoder
        if encoder is None or not attached.tuned.trainable():
            return result

        def validate(step: int) -> Any:
            done = Scorer(attached.tuned, encoder, None, 4).run(tiny_splits().validation)
            return done.evaluated(step, {})

        hooks = Hooks(validate, lambda new, old: True, lambda evaluated: True, lambda *_: None)
        settings = Training(max_steps=steps, batch_size=4, learning_rate=self.learning_rate)
        torch.manual_seed(0)
        job = TrainingJob(attached.tuned, encoder, tiny_splits().train, settings, folder)
        train(job, hooks, Meters(torch.device("cpu")), result)
        return result

    def test_its_options_survive_a_file(self) -> None:
        """A configuration that is written down and read again is the same."""
        kind = type(self.method)
        assert kind.parse(self.method.model_dump(mode="json"), "options") == self.method
        undocumented = [name for name, field in kind.model_fields.items() if not field.description]
        assert undocumented == [], "each field has a docstring: it is the help text"
        assert set(kind.training_defaults) <= set(Training.model_fields)

    def test_its_search_space_is_valid(self) -> None:
        """A study varies fields that exist, over values that they accept, its own among them."""
        check_search_space(self.method, self.method.search_space(), "search space")
        own = {**Training(**self.method.training_defaults).model_dump(), **self.method.model_dump()}
        for name, distribution in self.method.search_space().items():
            if distribution.kind == "choice":
                assert own[name] in distribution.choices, f"{name}: the first trial runs the method's own value"
            elif own[name] is not None:
                assert distribution.low <= own[name] <= distribution.high, f"{name}: {own[name]} lies outside its range"

    def test_the_base_model_comes_back_bit_for_bit(self, tmp_path: Path) -> None:
        """Whatever was trained and however it ended, `detach` leaves what `attach` found."""
        for interrupted in (False, True):
            base = tiny_model(self.family)
            before = state_of(base.network)
            attached = self.attach(base=base)
            tuned = attached.tuned
            self.train(attached, tmp_path / str(interrupted))
            attached.scores()
            if interrupted and tuned.trainable() and attached.encoder is not None:  # in the middle of a step
                tuned.train(True)
                tuned.logits(attached.encoder.batch([([5, 6, 7], [8])])).sum().backward()
            tuned.detach()
            assert_same_state(base.network, before)

    def test_training_changes_what_is_declared_and_nothing_else(self, tmp_path: Path) -> None:
        """Each parameter of `trainable` changes; no other of the network does."""
        attached = self.attach()
        declared = attached.tuned.trainable()
        if not declared:
            assert attached.tuned.added_parameters() == 0
            return
        ours = {id(parameter) for parameter in declared.values()}
        others = {name: p for name, p in attached.tuned.network.named_parameters() if id(p) not in ours}
        before = {name: p.detach().clone() for name, p in {**others, **declared}.items()}
        result = self.train(attached, tmp_path / "best")
        idle = [name for name, p in declared.items() if torch.equal(p, before[name])]
        assert idle == [], "declared as trainable, and never changed"
        changed = [name for name, p in others.items() if not torch.equal(p, before[name])]
        assert changed == [], "changed, and not declared as trainable"
        assert result.with_gradient

    def test_its_counts_add_up(self) -> None:
        """What it trains is the base model's own, or was added; nothing is counted twice."""
        attached = self.attach()
        declared = attached.tuned.trainable()
        assert len({id(p) for p in declared.values()}) == len(declared), "a parameter is declared under two names"
        own = {id(parameter) for parameter in attached.base.network.parameters()}
        rates = attached.tuned.learning_rates()
        assert rates.keys() <= declared.keys(), "a learning rate of a parameter that is not declared"
        assert all(factor > 0 for factor in rates.values()), "factors of the learning rate are above 0"
        trained = sum(parameter.numel() for parameter in declared.values())
        beside = sum(parameter.numel() for parameter in declared.values() if id(parameter) not in own)
        added = attached.tuned.added_parameters()
        assert added >= 0
        assert trained <= attached.base.parameters + added
        # Layers that a library puts into the network are both added and among its parameters.
        inside = sum(parameter.numel() for parameter in attached.base.network.parameters()) - attached.base.parameters
        assert added >= max(beside, 0)
        assert added >= inside

    def test_the_same_seed_gives_the_same_run(self, tmp_path: Path) -> None:
        """Two runs of one seed are alike to the last bit."""
        runs = []
        for number in range(2):
            attached = self.attach(seed=5)
            curve = self.train(attached, tmp_path / str(number)).train_curve
            runs.append((curve, attached.scores()))
        assert runs[0][0] == runs[1][0]
        np.testing.assert_array_equal(runs[0][1], runs[1][1])

    def test_what_is_saved_gives_the_same_logits_on_another_model(self, tmp_path: Path) -> None:
        """`save` and `load` carry all that training changed, even into an attachment that began elsewhere."""
        attached = self.attach(seed=1)
        if not attached.tuned.trainable():
            assert attached.tuned.added_parameters() == 0
            return
        begun = attached.logits()
        self.train(attached, tmp_path / "best")
        trained = attached.logits()
        assert np.abs(trained - begun).max() > 1e-5, "training changes the logits"
        attached.tuned.save(tmp_path / "saved")
        assert list((tmp_path / "saved").rglob("*.safetensors")), "weights are kept as safetensors"
        other = self.attach(seed=2)
        other.tuned.load(tmp_path / "saved")
        assert all(p.requires_grad for p in other.tuned.trainable().values()), "training can go on"
        np.testing.assert_allclose(other.logits(), trained, rtol=1e-5, atol=1e-5)

    def test_it_scores_every_example_and_label(self) -> None:
        """Scores are [n, C], and a method with a language model has a loss; what only writes prefers no label."""
        attached = self.attach()
        done = Scorer(attached.tuned, attached.encoder, None, 4).run(tiny_splits().validation)
        labels = 1 if self.method.refuses(tiny_splits().answer) else len(tiny_splits().labels)
        assert done.scores.shape == (len(tiny_splits().validation), labels)
        assert (done.loss is None) == (attached.encoder is None)

    def test_an_answer_does_not_depend_on_its_neighbours(self, tmp_path: Path) -> None:
        """An example gets the same scores alone as in a batch, behind whatever padding."""
        attached = self.attach()
        self.train(attached, tmp_path / "best", steps=2)
        together = attached.scores()
        alone = Scorer(attached.tuned, attached.encoder, None, 1).run(tiny_splits().validation).scores
        np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-4)

    def test_it_reads_train_and_the_label_words_alone(self) -> None:
        """Validation and test are closed to a method; the study and the finals read them."""
        closed: Any = _Closed()
        closed = dataclasses.replace(tiny_splits(), validation=closed, test=closed)
        base = tiny_model(self.family)
        attach(self.method, base, closed, 0)


class _Closed:
    """A split that nobody is to read."""

    def _refuse(self, index: Any = None) -> Any:
        raise AssertionError("a method may read train and the label words, nothing else")

    __len__ = __iter__ = __getitem__ = _refuse
