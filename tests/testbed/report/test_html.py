"""The page stands alone and obeys nobody's markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from testbed.report.html import page, write_html
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from tests.testbed.store.synthetic import write_run

VOID = {"meta", "img", "br", "link"}


class Checker(HTMLParser):
    """Collects tags and whatever would be fetched, and checks that tags close in order."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.links = []
        self.tags = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in {"src", "href", "srcset", "data"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run") / "run", count=100)


@pytest.fixture(scope="module")
def text(folder):
    return page(analyse(read_run(folder)))


def test_it_is_well_formed_and_fetches_nothing(text):
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert checker.links
    assert all(link.startswith("data:image/svg+xml;base64,") for link in checker.links)
    assert not checker.tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"@import|url\(", text)


def test_text_from_files_is_escaped(text):
    assert "<b>&</b>" not in text
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in text


def test_it_says_what_is_measured_and_what_is_emulated(text):
    assert "jetson (virtual-jetson, edge): service emulated, link measured" in text
    assert "host (local, dc): service measured, link emulated" in text
    assert "a virtual board answered" in text


def test_it_shows_damage(folder, tmp_path):
    journal = folder / "trials/00-edgesight/attempt-1.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-5])
    try:
        write_html(analyse(read_run(folder)), tmp_path / "r.html")
    finally:
        journal.write_bytes(whole)
    found = (tmp_path / "r.html").read_text()
    assert "torn last line" in found
    assert "The run is incomplete" in found


def test_provenance_is_there(text):
    for word in ("e" * 40, "b" * 64, "Example CPU", "numpy 2.0.0", "cnn-tiny cccccccccccc"):
        assert word in text
