from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from coordinator.importers.errors import ImportFailed
from coordinator.importers.read import LINE_BYTES_MAX, read_table
from coordinator.importers.tables import ROW, Columns, Table

WANTED = Columns(("a", "b"), ("c",))


def read(tmp_path: Path, content: bytes, name: str = "f.csv") -> Table:
    path = tmp_path / name
    path.write_bytes(content)
    return read_table(path, WANTED)


def cells(table: Table) -> list[tuple[object, ...]]:
    return table.frame.select(ROW, "a", "b").rows()


def test_row_numbers_run_on_from_block_to_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.importers.read._BLOCK_BYTES", 8)
    lines = [f"{i},x\n".encode() for i in range(2, 40)]
    table = read(tmp_path, b"a,b\n" + b"".join(lines))
    assert cells(table) == [(i, str(i), "x") for i in range(2, 40)]


def test_the_header_is_row_1_and_every_field_arrives_as_text(tmp_path: Path) -> None:
    assert cells(read(tmp_path, b"a,b\n1,x\n2,y\n")) == [(2, "1", "x"), (3, "2", "y")]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa,b\n1,x\n",
        b"a,b\r\n1,x\r\n",
        b"a,b\n1,x",
        b" A ,B\n1,x\n",
        b'"a","b"\n"1","x"\n',
        b"b,a\nx,1\n",
    ],
    ids=["BOM", "CRLF", "no last line end", "spaced and upper case", "quoted", "other order"],
)
def test_spellings_of_one_file_are_one_table(tmp_path: Path, content: bytes) -> None:
    assert cells(read(tmp_path, content)) == [(2, "1", "x")]


def test_blank_lines_are_skipped_but_counted_in_row_numbers(tmp_path: Path) -> None:
    assert cells(read(tmp_path, b"a,b\n\n1,x\n  \n2,y\n\n")) == [(3, "1", "x"), (5, "2", "y")]


def test_quoted_fields_may_hold_commas_and_quotes(tmp_path: Path) -> None:
    table = read(tmp_path, b'a,b\n"1,5","say ""x"""\n2,y\n')
    assert cells(table) == [(2, "1,5", 'say "x"'), (3, "2", "y")]


def test_an_open_quote_costs_its_row_and_not_the_rest_of_the_file(tmp_path: Path) -> None:
    table = read(tmp_path, b'a,b\n"1,x\n2,y\n3,z\n')
    assert cells(table) == [(3, "2", "y"), (4, "3", "z")]
    assert [(bad.row, bad.payload) for bad in table.unreadable] == [(2, b'"1,x')]


def test_rows_with_too_few_or_too_many_fields_are_unreadable(tmp_path: Path) -> None:
    table = read(tmp_path, b'a,b\n1\n1,2,3\n"1","2","3"\n4,y\n')
    assert cells(table) == [(5, "4", "y")]
    assert sorted(bad.row for bad in table.unreadable) == [2, 3, 4]
    assert table.rows == 4


def test_bytes_that_are_not_utf8_cost_their_row_and_are_kept_unchanged(tmp_path: Path) -> None:
    table = read(tmp_path, b"a,b\n1,\xff\xfe\n2,y\n")
    assert cells(table) == [(3, "2", "y")]
    assert [(bad.row, bad.payload) for bad in table.unreadable] == [(2, b"1,\xff\xfe")]


def test_a_line_beyond_the_limit_is_refused_and_cut(tmp_path: Path) -> None:
    table = read(tmp_path, b"a,b\n1," + b"x" * (LINE_BYTES_MAX + 9) + b"\n2,y\n")
    assert cells(table) == [(3, "2", "y")]
    assert len(table.unreadable[0].payload) == LINE_BYTES_MAX


def test_line_separators_inside_a_field_do_not_split_it(tmp_path: Path) -> None:
    table = read(tmp_path, "a,b\n1,x\u2028y\x0bz\n".encode())
    assert cells(table) == [(2, "1", "x\u2028y\x0bz")]


def test_other_columns_are_ignored_and_named(tmp_path: Path) -> None:
    table = read(tmp_path, b"a,note,b\n1,hello,x\n")
    assert table.ignored == ("note",)
    assert cells(table) == [(2, "1", "x")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"a,b\n", "no rows"),
        (b"a,b\n\n\n", "no rows"),
        (b"a;b\n1;x\n", "not separated by commas"),
        (b"a\tb\n1\tx\n", "not separated by commas"),
        (b"a\n1\n", "column b is missing"),
        (b"a,b,A\n1,x,2\n", "column a stands there twice"),
        ("a,b\n1,x\n".encode("utf-16"), "UTF-16"),
        (b"a,b\xff\n1,x\n", "not UTF-8"),
        (b'a,"b\n1,x\n', "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, content: bytes, told: str
) -> None:
    with pytest.raises(ImportFailed, match=told) as caught:
        read(tmp_path, content)
    assert "f.csv" in str(caught.value)


def test_a_missing_file_a_folder_and_another_format_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("absent.csv", "folder.csv", "table.xlsx", "absent.parquet"):
        with pytest.raises(ImportFailed, match=name):
            read_table(tmp_path / name, WANTED)


def test_parquet_keeps_its_types_and_counts_rows_from_1(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pl.DataFrame({"A": [1, 2], "b": ["x", "y"], "z": [0.0, 1.0]}).write_parquet(path)
    table = read_table(path, WANTED)
    assert cells(table) == [(1, 1, "x"), (2, 2, "y")]
    assert table.ignored == ("z",)


def test_a_damaged_parquet_file_is_an_error_of_ours_or_still_a_table(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pl.DataFrame({"a": list(range(50)), "b": ["x"] * 50}).write_parquet(path)
    whole = path.read_bytes()
    chance = random.Random(5)
    for _ in range(150):
        spot = chance.randrange(len(whole))
        path.write_bytes(whole[:spot] + bytes([chance.randrange(256)]) + whole[spot + 1 :])
        try:
            assert isinstance(read_table(path, WANTED), Table)
        except ImportFailed as error:
            told = str(error)
            if "f.parquet" not in told:
                pytest.fail(told)
    for length in (1, 4, 20, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ImportFailed, match=r"f\.parquet"):
            read_table(path, WANTED)


def parquet(tmp_path: Path, frame: pl.DataFrame) -> Path:
    path = tmp_path / "f.parquet"
    frame.write_parquet(path)
    return path


def test_rows_of_nothing_are_refused_by_the_footer_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pl.int_range(2_000_000, eager=True)
    same = pl.DataFrame({"a": rows.replace_strict({}, default="x"), "b": "y"})
    path = parquet(tmp_path, same)
    assert path.stat().st_size < 50_000
    monkeypatch.setattr(pl, "read_parquet", None)
    with pytest.raises(ImportFailed, match="it claims 2,000,000 rows"):
        read_table(path, WANTED)


def test_too_many_rows_are_refused_in_either_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.importers.read.ROWS_MAX", 3)
    four = pl.DataFrame({"a": ["1", "2", "3", "4"], "b": "y"})
    assert read_table(parquet(tmp_path, four.head(3)), WANTED).rows == 3
    assert read(tmp_path, four.head(3).write_csv().encode()).rows == 3
    with pytest.raises(ImportFailed, match="more than 3 rows"):
        read_table(parquet(tmp_path, four), WANTED)
    with pytest.raises(ImportFailed, match="more than 3 rows"):
        read(tmp_path, four.write_csv().encode())


@pytest.mark.parametrize("value", [[1, 2], b"bytes", {"x": 1}])
def test_columns_of_many_values_a_row_are_refused_unread(
    tmp_path: Path, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path, pl.DataFrame({"a": ["1"], "b": [value]}))
    monkeypatch.setattr(pl, "read_parquet", None)
    with pytest.raises(ImportFailed, match="column b holds"):
        read_table(path, WANTED)


def test_a_text_beyond_measure_in_a_parquet_file_is_refused(tmp_path: Path) -> None:
    long = pl.DataFrame({"a": ["x" * (LINE_BYTES_MAX + 1)], "b": "y"})
    with pytest.raises(ImportFailed, match="column a holds a text longer"):
        read_table(parquet(tmp_path, long), WANTED)


def test_a_device_behind_a_fair_name_is_refused(tmp_path: Path) -> None:
    for suffix in ("csv", "parquet"):
        link = tmp_path / f"link.{suffix}"
        link.symlink_to("/dev/zero")
        with pytest.raises(ImportFailed, match="no regular file"):
            read_table(link, WANTED)
