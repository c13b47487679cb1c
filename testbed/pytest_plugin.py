"""The other front door: boards as pytest fixtures, virtual until ``--lab FILE`` brings real ones.

Everything here is synchronous and plain, so it gets along with any asyncio plug-in. Nothing but pytest is imported
until a test asks for a board, or ``--lab`` names some.

Fixtures:
    testbed_lab: the lab of the session; boards open when they are first asked for, and close at the end.
    testbed_board: one open board, by default the lab's first; ``@pytest.mark.testbed_board("mcu")`` picks another.
    testbed_faults: breaks that board on order, and waits until it is mended; on a real board the test is skipped.

Markers:
    hardware: needs a real board; skipped unless ``--lab`` names a lab that has it.
    testbed_board: which board the fixture of that name gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.blocking import BlockingBoard, BlockingLab
    from testbed.faults import Faults


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--lab``."""
    group = parser.getgroup("testbed", "boards under test")
    group.addoption(
        "--lab",
        metavar="FILE",
        default=None,
        help="lab file with the boards to test on (default: the virtual lab that is shipped)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Explain the markers, and refuse a lab file that is wrong before any test would."""
    config.addinivalue_line(
        "markers",
        "hardware(*boards): needs these real boards (any real lab, if none); skipped unless --lab has them",
    )
    config.addinivalue_line(
        "markers", "testbed_board(name): the board of the lab that the fixture testbed_board gives"
    )
    given = config.getoption("--lab")
    if given is not None:
        _boards_in(given)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs real boards that are not there, naming them."""
    needing = [(item, mark) for item in items if (mark := item.get_closest_marker("hardware")) is not None]
    if not needing:
        return
    given = config.getoption("--lab")
    present = _boards_in(given) if given is not None else frozenset()
    for item, mark in needing:
        missing = [name for name in mark.args if name not in present]
        if given is None:
            wanted = ", ".join(mark.args) or "a real board"
            item.add_marker(pytest.mark.skip(reason=f"needs {wanted}: give --lab FILE"))
        elif missing:
            item.add_marker(pytest.mark.skip(reason=f"{given} has no real board {', '.join(missing)}"))


@pytest.fixture(scope="session")
def testbed_lab(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BlockingLab]:
    """The lab that ``--lab`` names, or the virtual one."""
    from testbed.blocking import BlockingLab
    from testbed.resources import lab

    file = lab(pytestconfig.getoption("--lab") or "virtual")
    with BlockingLab(file, state=tmp_path_factory.mktemp("testbed")) as opened:
        yield opened


@pytest.fixture
def testbed_board(request: pytest.FixtureRequest, testbed_lab: BlockingLab) -> BlockingBoard:
    """One open board of the lab."""
    mark = request.node.get_closest_marker("testbed_board")
    if mark is None:
        return testbed_lab.board(next(iter(testbed_lab.names)))
    if len(mark.args) != 1 or mark.kwargs:
        pytest.fail('write @pytest.mark.testbed_board("NAME"), with the name of one board', pytrace=False)
    return testbed_lab.board(mark.args[0])


@pytest.fixture
def testbed_faults(testbed_board: BlockingBoard) -> Iterator[Faults]:
    """Faults on order for ``testbed_board``; the test ends once it is up again."""
    faults = testbed_board.faults
    if faults is None:
        pytest.skip(f"board {testbed_board.name} is real: it does not break on order")
    try:
        yield faults
    finally:
        # Every fault heals by itself; the next test must not meet what is left of it.
        testbed_board.wait_up()


def _boards_in(given: str) -> frozenset[str]:
    """Names and kinds of the real boards in a lab file; a virtual one is no hardware."""
    from testbed.coordinator.labfile import read_lab
    from testbed.errors import ConfigError
    from testbed.resources import lab

    try:
        read = read_lab(lab(given))
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error
    real = {
        name: table.kind for name, (table, _) in read.boards.items() if not table.kind.startswith("virtual-")
    }
    return frozenset(real) | frozenset(real.values())
