"""MovieLens: the publisher's files, and copies that something has happened to."""

import zipfile
from pathlib import Path

import pytest
from recloop.errors import DataError
from recloop.recsys.data import read_movielens

RATINGS = "userId,movieId,rating,timestamp\n7,1,4.5,100\n7,2,3.0,50\n8,1,5.0,70\n"
MOVIES = 'movieId,title,genres\n1,"Heat, The (1995)",Action|Crime\n2,Nothing,(no genres listed)\n'


def small(folder: Path, ratings: str = RATINGS, movies: str = MOVIES, **others: str) -> Path:
    (folder / "ratings.csv").write_text(ratings)
    (folder / "movies.csv").write_text(movies)
    for name, text in others.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_latest_small_has_its_published_size_and_texts(shared_data: Path) -> None:
    data = read_movielens(shared_data / "ml-latest-small" / "ml-latest-small.zip")
    assert (data.n_users, data.n_items, len(data)) == (610, 9724, 100836)
    toy_story = data.items.set_index("item_id").loc[1]
    assert toy_story["title"] == "Toy Story (1995)"
    assert toy_story["categories"] == "Adventure, Animation, Children, Comedy, Fantasy"
    assert toy_story["year"] == 1995
    assert "pixar" in toy_story["tags"]
    assert data.value.min() == 0.5
    assert data.value.max() == 5


def test_100k_has_its_published_size_genre_names_and_people(shared_data: Path) -> None:
    data = read_movielens(shared_data / "ml-100k")
    assert (data.n_users, data.n_items, len(data)) == (943, 1682, 100000)
    items, users = data.items.set_index("item_id"), data.users.set_index("user_id")
    assert items.loc[1, "categories"] == "Animation, Children's, Comedy"
    assert items.loc[2, "title"] == "GoldenEye (1995)"
    assert users.loc[[1]].to_numpy().tolist() == [[24, "M", "technician"]]


def test_100k_titles_are_latin_1_and_the_first_bracket_of_digits_from_the_end_is_the_year(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t1\t5\t10\n1\t2\t4\t20\n")
    flags = "|".join("1" if n in (5, 8) else "0" for n in range(19))
    lines = f"1|Misérables, Les (1995)|01-Jan-1995|||{flags}\n2|2001 (film) (1968) (V)|||u|{flags}\n"
    (tmp_path / "u.item").write_bytes(lines.encode("latin-1"))
    items = read_movielens(tmp_path).items
    assert items["title"].tolist() == ["Misérables, Les (1995)", "2001 (film) (1968) (V)"]
    assert items["year"].tolist() == [1995, 1968]
    assert items["categories"].tolist() == ["Comedy, Drama"] * 2


def test_zip_and_folder_of_the_same_files_are_the_same_data(shared_data: Path, tmp_path: Path) -> None:
    archive = shared_data / "ml-latest-small" / "ml-latest-small.zip"
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path)
    assert read_movielens(tmp_path).fingerprint == read_movielens(archive).fingerprint


def test_1m_reads_double_colons_latin_1_and_numbered_occupations(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::10::5::978300760\n1::11::3::978300750\n")
    (tmp_path / "movies.dat").write_bytes("10::Ça: ira (1993)::Drama|War\n11::B (2000)::Comedy\n".encode("latin-1"))
    (tmp_path / "users.dat").write_text("1::F::25::12::48067\n")
    data = read_movielens(tmp_path)
    assert data.items["title"].tolist() == ["Ça: ira (1993)", "B (2000)"]
    assert data.items["categories"].tolist() == ["Drama, War", "Comedy"]
    assert data.users.iloc[0].tolist() == [1, 25, "F", "programmer"]
    assert data.history(0).tolist() == [1, 0]


def test_interactions_are_ordered_by_time_within_a_user(tmp_path: Path) -> None:
    data = read_movielens(small(tmp_path))
    assert data.timestamp.tolist() == [50, 100, 70]
    assert data.items["item_id"].iloc[data.item].tolist() == [2, 1, 1]


def test_a_movie_without_year_or_genre_has_minus_one_and_no_category(tmp_path: Path) -> None:
    items = read_movielens(small(tmp_path)).items.set_index("item_id")
    assert items["year"].tolist() == [1995, -1]
    assert items["categories"].tolist() == ["Action, Crime", ""]


def test_a_rated_movie_that_movies_csv_does_not_list_stays_with_empty_texts(tmp_path: Path) -> None:
    items = read_movielens(small(tmp_path, movies="movieId,title,genres\n1,A (1990),Drama\n")).items
    assert items["title"].tolist() == ["A (1990)", ""]
    assert items["year"].tolist() == [1990, -1]


def test_tags_are_most_used_first_and_one_tag_in_any_case(tmp_path: Path) -> None:
    tags = "userId,movieId,tag,timestamp\n1,1,slow,1\n1,1,Dark,1\n2,1,dark,2\n3,1, ,2\n9,2,odd,1\n"
    folder = small(tmp_path, tags=tags)
    assert read_movielens(folder).items["tags"].tolist() == ["Dark, slow", "odd"]
    assert read_movielens(folder, tags=1).items["tags"].tolist() == ["Dark", "odd"]
    assert "tags" not in read_movielens(folder, tags=0).items


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("9,1,good,5", r"line 5, column 'rating': 'good' is not a number"),
        ("9,1,,5", r"line 5, column 'rating': '' is not a number"),
        ("9,1,nan,5", r"line 5, column 'rating': 'nan' is not a finite number"),
        ("9,1,4.0,5.5", r"line 5, column 'timestamp': '5.5' is not a whole number"),
        ("9,99999999999,4.0,5", r"line 5, column 'movieId': '99999999999' does not fit"),
        ("9,1,4.0", r"line 5 has 3 fields, 4 were expected"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(DataError, match=rf"ratings.csv: {said}.*mend or remove the line"):
        read_movielens(small(tmp_path, ratings=RATINGS + line + "\n"))


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ratings.csv: no column 'movieId' among .*did you mean 'movie_id'"):
        read_movielens(small(tmp_path, ratings="userId,movie_id,rating,timestamp\n1,1,1,1\n"))


def test_bytes_that_are_not_utf_8_are_named(tmp_path: Path) -> None:
    folder = small(tmp_path)
    (folder / "movies.csv").write_bytes(MOVIES.encode() + "3,Amélie (2001),Comedy\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"movies.csv: line 4: byte 0xe9 is not utf-8; .*encoding"):
        read_movielens(folder)


def test_one_movie_listed_twice_is_refused_unless_a_choice_is_made(tmp_path: Path) -> None:
    folder = small(tmp_path, movies=MOVIES + "1,Other (1996),Drama\n")
    with pytest.raises(DataError, match=r"movies.csv: item_id '1' stands more than once .*rows 1, 3"):
        read_movielens(folder)
    assert read_movielens(folder, twice="last").items["title"].iloc[0] == "Other (1996)"
    assert read_movielens(folder, twice="first").items["title"].iloc[0] == "Heat, The (1995)"


def test_a_movie_copied_word_for_word_is_one_movie(tmp_path: Path) -> None:
    assert read_movielens(small(tmp_path, movies=MOVIES + "2,Nothing,(no genres listed)\n")).n_items == 2


def test_movies_of_another_release_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="do not belong together"):
        read_movielens(small(tmp_path, movies="movieId,title,genres\n501,A (1990),Drama\n"))


def test_a_zip_without_ratings_says_what_it_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/links.csv", "movieId\n")
    with pytest.raises(DataError, match=r"a.zip holds no MovieLens ratings.*found: links.csv"):
        read_movielens(tmp_path / "a.zip")


def test_what_a_mac_puts_into_a_zip_is_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("__MACOSX/._ratings.csv", b"\x00\x05\x16\x07")
        archive.writestr("ml/ratings.csv", RATINGS)
    assert len(read_movielens(tmp_path / "a.zip")) == 3


def test_two_releases_in_one_folder_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        small(tmp_path / name)
    with pytest.raises(DataError, match="could be meant"):
        read_movielens(tmp_path)


def test_a_torn_zip_a_plain_file_and_a_missing_path_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "torn.zip").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "notes.md").write_text("hello")
    with pytest.raises(DataError, match="not a whole zip"):
        read_movielens(tmp_path / "torn.zip")
    with pytest.raises(DataError, match="neither a folder nor a zip"):
        read_movielens(tmp_path / "notes.md")
    with pytest.raises(DataError, match=r"no such file or folder.*notes.md"):
        read_movielens(tmp_path / "ml-1m")


def test_ratings_without_a_row_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ratings.csv: no interactions"):
        read_movielens(small(tmp_path, ratings="userId,movieId,rating,timestamp\n"))
