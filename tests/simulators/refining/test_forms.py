"""The refined log has the form of the log: separators, line ends, marks, escapes, JSON fields, lines of sequences."""

import codecs
import json
from pathlib import Path

import pytest
from recloop.errors import DataError
from recloop.recsys.data.log_detection import logged
from recloop.recsys.data.streams import chunks
from recloop.simulators.refining.refine import refine

ROWS = [(f"u{u}", f"i{(3 * u + k) % 12}", 5, 1_600_000_000 + 10 * k) for u in range(6) for k in range(7)]


def refined(path: Path, *settings: str, prefix: str = "i") -> bytes:
    out, items = path.with_name(f"clean.{path.name}"), path.with_name("items.csv")
    items.write_text("item_id,title\n" + "".join(f"{prefix}{item},wooden toy {item}\n" for item in range(12)))
    asked = ["steps.0.generate.users=1", "provenance=false", f"data.items={items}", *settings]
    refine(path, out, steps=["generate"], settings=asked)
    return out.read_bytes()


def without_new(raw: bytes, clean: bytes, end: bytes) -> list[bytes]:
    """The lines of the refined log that the log has; new rows differ in the item."""
    lines = set(raw.split(end))
    return [line for line in clean.split(end) if line in lines]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_line_ends_and_a_byte_order_mark_stay(tmp_path: Path, end: str, mark: bytes) -> None:
    text = end.join(["user_id,item_id,rating,timestamp", *(",".join(map(str, row)) for row in ROWS), ""])
    path = tmp_path / "log.csv"
    path.write_bytes(mark + text.encode())
    clean = refined(path)
    assert clean.startswith(mark + b"user_id")
    assert without_new(mark + text.encode(), clean, end.encode()) == (mark + text.encode()).split(end.encode())
    assert clean.count(b"\n") == (clean.count(end.encode()) if "\n" in end else 0)


def test_a_log_without_header_stays_one(tmp_path: Path) -> None:
    text = "1 1\n" + "".join(f"{u[1:]} {i[1:]}\n" for u, i, *_ in ROWS)
    (tmp_path / "log.txt").write_text(text)
    clean = refined(tmp_path / "log.txt", "data.columns={user_id: 0, item_id: 1}", prefix="")
    assert without_new(text.encode(), clean, b"\n")[: len(text.split("\n"))]
    assert clean.startswith(b"1 1\n")


@pytest.mark.parametrize("timed", [True, False])
def test_json_lines_keep_their_fields_and_get_no_others(tmp_path: Path, timed: bool) -> None:
    lines = [json.dumps({"user_id": u, "item_id": i} | ({"timestamp": t} if timed else {})) for u, i, _, t in ROWS]
    text = "".join(f"{line}\n" for line in lines)
    (tmp_path / "log.jsonl").write_text(text)
    clean = refined(tmp_path / "log.jsonl")
    assert without_new(text.encode(), clean, b"\n") == text.encode().split(b"\n")
    assert {tuple(json.loads(line)) for line in clean.splitlines()} == {tuple(json.loads(lines[0]))}
    assert len(clean.splitlines()) > len(lines)


def test_lines_of_sequences_stay_such_and_a_user_without_items_stays(tmp_path: Path) -> None:
    users: dict[str, list[str]] = {}
    for user, item, *_ in ROWS:
        users.setdefault(user, []).append(item)
    text = "nobody\n" + "".join(" ".join([user, *items]) + "\n" for user, items in users.items())
    (tmp_path / "log.txt").write_text(text)
    clean = refined(tmp_path / "log.txt", "data.sequences=true").decode()
    assert [line.split()[0] for line in clean.splitlines()] == ["nobody", *users]
    assert len(without_new(text.encode(), clean.encode(), b"\n")) == len(text.split("\n")) - 1
    assert len(clean.split()) > len(text.split())


def test_escaped_quotes_stay_escaped(tmp_path: Path) -> None:
    head = "user_id,item_id,note\n"
    text = head + "".join(f'{u},{i},"say \\"{k}\\", twice"\n' for k, (u, i, *_) in enumerate(ROWS))
    (tmp_path / "log.csv").write_text(text)
    clean = refined(tmp_path / "log.csv", r"data.escape='\'")
    assert without_new(text.encode(), clean, b"\n") == text.encode().split(b"\n")


@pytest.mark.parametrize(("odd", "year"), [("1600000000000", "52671"), ("1e23", "")])
def test_a_moment_in_another_unit_is_refused_before_anything_is_asked(tmp_path: Path, odd: str, year: str) -> None:
    text = "user_id,item_id,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, _, t in ROWS) + f"u0,i9,{odd}\n"
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(
        DataError, match=rf"row {len(ROWS) + 1}: .* lies in the year {year}.*; the others lie about 2020"
    ):
        refined(tmp_path / "log.csv")


def test_lists_in_parquet_are_refused_with_the_command_that_unrolls_them(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"user_id": [1], "item_ids": [[5, 6]]}).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match="recloop data convert table"):
        logged(tmp_path / "log.parquet")


def test_a_log_with_one_setting_reads_alike_in_chunks(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("0 1 2 3\n1 4 5\n2\n")
    [chunk] = chunks(logged(tmp_path / "log.txt", sequences=True))
    assert chunk["items"].to_pylist() == [["1", "2", "3"], ["4", "5"], []]
