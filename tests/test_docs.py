"""The documentation is run: its commands, links and code."""

from __future__ import annotations

import contextlib
import glob
import inspect
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

import zoo as public
from tests.command import zoo
from zoo.api import study_result
from zoo.cli.main import COMMANDS, PARSER
from zoo.cli.parser import Parser
from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.config.run_options import RUN_OPTIONS, SECTIONS
from zoo.model.build import VARIANTS
from zoo.registry import KINDS, get_index
from zoo.study.plan.study_file import SECTIONS as SECTIONS_OF_A_STUDY
from zoo.study.plan.study_file import STUDY_OPTIONS
from zoo.study.plan.tasks import TASK_OPTIONS
from zoo.testing.declaration_checks import GIVEN

ROOT = Path(__file__).parents[1]
NAMED = [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "CONTRIBUTING.md"]
PAGES = [page for page in (*NAMED, *sorted((ROOT / "docs").glob("*.md"))) if page.exists()]
DOCS = {page.stem: page.read_text(encoding="utf8") for page in PAGES if page.parent.name == "docs"}

BLOCK = re.compile(
    r"(?:`(?P<file>[\w./-]+)`[:：]\n\n|^<!-- (?P<marker>[\w ]+) -->\n+)?"
    r"^```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
OUTPUT = re.compile(r"\n+```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
EXACT = ("list", "show")  # commands that print the same on every machine, at the size that a page asks for
SMALL = ["steps=2", "evaluate=2", "model.dim=32", "model.hidden=32", "batch=32", "examples=1", "threads=1"]
FEWER = {
    "data=numbers": ["data.limit=100"],
    "data=pydocs": ["data.validation=0.005"],
    "data=chinese": ["data.texts=500"],
    "data=stories": ["data.texts=500"],
}


class Block(NamedTuple):
    """What stands between two fences: the file it is shown as, if any, and its comment."""

    file: str | None
    marker: str | None
    language: str
    body: str
    output: str | None
    """The block without a language right below it: what Python or a command prints."""


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf8")
    for found in BLOCK.finditer(text):
        below = OUTPUT.match(text, found.end())
        yield Block(found["file"], found["marker"], found["language"], found["body"], below and below[1])


def run_python(body: str, names: dict[str, object]) -> str:
    """Run a block in the namespace of its page, studies in this process; what it prints."""
    out, told = io.StringIO(), mock.patch.object(study_result, "run_command", lambda *words: zoo(*words).code)
    GlobalHydra.instance().clear()
    with told, contextlib.redirect_stdout(out):
        exec(compile(body, "<page>", "exec"), names)
    return out.getvalue()


def is_shown(printed: str, shown: str) -> bool:
    """True if a page shows what was printed, whatever kind of spaces; ``…`` stands for any text."""
    printed, shown = (
        re.sub(r" +$", "", text.replace("\xa0", " ").rstrip(), flags=re.MULTILINE) for text in (printed, shown)
    )
    pattern = re.escape(shown.replace("… (shortened)", "…")).replace("…", ".*")
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


def test_what_a_page_shows_is_compared() -> None:
    assert run_python("print(1)\nprint(a)\n", {"a": "[two]"}) == "1\n[two]\n"
    assert is_shown("1\n[two]\n", "1\n[two]\n")
    assert is_shown("1\n[two]\n", "1\n[…]\n")
    assert not is_shown("1\n[two]\n", "1\n")
    assert not is_shown("1\n[two]\n", "1\n[tw]\n")
    assert is_shown("choices: a, b, c  \nend\n", "choices: a, … (shortened)\nend\n")
    assert not is_shown("choices: b, a, c\nend\n", "choices: a, … (shortened)\nend\n")


def commands(body: str) -> Iterator[list[str]]:
    """The arguments of every ``zoo`` in a block; a pipe or redirection ends them."""
    for line in body.replace("\\\n", " ").splitlines():
        inner = re.search(r"\$\((zoo [^)]*)\)", line)
        words = shlex.split(inner[1] if inner else line, comments=True)
        while words and re.fullmatch(r"\w+=.*", words[0]):
            words.pop(0)
        if words and Path(words[0]).name == "zoo":
            end = next((i for i, word in enumerate(words) if word in ("|", ">", "&&", "&")), len(words))
            yield words[1:end]


def small(arguments: list[str]) -> list[str]:
    """The command with overrides behind its own that make it short."""
    if not arguments or {"-h", "--help", "--cfg", "--status"} & set(arguments):
        return arguments
    name, *rest = arguments
    swept = name == "report" and "-m" in rest
    fewer = FEWER.get(next((word for word in rest if word.startswith("data=")), "data=pydocs"), [])
    if name == "train" or swept:
        return [*arguments, *SMALL, *fewer]
    if name == "lecture" and rest:
        return [*arguments, "--dry-run"]
    if name == "report" and not glob.glob(f"{rest[0]}/config.yaml"):
        return [name, *_one_seed(rest), *SMALL, *([] if "=" not in rest[0] else fewer)]
    if name == "study":
        chosen = any(word.startswith("hydra/launcher=") for word in rest)
        one_process = [] if "hydra/launcher=basic" in rest else ["hydra.launcher.n_jobs=1"]
        launcher = [] if chosen else ["hydra/launcher=joblib"]
        return [name, *_one_seed(rest), *SMALL, *([] if "=" not in rest[0] else fewer), *launcher, *one_process]
    return arguments


def _one_seed(words: list[str]) -> list[str]:
    return ["seeds=1" if word.startswith("seeds=") else word for word in words]


def prepare(arguments: list[str]) -> None:
    """What a command needs and a reader would have: texts of one's own, and its study with one seed and few numbers."""
    for word in arguments:
        if (path := re.fullmatch(r"data\.path=(.+)", word)) and not Path(path[1]).exists():
            pair = "data=pairs" in arguments
            lines = [f"question {i}\tanswer {i}" if pair else f"This is line {i} of a text." for i in range(200)]
            Path(path[1]).write_text("\n".join(lines), encoding="utf8")
    for name in arguments[1:] if arguments[:1] in (["study"], ["report"]) else []:
        known, here = ROOT / "experiments" / name / "study.yaml", Path(name) / "study.yaml"
        if known.is_file() and not here.exists():
            here.parent.mkdir(parents=True)
            here.write_text(known.read_text(encoding="utf8"), encoding="utf8")
        if here.is_file() and "=" not in name:
            study = yaml.safe_load(here.read_text(encoding="utf8"))
            for what in (study, *study["tasks"].values()):
                for line in FEWER.get(f"data={(what.get('overrides') or {}).get('data')}", []):
                    key, value = line.split("=")
                    what["overrides"][key] = float(value) if "." in value else int(value)
                    what["overrides"].pop("data.tokenizer.vocabulary", None)  # so that texts are tokenised once
            one = {"seeds": [1]} if isinstance(study["seeds"], list | int) else {}
            here.write_text(yaml.safe_dump({**study, **one}, sort_keys=False), encoding="utf8")


def expanded(arguments: list[str]) -> list[str]:
    """As a shell would: patterns without ``=`` become paths."""
    return [
        path
        for word in arguments
        for path in ((sorted(glob.glob(word)) or [word]) if "*" in word and "=" not in word else [word])
    ]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one reader of all pages: a run that two pages ask for is trained once."""
    return tmp_path_factory.mktemp("reader")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_do_what_the_page_says(page: Path, reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page from top to bottom, so that later commands find what earlier ones made."""
    monkeypatch.chdir(reader)
    monkeypatch.setenv("COLUMNS", "200")
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python" and block.file is None and block.marker != "excerpt":
            printed = run_python(block.body, names)
            assert is_shown(printed, block.output or ""), printed
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.body, encoding="utf8")
        lines: list[str] = []
        for arguments in commands(block.body) if block.language in ("bash", "sh", "console") else ():
            if block.marker == "checked only":
                assert composes(arguments), arguments
                continue
            if block.marker is None:
                prepare(arguments)
            GlobalHydra.instance().clear()
            done = zoo(*(expanded(arguments) if block.marker else small(expanded(arguments))))
            GlobalHydra.instance().clear()
            told = f"zoo {shlex.join(arguments)}\n{done.out[-2000:]}\n{done.err[-2000:]}"
            if block.marker == "refused":
                assert done.code == 2, told
                assert re.search(r"^zoo: ", done.err, re.MULTILINE), told
                lines += re.findall(r"^zoo: .*", done.err, re.MULTILINE)
            else:
                assert done.code == 0, told
                assert "Traceback" not in done.err, told
                lines += [done.out.strip()] if arguments[0] in EXACT else []
        if lines and block.output:
            assert is_shown("\n".join(lines), block.output), "\n".join(lines)


def composes(arguments: list[str]) -> bool:
    """Whether a training is refused for nothing but an extra that is not installed."""
    assert arguments[0] == "train", "only trainings can be checked without being run"
    return all("pip install" in line for line in check_run(compose_run(arguments[1:])).problems)


def test_there_are_commands_to_run() -> None:
    """The extraction finds what it should, in each form."""
    assert list(commands('A=1 zoo train a=1 \\\n  b=2 # why\neval "$(zoo completion bash)"\nmake demo\n')) == [
        ["train", "a=1", "b=2"],
        ["completion", "bash"],
    ]
    found = [block for page in PAGES for block in blocks(page)]
    assert sum(len(list(commands(block.body))) for block in found if block.language == "bash") > 25
    assert {"refused", "checked only", "excerpt", None} == {block.marker for block in found}


# --------------------------------------------------------------------------------------------------- links and code


def slugs(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf8")):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in slugs(found), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_can_be_read(page: Path) -> None:
    for number, block in enumerate(blocks(page)):
        if block.language == "python":
            compile(block.body, f"{page.name}, block {number}", "exec")
        if block.language == "yaml":
            yaml.safe_load(block.body)


def test_every_page_is_in_the_index() -> None:
    for name in DOCS:
        assert name == "README" or f"({name}.md)" in DOCS["README"]


# ----------------------------------------------------------------------------------------------------- completeness


def missing(text: str, names: list[str]) -> list[str]:
    return [name for name in names if not re.search(rf"`[^`\n]*(?<!\w){re.escape(name)}(?!\w)[^`\n]*`", text)]


def test_every_command_and_flag_is_documented() -> None:
    """The tables are what the parsers say, and no flag is on the page that no command has."""
    page = DOCS["commands"]
    parsers = [PARSER, *(module.PARSER for module in COMMANDS.values())]
    assert commands_table(parsers[1:]) in page
    assert flags_table(parsers) in page
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page))
    assert mentioned - {"--flag"} <= {flag for parser in parsers for flag in parser.flags}


def commands_table(parsers: list[Parser]) -> str:
    rows = [f"| `{'` or `'.join(parser.forms)}` | {parser.summary} |" for parser in parsers]
    return "\n".join(["| command | does |", "|---|---|", *rows]) + "\n"


def flags_table(parsers: list[Parser]) -> str:
    """Each flag once, with the commands that have it with this meaning."""
    rows: dict[tuple[str, str], list[str]] = {}
    for parser in parsers:
        for action in dict.fromkeys(parser.flags.values()):
            value = f" {action.metavar}" if action.metavar else ""
            name = ", ".join(f"`{flag}{value if flag.startswith('--') else ''}`" for flag in action.option_strings)
            rows.setdefault((name, action.help or ""), []).append(parser.name)
    lines = [f"| {name} | {_commands(names, len(parsers))} | {help} |" for (name, help), names in rows.items()]
    return "\n".join(["| flag | of | does |", "|---|---|---|", *lines]) + "\n"


def _commands(names: list[str], every: int) -> str:
    return "every command" if len(names) == every else ", ".join(f"`{f'zoo {name}'.strip()}`" for name in names)


def test_every_option_and_section_of_a_run_is_documented() -> None:
    assert not missing(DOCS["commands"], [option.name for option in RUN_OPTIONS])
    assert not missing(DOCS["commands"], list(SECTIONS))
    for group in ("optimizer", "schedule", "trainer", "logger"):
        assert not missing(DOCS["commands"], list_choices(group))


def test_every_kind_and_variant_is_documented() -> None:
    assert not missing(DOCS["concepts"], [*KINDS, *VARIANTS])
    assert not missing(DOCS["adding_a_component"], list(KINDS))


def test_every_source_and_tokenizer_is_documented() -> None:
    assert not missing(DOCS["data"], [*get_index().get_names("data"), *get_index().get_names("tokenizer")])


def test_every_key_of_a_study_is_documented() -> None:
    keys = [option.name for option in (*STUDY_OPTIONS, *TASK_OPTIONS)]
    assert not missing(DOCS["studies"], [*keys, *SECTIONS_OF_A_STUDY])


def test_every_extra_is_documented() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]["optional-dependencies"]
    assert not missing(DOCS["commands"], list(extras))


def test_every_environment_variable_is_documented() -> None:
    sources = [*(ROOT / "zoo").rglob("*.py"), *(ROOT / "conf").rglob("*.yaml")]
    used = {name for file in sources for name in re.findall(r"\bZOO_[A-Z]+\b", file.read_text(encoding="utf8"))}
    assert "ZOO_CACHE" in used
    assert not missing(DOCS["commands"], sorted(used))


def test_the_table_of_objectives_is_what_they_declare() -> None:
    lines = [line for line in DOCS["concepts"].splitlines() if line.startswith("|")]
    at = next(i for i, line in enumerate(lines) if line.startswith("| objective | decoder, documents"))
    head = [cell.strip() for cell in lines[at].strip("|").split("|")]
    told = {}
    for line in lines[at + 2 :]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != len(head):
            break
        told[cells[0].strip("`")] = dict(zip(head[1:], cells[1:], strict=True))
    assert set(told) == set(get_index().get_names("objective"))
    for name, row in told.items():
        combines = get_index().get("objective", name).load().combines  # type: ignore[attr-defined]
        for column, cell in row.items():
            variant, form = column.split(", ")
            allowed = (variant, form) in combines
            chosen = VARIANTS[variant].default_objectives[form] == name
            assert cell == ("**yes**" if chosen else "yes" if allowed else "–"), f"{name}: {column}"


# ------------------------------------------------------------------------------------------------- abstract classes


def read_table(page: str, head: str) -> dict[str, list[str]]:
    """The rows below the line that begins with ``head``, by the code in their first cell."""
    lines = page[page.index(f"\n{head}") + 1 :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {re.findall(r"`(\w+)`", first)[0]: rest for first, *rest in rows}


def read_members(cell: str) -> dict[str, str | None]:
    """The members that a cell names in code, with the parameters of methods; None for attributes."""
    return {found[1]: found[2] for found in re.finditer(r"`(\w+)(?:\(([\w, ]*)\))?`", cell)}


def describe_member(classes: list[type], name: str) -> str | None:
    """The parameters of a method of one of the classes, as the page writes them; None for an attribute."""
    member = next(getattr(cls, name, None) for cls in classes if hasattr(cls, name) or name in cls.__annotations__)
    return ", ".join(list(inspect.signature(member).parameters)[1:]) if callable(member) else None


def test_the_table_of_base_classes_is_what_they_declare() -> None:
    table = read_table(DOCS["adding_a_component"], "| kind | base class")
    assert list(table) == list(KINDS)
    for kind, (bases, defines, overrides) in table.items():
        classes: list[type] = [getattr(public, name) for name in read_members(bases)]
        required = {name for cls in classes for name in getattr(cls, "__abstractmethods__", ())}
        required |= {name for cls in classes for name in cls.__annotations__ if not hasattr(cls, name)}
        if kind == "position":
            required = {"embed", "rotate_queries", "rotate_keys", "bias"}
        must, may = read_members(defines), read_members(overrides)
        assert set(must) == required, kind
        assert not required & set(may), kind
        named = must | may
        assert named == {name: describe_member(classes, name) for name in named}, kind


def test_the_table_of_kinds_is_what_the_model_passes() -> None:
    for kind, (_, arguments) in read_table(DOCS["concepts"], "| kind | what its components do").items():
        assert arguments.strip("`") == (", ".join(GIVEN[kind]) or "none")
