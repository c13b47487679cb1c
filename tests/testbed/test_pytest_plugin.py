from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(
        "[pytest]\nfilterwarnings = error\naddopts = --strict-markers -p no:randomly -p no:asyncio\n"
    )
    return pytester


def lab_file(pytester: pytest.Pytester, **kinds: str) -> str:
    text = 'schema = 1\nname = "mine"\n'
    for name, kind in kinds.items():
        text += f'[boards.{name}]\nkind = "{kind}"\nsite = "edge"\nmodels = ["cnn-tiny"]\n'
    return str(pytester.makefile(".toml", mine=text))


NEEDING = """
    import pytest

    @pytest.mark.hardware("orin")
    def test_named(): pass

    @pytest.mark.hardware("jetson")
    def test_of_a_kind(): pass

    @pytest.mark.hardware
    def test_any(): pass

    def test_none(): pass
"""


def test_without_a_lab_hardware_tests_are_skipped_naming_the_board(suite):
    suite.makepyfile(NEEDING)
    result = suite.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(["*needs orin: give --lab FILE*"])


def test_with_a_lab_only_missing_boards_are_skipped(suite):
    suite.makepyfile(NEEDING)
    result = suite.runpytest_subprocess("-rs", "--lab", lab_file(suite, left="jetson"))
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["*has no real board orin*"])


def test_a_wrong_lab_file_is_a_usage_error(suite):
    suite.makepyfile(NEEDING)
    suite.makefile(".toml", wrong='schema = 1\nname = "x"\nboard = {}\n')
    result = suite.runpytest_subprocess("--lab", "wrong.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*wrong.toml: board: unknown key. Did you mean 'boards'?*"])


def test_a_lab_that_is_not_there_is_a_usage_error_whatever_is_tested(suite):
    suite.makepyfile("def test_board(testbed_board): pass")
    result = suite.runpytest_subprocess("--lab", "nope.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*nope.toml: no such lab file*"])


def test_a_marker_without_a_board_says_how_to_write_it(suite):
    suite.makepyfile("""
        import pytest

        @pytest.mark.testbed_board
        def test_board(testbed_board): pass
    """)
    result = suite.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*write @pytest.mark.testbed_board("NAME")*'])


def test_boards_of_this_host_are_really_asked(suite):
    suite.makepyfile("""
        import pytest
        from testbed.errors import ConfigError

        def test_answers(testbed_lab, testbed_board):
            answers = testbed_board.infer(testbed_lab.images[:8])
            assert len(answers.labels) == 8
            assert answers.origin.value == "measured"
            assert answers.service_ms > 0

        def test_the_same_board_again(testbed_lab, testbed_board):
            assert testbed_lab.board("here") is testbed_board

        def test_no_such_model(testbed_lab, testbed_board):
            with pytest.raises(ConfigError, match="Did you mean 'cnn-tiny'"):
                testbed_board.infer(testbed_lab.images[:1], model="cnn-tny")

        def test_no_such_board(testbed_lab):
            with pytest.raises(ConfigError, match="no board 'there'"):
                testbed_lab.board("there")

        def test_broken(testbed_faults): pass
    """)
    result = suite.runpytest_subprocess("-rs", "--lab", lab_file(suite, here="local"))
    result.assert_outcomes(passed=4, skipped=1)
    result.stdout.fnmatch_lines(["*board here is real*"])


def test_the_example_suite_of_the_documentation(suite, tree):
    shutil.copy(tree / "docs" / "examples" / "test_my_board.py", suite.path)
    result = suite.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=5, skipped=1)
