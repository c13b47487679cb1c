"""The report as one self-contained page: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from testbed.report.figures import draw_figures
from testbed.report.layout import detail_tables, main_tables
from testbed.report.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testbed.report.rows import Analysis
    from testbed.store.schema import Header

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:2.2rem 0 .5rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:right;vertical-align:top}
td{white-space:nowrap}th.n,td.n{text-align:left;white-space:normal}thead th{border-bottom:2px solid #888}
.remark,.note{color:#444;font-size:.86rem;margin:.3rem 0}.missed{color:#a40000;font-weight:600}.reached{color:#006644}
.withheld{color:#8a5a00}.plots{display:flex;flex-wrap:wrap;gap:0 2rem}figure{margin:1rem 0}
img{max-width:100%}figcaption{color:#444;font-size:.86rem}
.verdict{font-weight:600}pre{background:#f6f6f6;padding:.6rem;overflow-x:auto;font-size:.8rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;font-size:.86rem}
dt{color:#555}dd{margin:0;overflow-wrap:anywhere}
""".strip()

_VERDICTS = {
    "ok": "No accuracy target of the first policy was missed: none of their intervals lies wholly below its target.",
    "missed": "A target or a limit was missed.",
    "incomplete": "The run is incomplete: a trial is missing or does not count.",
}
_MARKED = frozenset({"missed", "reached", "withheld"})


def write_html(analysis: Analysis, path: Path) -> None:
    """Write the page; whatever stood there is replaced."""
    path.write_text(page(analysis), encoding="utf-8")


def page(analysis: Analysis) -> str:
    """The page's text."""
    header = analysis.header
    parts = [
        f"<h1>{escape(header.experiment)}</h1>",
        f'<p class="note">Run {escape(header.run)}, {escape(header.created)}</p>',
        f'<p class="verdict">{escape(_VERDICTS[analysis.verdict])}</p>',
        *(f'<p class="note">{escape(note)}</p>' for note in analysis.notes),
        *(table_to_html(table) for table in main_tables(analysis)),
        "<h2>Plots</h2>",
        '<div class="plots">',
        *(figure_to_html(name, svg) for name, svg in draw_figures(analysis).items()),
        "</div>",
        *(table_to_html(table) for table in detail_tables(analysis)),
        "<h2>What is measured and what is not</h2>",
        *_origins(analysis),
        "<h2>Provenance</h2>",
        *_provenance(header),
    ]
    return document(f"{header.experiment}: {header.run}", parts)


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page around parts that are HTML already."""
    head = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
    ]
    return "\n".join([*head, *parts, "</body></html>"]) + "\n"


def table_to_html(table: Table) -> str:
    """One table with its title and remarks."""
    head = "".join(
        f'<th scope="col"{_align(i, table)}>{escape(name)}</th>' for i, name in enumerate(table.head)
    )
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{_align(i, table, cell)}>{escape(cell)}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for row in table.body
    )
    remarks = "".join(f'<p class="remark">{escape(remark)}</p>' for remark in table.remarks)
    return (
        f'<h2>{escape(table.title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{remarks}"
    )


def _align(place: int, table: Table, cell: str = "") -> str:
    classes = (["n"] if place < table.names else []) + ([cell] if cell in _MARKED else [])
    return f' class="{" ".join(classes)}"' if classes else ""


def figure_to_html(name: str, svg: str) -> str:
    """As an image with its data inside: nothing in one plot can clash with another, or run."""
    data = base64.b64encode(svg.encode()).decode("ascii")
    return (
        f"<figure><figcaption>{escape(name)}</figcaption>"
        f'<img alt="{escape(name)}" src="data:image/svg+xml;base64,{data}"></figure>'
    )


_MEANING = {
    "measured": "real silicon did the work and a real instrument timed or metered it",
    "measured (contended)": "measured on a host that shares its cores with emulated boards",
    "cited": "somebody else's published measurement",
    "derived": "computed from somebody else's published measurement",
    "emulated": "a virtual board answered, kept the pace and drew the watts of a profile; a relay delayed the bytes",
    "simulated": "register-transfer cycles",
    "modelled": "virtual time",
    "assumed": "nobody measured it",
}


def _origins(analysis: Analysis) -> Iterable[str]:
    seen = dict.fromkeys(
        (row.board, row.kind, row.site, row.origin, row.link_origin) for row in analysis.boards
    )
    for board, kind, site, origin, link in seen:
        yield f'<p class="remark">{escape(f"{board} ({kind}, {site}): service {origin}, link {link}")}</p>'
    words = {o for row in analysis.boards for o in (row.origin, row.link_origin)}
    words |= {row.energy.origin for row in analysis.policies}
    for word in _MEANING:
        if word in words:
            yield f'<p class="remark">{escape(f"{word}: {_MEANING[word]}")}</p>'


def _provenance(header: Header) -> Iterable[str]:
    dirty = {None: "", False: "", True: " with uncommitted changes"}[header.git_dirty]
    facts: dict[str, object] = {
        "experiment": header.experiment_path,
        "lab": f"{header.lab_file} (SHA-256 {header.lab_sha256})",
        "source": (header.git_commit or "installed package") + dirty,
        "agent": header.agent_sha256 or "-",
        "versions": ", ".join(f"{name} {version}" for name, version in header.versions.items()),
        "host": ", ".join(f"{name}: {value}" for name, value in header.host.items()),
        "seeds": ", ".join(f"{name} {seed}" for name, seed in header.seeds.items()),
        "models": ", ".join(f"{name} {sha[:12]}" for name, sha in header.models.items()),
        "profiles": ", ".join(f"{name} {sha[:12]}" for name, sha in header.profiles.items()),
    }
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items() if value
    )
    yield f"<dl>{rows}</dl>"
    yield f"<details><summary>Lab file</summary><pre>{escape(header.lab_text)}</pre></details>"
