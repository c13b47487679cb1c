import inspect

from testbed.wire import from_host


def test_every_message_is_in_the_table_and_says_its_direction():
    listed = [kind for kind, _ in from_host.LAYOUTS.values()]
    classes = {
        c for _, c in inspect.getmembers(from_host, inspect.isclass) if c.__module__ == from_host.__name__
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == classes
    assert all(kind.__doc__.startswith("H→A. ") for kind in listed)


def test_codes_are_of_this_direction():
    assert all(0 < code < 0x80 for code in from_host.LAYOUTS)
