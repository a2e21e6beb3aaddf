import numpy as np
import pytest

from wideflow.datasets import DataError, binary, load

VARIANTS = {
    "header": "a,b,y\n1,2,3\n4,5,6\n",
    "no header": "1,2,3\n4,5,6\n",
    "semicolons": "a;b;y\n1;2;3\n4;5;6\n",
    "tabs": "a\tb\ty\n1\t2\t3\n4\t5\t6\n",
    "windows line ends": "a,b,y\r\n1,2,3\r\n4,5,6\r\n",
    "byte order mark": "\ufeffa,b,y\n1,2,3\n4,5,6\n",
    "quotes": '"a","b, in m","y"\n"1","2","3"\n4,5,6\n',
    "blanks": "a, b, y\n\n 1, 2 , 3\n4,5,6\n\n\n",
    "no last newline": "a,b,y\n1,2,3\n4,5,6",
    "exponents": "a,b,y\n1e0,20e-1,3.\n+4,5,6\n",
    "target first": "y,a,b\n3,1,2\n6,4,5\n",
    "target between": "a,Target,b\n1,3,2\n4,6,5\n",
    "numbers for names": "0,1,target\n1,2,3\n4,5,6\n",
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_csv_variants_give_the_same_arrays(write, variant):
    data = load(write(VARIANTS[variant]))
    np.testing.assert_array_equal(data.x, [[1, 2], [4, 5]])
    np.testing.assert_array_equal(data.y, [3, 6])


def test_csv_header_names_the_features_and_the_note_the_target(write):
    data = load(write("a,height,weight\n1,2,3\n4,5,6\n"))
    assert data.feature_names == ("a", "height")
    assert data.notes == ("target column: 'weight'",)
    assert load(write("1,2,3\n")).notes == ("target column: 3",)


def test_csv_target_column_can_be_chosen(write):
    path = write("label,a,b\n0,1,2\n1,4,5\n")
    np.testing.assert_array_equal(load(path, target="label").y, [0, 1])
    with pytest.raises(DataError, match="column target='class' wanted, columns are 'label', 'a', 'b'"):
        load(path, target="class")


def test_csv_with_two_target_columns_is_ambiguous(write):
    path = write("y,target,a\n0,1,2\n")
    with pytest.raises(DataError, match=r"one target column wanted, got 'y', 'target'. Choose with target="):
        load(path)
    np.testing.assert_array_equal(load(path, target="y").y, [0])


def test_csv_target_may_be_text(write):
    rows = "".join(f"{i},{i * i},{'yn'[i % 2]}\n" for i in range(8))
    for text in (rows, "a,b,answer\n" + rows):
        data = load(write(text))
        assert len(data.y) == 8  # the first row ends with the label y and is no header
        assert binary(data, train=4, test=2).classes == ("n", "y")


def test_csv_cell_that_is_no_number_is_named_with_row_line_and_column(write):
    with pytest.raises(DataError, match=r"row 1 \(line 4\), column 'b', got 'n/a'"):
        load(write("a,b,y\n1,2,3\n\n1,n/a,3\n"))
    with pytest.raises(DataError, match=r"row 1 \(line 2\), column 2, got ''"):
        load(write("1,2,3\n1,,3\n"))
    with pytest.raises(DataError, match=r"row 0 \(line 2\), column 'a', got '1_0'"):
        load(write("a,b,y\n1_0,2,3\n"))


def test_csv_target_of_numbers_and_text_is_an_error(write):
    with pytest.raises(DataError, match=r"row 1 \(line 3\), column 'y', got 'unknown'"):
        load(write("a,y\n1,2\n3,unknown\n"))


def test_csv_cells_that_are_not_finite_are_named(write):
    with pytest.raises(DataError, match=r"columns 'a', 'b'\. 2 bad rows, counted from 0: 0, 2"):
        load(write("a,b,y\nnan,2,3\n1,2,3\n1,inf,3\n"))
    with pytest.raises(DataError, match=r"targets must be finite.*counted from 0: 0"):
        load(write("a,y\n1,1e999\n"))


BROKEN = {
    "": "the file is empty",
    "\n\n": "the file is empty",
    "a,b,y\n": "there is only a header",
    "1,2,3\n1,2\n": "3 cells per line wanted, line 2 has 2",
    "y\n1\n": "at least one feature and a target wanted",
}


@pytest.mark.parametrize("text", BROKEN)
def test_broken_csv_says_what_is_wrong(write, text):
    with pytest.raises(DataError, match=BROKEN[text]):
        load(write(text))


def test_csv_that_is_no_text_is_an_error(tmp_path):
    path = tmp_path / "bytes.CSV"
    path.write_bytes(b"\xff\xfe\x00,\x80\n")
    with pytest.raises(DataError, match="text in UTF-8 wanted"):
        load(path)


def test_missing_csv_is_named(tmp_path):
    with pytest.raises(DataError, match="an existing file wanted"):
        load(tmp_path / "nowhere.csv")


def test_target_is_for_csv_files_only():
    with pytest.raises(DataError, match="a target column is for csv files only"):
        load("digits", target="y")
