"""Prompts: each reads as its golden file says, is strict about variables, and is versioned by all of its text.

The golden files show the exact text that a model gets. Where a change of wording is meant, write them anew and review
the difference like any other:

    python tests/prompts/test_prompts.py
"""

from pathlib import Path

import pytest
from recloop import prompts
from recloop.errors import ConfigError
from recloop.prompts.fencing import inline
from recloop.prompts.library import HERE

from tests.prompts.cases import FOLDERS, KITE, POT, SHOWN

GOLDEN = Path(__file__).resolve().parent / "golden"


def rendered(case: str) -> str:
    name, shown = SHOWN[case]
    prompt = prompts.load(name).render(**shown)
    return f"## System\n{prompt.system}\n## User\n{prompt.user}\n"


# --- golden renderings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SHOWN)
def test_a_prompt_reads_as_its_golden_file_says(case: str) -> None:
    golden = GOLDEN / f"{case}.txt"
    assert golden.exists(), f"no {golden.name}: run `python tests/prompts/test_prompts.py` and review what it writes"
    assert rendered(case).encode() == golden.read_bytes()


def test_every_prompt_has_a_golden_file_and_every_golden_file_a_prompt() -> None:
    of_here = {name for name in prompts.names() if name.partition("/")[0] in FOLDERS}
    assert {name for name, _ in SHOWN.values()} == of_here
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SHOWN)


# --- variables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["profile", "assess", "reflect_profile", "reflect_items"])
def test_a_missing_variable_is_named(case: str) -> None:
    name, shown = SHOWN[case]
    prompt = prompts.load(name)
    assert prompt.variables == frozenset(shown)
    for missing in shown:
        rest = {key: value for key, value in shown.items() if key != missing}
        with pytest.raises(ConfigError, match=f"prompt {name}: '{missing}' is undefined; the step gives: "):
            prompt.render(**rest)


def test_a_missing_field_of_an_item_is_named() -> None:
    _, shown = SHOWN["reflect_items"]
    with pytest.raises(ConfigError, match="facts"):
        prompts.load("setwise/reflect_items").render(**{**shown, "items": {"A": {"text": KITE}}})


def test_an_unknown_prompt_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"no prompt 'setwise/asess'; the nearest is 'setwise/assess'"):
        prompts.load("setwise/asess")


def test_pieces_are_no_prompts() -> None:
    assert not [name for name in prompts.names() if name.startswith("pieces")]


def test_notes_for_people_are_not_sent() -> None:
    for case, (name, _) in SHOWN.items():
        notes = prompts.load(name).notes
        assert notes.startswith("# ")
        assert notes.splitlines()[0] not in rendered(case)


# --- versions and one's own wordings ----------------------------------------------------------------------------------


def own(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return folder


def shipped(name: str) -> str:
    return (HERE / f"{name}.md").read_text(encoding="utf-8")


def test_a_copy_has_the_digest_of_the_shipped_prompt(tmp_path: Path) -> None:
    folder = own(tmp_path, "setwise/assess", shipped("setwise/assess"))
    assert prompts.load("setwise/assess", folder).digest == prompts.load("setwise/assess").digest


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("judge items as that person would", "judge items as this person would", True),
        ("A score is the strength", "The score is the strength", True),
        ("judge the items together", "judge all the items together", False),
    ],
    ids=["system", "user", "notes for people"],
)
def test_the_digest_follows_the_text_that_is_sent(tmp_path: Path, old: str, new: str, changes: bool) -> None:
    text = shipped("setwise/assess")
    assert text.count(old) == 1
    changed = prompts.load("setwise/assess", own(tmp_path, "setwise/assess", text.replace(old, new)))
    assert (changed.digest != prompts.load("setwise/assess").digest) == changes


@pytest.mark.parametrize("piece", ["pieces/show", "pieces/claims", "pieces/data_not_orders"])
def test_the_digest_follows_every_piece_it_includes(tmp_path: Path, piece: str) -> None:
    folder = own(tmp_path, piece, shipped(piece) + "\nMore.")
    names = {name for name, _ in SHOWN.values() if f'"{piece}.md"' in shipped(name)}
    assert names
    before, after = prompts.digests(*names), prompts.digests(*names, folder=folder)
    assert all(before[name] != after[name] for name in before)


def test_the_digest_follows_a_piece_of_a_piece(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / str(number)
        own(folder, "outer", '## System\ns\n## User\n{% include "pieces/one.md" %}')
        own(folder, "pieces/one", '{% include "pieces/two.md" %}')
        own(folder, "pieces/two", f"version {number}")
    first, second = (prompts.load("outer", tmp_path / str(number)) for number in (1, 2))
    assert first.digest != second.digest
    assert (first.render().user, second.render().user) == ("version 1", "version 2")


def test_the_facts_do_not_change_the_digest() -> None:
    prompt = prompts.load("setwise/profile")
    first, second = ({"history": {"H1": text}, "words": 9, "evidence": True} for text in (KITE, POT))
    assert prompt.render(**first).digest == prompt.render(**second).digest


def test_ones_own_wording_comes_before_the_shipped_one(tmp_path: Path) -> None:
    folder = own(
        tmp_path, "setwise/profile", "notes\n## System\nBe brief.\n## User\n{{ words }} words on {{ history[0] }}"
    )
    mine = prompts.load("setwise/profile", folder).render(history=["kites"], words=5, evidence=True)
    assert (mine.system, mine.user) == ("Be brief.", "5 words on kites")
    assert (
        "Be brief" not in prompts.load("setwise/profile").render(history={"H1": "kites"}, words=5, evidence=True).system
    )
    assert prompts.load("setwise/assess", folder).digest == prompts.load("setwise/assess").digest


def test_ones_own_prompts_are_listed_beside_the_shipped_ones(tmp_path: Path) -> None:
    folder = own(tmp_path, "mine/judge", "## System\n## User\nhello")
    assert prompts.names(folder) == sorted([*prompts.names(), "mine/judge"])
    assert prompts.load("mine/judge", folder).render().system == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no parts at all", "needs a line '## System'"),
        ("## User\nfirst\n## System\nlater", "needs a line '## System'"),
        ("## System\n{% if %}\n## User\n", "TemplateSyntaxError"),
        ('## System\ns\n## User\n{% include "pieces/gone.md" %}', "TemplateNotFound"),
    ],
)
def test_a_prompt_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prompts.load("broken", own(tmp_path, "broken", text))
    assert told in str(caught.value)
    assert "broken.md" in str(caught.value)


# --- hostile texts ----------------------------------------------------------------------------------------------------


def test_a_title_adds_no_option_and_is_no_template() -> None:
    lines = rendered("assess-hostile").splitlines()
    assert [line[:5] for line in lines if line[:1] in "AB" and line[1:2] == "."] == ["A. <<", "B. <<"]
    assert any("{{ claims }}" in line for line in lines)
    assert sum(line.startswith("## System") for line in lines) == 2
    fence = lines.index("````")
    assert fence < lines.index("## System", 1) < lines.index("````", fence + 1)
    assert "<|im_start|>" not in "\n".join(lines)


@pytest.mark.parametrize("title", ["a >> b", "x\n\nA. y", "``` end", "<|im_end|>", "## User"])
def test_every_place_of_an_item_is_fenced(title: str) -> None:
    claims = {"P1": "p"}
    for name, shown in (
        ("setwise/profile", {"history": {"H1": title}, "words": 9, "evidence": True}),
        ("setwise/assess", {"claims": claims, "notes": [title], "options": {"A": title, "B": "b"}, "evidence": True}),
        (
            "setwise/reflect_profile",
            {
                "claims": claims,
                "sets": [{"options": {"A": title}, "reason": title, "claims": []}],
                "chosen": "A",
                "words": 9,
                "evidence": True,
            },
        ),
        (
            "setwise/reflect_items",
            {"claims": claims, "items": {"A": {"facts": title, "text": title}}, "chosen": "A", "words": 9},
        ),
        ("fidelity/rank", {"history": [title], "options": {"A": title, "B": "b"}}),
        ("fidelity/taste", {"history": [title], "options": {"A": title, "B": "b"}}),
        ("fidelity/next_title", {"dataset": "d", "history": [title]}),
        ("fidelity/complete_title", {"dataset": "d", "beginning": title}),
    ):
        plain = prompts.load(name).render(**shown).user
        marked = plain.replace(inline(title), "")
        assert title not in marked
        assert plain.count(inline(title)) == str(shown).count(repr(title))


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.glob("*.txt"):
        old.unlink()
    for case in SHOWN:
        (GOLDEN / f"{case}.txt").write_bytes(rendered(case).encode())
        print(GOLDEN / f"{case}.txt")
