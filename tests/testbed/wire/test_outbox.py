from testbed.wire import messages as m
from testbed.wire.frames import FLAG_START, FrameDecoder
from testbed.wire.outbox import Outbox


def drain(outbox):
    decoder = FrameDecoder()
    frames = []
    while frame := outbox.next_frame():
        frames += decoder.feed(b"".join(frame))
    return frames


def test_types_take_turns_and_each_keeps_its_order():
    outbox = Outbox(4, 0)
    outbox.put(m.Infer, b"aaaaAAAA")
    outbox.put(m.Infer, b"bbbb")
    outbox.put(m.PutBlob, b"ppppPPPP")
    assert [f.payload for f in drain(outbox)] == [b"aaaa", b"pppp", b"AAAA", b"PPPP", b"bbbb"]


def test_control_leaves_first_even_in_the_middle_of_a_message():
    outbox = Outbox(4, 0)
    outbox.put(m.Infer, b"aaaaAAAA")
    outbox.next_frame()
    outbox.put(m.Cancel, b"c")
    assert [f.payload for f in drain(outbox)] == [b"c", b"AAAA"]
    assert outbox.pending_bytes == 0
    assert not outbox


def test_nothing_precedes_a_large_welcome():
    outbox = Outbox(4, 0)
    outbox.put(m.Log, b"llll")
    outbox.put(m.Welcome, b"wwwwWWWW")
    outbox.put(m.Accepted, b"a")
    assert [f.payload for f in drain(outbox)] == [b"wwww", b"WWWW", b"a", b"llll"]


def test_a_late_message_is_built_as_it_leaves():
    outbox = Outbox(100, 0)
    clock = [0]
    outbox.put_late(lambda: m.ProbeReply(1, clock[0], 0))
    clock[0] = 42
    (frame,) = drain(outbox)
    assert m.decode_message(frame.payload) == m.ProbeReply(1, 42, 0)


def test_only_the_hello_opens():
    outbox = Outbox(100, 0)
    outbox.begin(9)
    outbox.put(m.Hello, b"h")
    outbox.put(m.Cancel, b"c")
    assert [(f.tag, bool(f.flags & FLAG_START)) for f in drain(outbox)] == [(9, True), (9, False)]
