"""The blocks of pages: escaped text, tables that programs can read, pictures within the page."""

import base64
import html.parser
import io

import numpy as np
import pytest
from PIL import Image

from experiment_jax.drawing import pages
from experiment_jax.drawing.pages import Cell

VOID = {"meta", "img", "wbr"}


class Reader(html.parser.HTMLParser):
    """Tags with their attributes, the text, and that every tag is closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_text_is_escaped_once_and_markup_is_kept():
    odd = '<b>&"x"'
    inner = pages.paragraph(odd)
    assert inner == "<p>&lt;b&gt;&amp;&quot;x&quot;</p>"
    assert pages.section("<", inner) == f"<h2>&lt;</h2>\n{inner}"
    read = Reader(pages.page(odd, inner, pages.definitions({odd: odd}), pages.table([odd], [[odd]], odd)))
    assert "b" not in {tag for tag, _ in read.tags} and read.text.count(odd) == 8


def test_a_section_without_content_is_not_there():
    assert pages.section("title", pages.gallery([]), pages.paragraph()) == ""


def test_a_table_names_its_rows_and_columns_and_sorts_by_values():
    given = [[Cell("b"), Cell(0.125, "⅛", "best")], ["a", ""]]
    read = Reader(pages.table(["name", "fd"], given, "what it is", chosen=0))
    tags = [(tag, attributes.get("scope"), attributes.get("data-value")) for tag, attributes in read.tags]
    assert ("th", "row", "b") in tags and ("td", None, "0.125") in tags and ("td", None, "") in tags
    assert [scope for tag, scope, _ in tags if tag == "th"] == ["col", "col", "row", "row"]
    assert ("button", {"type": "button"}) in read.tags and ("tr", {"class": "chosen"}) in read.tags
    box = next(attributes for tag, attributes in read.tags if tag == "div")
    assert (box["role"], box["tabindex"], box["aria-label"]) == ("region", "0", "what it is")
    still = Reader(pages.table(["name"], [["a"]], "", sorts=False))
    assert not {"button"} & {tag for tag, _ in still.tags} and "data-value" not in still.tags[-1][1]


def test_a_picture_is_in_the_page_bit_by_bit_and_has_a_text():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    read = Reader(pages.strips([pages.figure(picture, 'of "a"', "a < b")], "rows"))
    image = dict(read.tags)["img"]
    assert (image["alt"], image["width"], image["height"], read.text.strip()) == ('of "a"', "7", "5", "a < b")
    kind, _, content = image["src"].partition(",")
    assert kind == "data:image/png;base64"
    np.testing.assert_array_equal(Image.open(io.BytesIO(base64.b64decode(content))), picture)


def test_what_is_folded_or_in_a_row_is_whole_and_escaped():
    assert pages.folded("title", "") == pages.series([], "none") == ""
    picture = pages.figure(np.zeros((2, 3, 3), np.uint8), "x", "a < b")
    read = Reader(pages.folded("<all>", pages.series([picture, picture], '"time"'), pages.code("a && <b>")))
    assert read.text.split() == ["<all>", "a", "<", "ba", "<", "b", "a", "&&", "<b>"]
    assert [tag for tag, _ in read.tags].count("img") == 2 and {"details", "summary", "pre"} <= dict(read.tags).keys()
    [box] = [attributes for tag, attributes in read.tags if attributes.get("role")]
    assert (box["tabindex"], box["aria-label"]) == ("0", '"time"')


@pytest.mark.parametrize("length", [47, 48, 49, 400])
def test_long_values_are_shortened_and_whole_in_the_tooltip(length):
    value = "".join(chr(97 + number % 26) for number in range(length))
    read = Reader(pages.shortened(value))
    assert len(read.text) <= 49 and (read.text == value) == (length <= 48)
    assert read.tags == ([] if length <= 48 else [("span", {"title": value})])


def test_a_page_asks_for_nothing_from_elsewhere():
    text = pages.page("title", pages.figure(np.zeros((2, 2, 3), np.uint8), "x"), pages.table(["a"], [["b"]], "c"))
    read = Reader(text)
    assert "http:" not in text and "https:" not in text and "url(" not in text and "@import" not in text
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in read.tags}
    assert {"viewport"} == {attributes.get("name") for tag, attributes in read.tags if tag == "meta"} - {None}
