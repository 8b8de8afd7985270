"""The documentation as a site: it builds without a warning, works from the disk, answers, and its commands exist."""

from __future__ import annotations

import html
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from reporting.browser import opened

from bench.cli import app
from bench.experiment.schema import Experiment
from bench.methods import methods
from bench.runs.record import json_schema

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
NEEDS = re.compile(r"<!-- needs: (.+?) -->\n```sh\n.*?^```$", re.MULTILINE | re.DOTALL)

QUESTIONS = [
    ("How do I say r and lora_alpha?", "from_peft", "PEFT's names work in experiment files, in --set"),
    ("How do I count trainable parameters?", "from_peft", "bench params prints PEFT's own line"),
    ("Where is prompt_tuning_init TEXT?", "from_peft", "{init: text, init_text: ...}"),
    ("How do I use LoHa, or another configuration class?", "from_peft", "peft: {config_class: LoHaConfig, r: 8}"),
    ("How do I load the adapter in PEFT?", "from_peft", 'PeftModel.from_pretrained(base, "adapter") loads it.'),
    ("How do I train on my own CSV?", "own_data", "A table with a column of labels is all it takes"),
    ("How do I resume after an interruption?", "index", "goes on where it stood when the same command is given again"),
    ("Why is my loss over the answer alone?", "traps", "The loss is over the answer's tokens alone"),
    ("Which learning rates are tried for LoRA?", "methods/lora", "learning_rate 5e-05 to 0.005, logarithmic"),
    ("Why does prompt tuning learn nothing at LoRA's rate?", "methods/prompt_tuning", "At a rate that suits LoRA"),
    ("Is the gap between two methods chance?", "budgets", "under which size a gap between two methods will be chance"),
    ("How do I use several GPUs?", "large_models", "each trial runs in several processes"),
    ("What can I say of PEFT's published scores?", "from_peft", "says which of the runs cannot be ordered"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install '.[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def read(site, page):
    """Return the text of a built page as it is seen."""
    text = (site / f"{page}.html").read_text(encoding="utf-8")
    text = re.search(r"<article.*?</article>", text, re.DOTALL).group()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def squeezed(text):
    """Without spaces, which tags leave between words and marks."""
    return text.replace(" ", "")


@pytest.mark.parametrize(("question", "page", "sentence"), QUESTIONS)
def test_a_user_of_peft_finds_the_sentence_that_answers(site, question, page, sentence):
    assert squeezed(sentence) in squeezed(read(site, page)), question


def test_no_page_asks_a_network_and_the_search_works_from_the_disk(site):
    for page in site.rglob("*.html"):
        asked = re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text("utf-8"))
        assert not asked, page
    with opened(site / "methods" / "lora.html") as tab:
        tab.wait_for_selector("iframe", state="attached")  # the page's script has begun
        tab.click("input.md-search__input")
        tab.keyboard.type("resolution floor")
        tab.wait_for_selector(".md-search-result__item a", state="attached", timeout=30_000)
        found = tab.eval_on_selector_all(".md-search-result__item a", "links => links.map(link => link.href)")
    assert any("budgets.html" in link for link in found)


def test_every_method_key_field_and_command_has_its_place(site):
    lora = read(site, "methods/lora")
    assert "lora_alpha" in lora and "2,442,240" in lora and "0.731 ± 0.066" in lora
    assert {path.stem for path in (site / "methods").glob("*.html")} == {"index", *methods.names()}
    for name, kind in methods.entries():
        page = squeezed(read(site, f"methods/{name}"))
        assert kind.traps and all(squeezed(said) in page for said in (kind.when_to_use, *kind.traps)), name
    experiment, record = read(site, "reference/experiment"), read(site, "reference/record")
    assert all(f" {key} " in experiment for key in Experiment.model_fields)
    assert all(f" {field} " in record for field in json_schema()["properties"])
    commands = read(site, "reference/commands")
    for name, command in typer.main.get_command(app).commands.items():
        names = [f"{name} {child}" for child in getattr(command, "commands", ())] or [name]
        assert all(f"bench {one} " in commands for one in names)


def test_claims_stand_there_with_the_verdicts_of_the_records(site):
    page = read(site, "published_claims")
    assert page.count("Tested by: ") >= 10
    assert len(re.findall(r"(Supported|Contradicted|Cannot be told here)\. Published in: ", page)) >= 10


def commands():
    """Yield page, command and whether the page says that it needs something."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        needy = "".join(match[0] for match in NEEDS.finditer(text))
        blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        blocks += ["\n".join(re.findall(r"^    (?:\$ )?(bench (?:.*\\\n)*.*)$", text, re.MULTILINE))]
        for block in blocks:
            for line in block.replace("\\\n", " ").splitlines():
                if found := re.search(r"(?:^|[\s/])bench (?!\|)([a-z].*)", line):
                    yield path, found[1], block in needy


def parsed(command, words):
    """Have click read a command line as it would before running it; an unknown option is an error."""
    if hasattr(command, "commands"):
        return parsed(command.commands[words[0]], words[1:])
    return command.make_context(command.name, list(words)).params


COMMANDS = list(commands())
MADE_UP = {"experiments/suite.yaml"}
"""Files that a page speaks of without having them."""


@pytest.mark.parametrize(("path", "line", "needy"), COMMANDS, ids=lambda value: str(value)[:60].replace("/", "-"))
def test_every_command_of_the_documentation_exists_with_its_options_and_files(path, line, needy):
    words = shlex.split(line.split(" || ")[0].split(" > ")[0], comments=True)
    assert parsed(typer.main.get_command(app), words) is not None
    for word in words:
        if word.startswith(("experiments/", "results/reference/")) and not needy:
            assert word in MADE_UP or (ROOT / word).exists(), f"{path.name}: {word}"


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 25 and any(needy for *_, needy in COMMANDS)


def test_a_command_that_is_not_there_would_be_found():
    with pytest.raises(Exception, match="No such option"):
        parsed(typer.main.get_command(app), ["run", "x.yaml", "--no-such-option"])
    with pytest.raises(KeyError):
        parsed(typer.main.get_command(app), ["no-such-command"])
