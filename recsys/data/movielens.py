"""Reads MovieLens as GroupLens publishes it: latest-small, 20M, 25M, 32M (CSV), 100K (`u.data`), 1M and 10M (`::`)."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pandas as pd
import pyarrow as pa

from ...errors import DataError
from .assemble import Twice, assemble
from .dataset import Dataset
from .delimited import Format, read
from .files import File, name_of, named, within
from .times import check_moments

GENRES_100K = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
).split()
"""The order of the 19 flags that end a line of `u.item`, for copies that come without `u.genre`."""

OCCUPATIONS_1M = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
"""What the numbers in `users.dat` stand for."""

_NO_GENRE = ("(no genres listed)", "unknown")


def read_movielens(path: str | Path, *, tags: int = 20, twice: Twice = "error") -> Dataset:
    """The ratings, movies, tags and people of the MovieLens folder or zip at `path`.

    Items: `title` as in the source (with its year), `categories` (genres joined by ", ", empty where none is listed),
    `year` (int, -1 where the title has none), and `tags`, where the release has them: up to `tags` of the item's
    tags, most used first (0 leaves the column out). Tags are users' own words, given at any time.
    Users: `age`, `sex`, `occupation` where the release has them (1M: age is the lower end of a band).
    DataError when the path holds no ratings, or a line cannot be read.
    """
    files = within(path)
    items = users = movies = people = None
    if ratings := named(files, "ratings.csv"):
        columns = {"userId": pa.int32(), "movieId": pa.int32(), "rating": pa.float32(), "timestamp": pa.int64()}
        interactions = _ratings(ratings, columns, Format())
        movies = named(files, "movies.csv")
        items = _movies_csv(movies, named(files, "tags.csv"), tags)
    elif ratings := named(files, "u.data"):
        interactions = _ratings(ratings, _PLAIN, Format("\t", False, names=tuple(_PLAIN)))
        movies, people = named(files, "u.item"), named(files, "u.user")
        items = _movies_100k(movies, named(files, "u.genre"))
        users = _people(people, Format("|", False, "latin-1", ("user_id", "age", "sex", "occupation", "zip")))
    elif ratings := named(files, "ratings.dat"):
        interactions = _ratings(ratings, _PLAIN, Format("::", False, names=tuple(_PLAIN)))
        movies, people = named(files, "movies.dat"), named(files, "users.dat")
        items = _movies_dat(movies, named(files, "tags.dat"), tags)
        users = _people(people, Format("::", False, "latin-1", ("user_id", "sex", "age", "occupation", "zip")))
    else:
        _no_ratings(path, files)
    return assemble(
        name_of(path),
        interactions,
        items,
        users,
        source=ratings,
        items_source=movies,
        users_source=people,
        twice=twice,
    )


def _no_ratings(path: str | Path, files: list[File]) -> NoReturn:
    seen = ", ".join(file.name for file in files[:8]) or "nothing"
    raise DataError(
        f"{path} holds no MovieLens ratings: no ratings.csv, u.data or ratings.dat (found: {seen}); "
        f"give the folder or zip as GroupLens publishes it, or read a table with `source: table`"
    )


_PLAIN = {"user_id": pa.int32(), "item_id": pa.int32(), "value": pa.float32(), "timestamp": pa.int64()}


def _ratings(file: File, columns: dict[str, pa.DataType], form: Format) -> pd.DataFrame:
    table = read(file, columns, form).rename_columns(list(_PLAIN))
    try:
        check_moments(table["timestamp"].to_numpy())
    except ValueError as error:
        raise DataError(f"{file}: {error}; mend or remove the row, or read it with `source: table`") from error
    return table.to_pandas(split_blocks=True, self_destruct=True)


def _movies_csv(movies: File | None, tags: File | None, most: int) -> pd.DataFrame | None:
    if movies is None:
        return None
    table = read(movies, {"movieId": pa.int32(), "title": pa.string(), "genres": pa.string()})
    items = _items(table.rename_columns(["item_id", "title", "genres"]).to_pandas())
    if tags is None or not most:
        return items
    return _tagged(items, read(tags, {"movieId": pa.int32(), "tag": pa.string()}).to_pandas(), most)


def _movies_dat(movies: File | None, tags: File | None, most: int) -> pd.DataFrame | None:
    if movies is None:
        return None
    names = ("item_id", "title", "genres")
    kinds = dict(zip(names, (pa.int32(), pa.string(), pa.string()), strict=True))
    # 1M is latin-1, 10M is UTF-8, both with the same file names: what reads as UTF-8 is UTF-8.
    try:
        items = _items(read(movies, kinds, Format("::", False, "utf-8", names)).to_pandas())
    except DataError:
        items = _items(read(movies, kinds, Format("::", False, "latin-1", names)).to_pandas())
    if tags is None or not most:
        return items
    given = read(
        tags,
        {"movieId": pa.int32(), "tag": pa.string()},
        Format("::", False, "utf-8", ("userId", "movieId", "tag", "timestamp")),
    )
    return _tagged(items, given.to_pandas(), most)


def _movies_100k(file: File | None, genre_file: File | None) -> pd.DataFrame | None:
    if file is None:
        return None
    genres = GENRES_100K
    if genre_file is not None:
        listed = read(
            genre_file,
            {"genre": pa.string(), "number": pa.int32()},
            Format("|", False, "latin-1", ("genre", "number")),
        ).to_pandas()
        genres = listed.sort_values("number")["genre"].tolist()
    names = ("item_id", "title", "released", "video", "url", *(f"genre {g}" for g in genres))
    kinds = {"item_id": pa.int32(), "title": pa.string()} | {f"genre {g}": pa.int8() for g in genres}
    table = read(file, kinds, Format("|", False, "latin-1", names)).to_pandas()
    flags = table[[f"genre {g}" for g in genres]].to_numpy(bool)
    table["genres"] = ["|".join(g for g, on in zip(genres, row, strict=True) if on) for row in flags]
    return _items(table[["item_id", "title", "genres"]])


def _items(movies: pd.DataFrame) -> pd.DataFrame:
    genres = [
        ", ".join(g for g in listed.split("|") if g and g not in _NO_GENRE) for listed in movies["genres"].astype(str)
    ]
    title = movies["title"].astype(str)
    # "(1995)" at the end, "(2006–2007)" and "(1983)(V)" occur: the last bracket that begins with four digits counts.
    year = title.str.extract(r"^.*\((\d{4})[^()]*\)", expand=False).fillna("-1").astype("int64")
    return pd.DataFrame({"item_id": movies["item_id"], "title": title, "categories": genres, "year": year})


def _tagged(items: pd.DataFrame, tags: pd.DataFrame, most: int) -> pd.DataFrame:
    """`items` with a column `tags`; upper and lower case are one tag, shown as it was first written."""
    tag = tags["tag"].astype(str).str.strip()
    given = pd.DataFrame({"item_id": tags["movieId"], "tag": tag, "key": tag.str.casefold()})[tag != ""]
    counts = given.groupby(["item_id", "key"], sort=False)["tag"].agg(["first", "size"]).reset_index()
    counts = counts.sort_values("size", ascending=False, kind="stable")
    joined = counts.groupby("item_id")["first"].agg(lambda words: ", ".join(words.iloc[:most]))
    return items.assign(tags=items["item_id"].map(joined).fillna("").astype(str))


def _people(file: File | None, form: Format) -> pd.DataFrame | None:
    if file is None:
        return None
    assert form.names is not None
    numbered = form.separator == "::"
    kinds = {"user_id": pa.int32(), "age": pa.int32(), "sex": pa.string(), "occupation": pa.string()}
    users = read(file, kinds, form).to_pandas()
    if numbered:
        names = {str(number): occupation for number, occupation in enumerate(OCCUPATIONS_1M)}
        users["occupation"] = users["occupation"].map(names).fillna(users["occupation"])
    return users
