from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.wire import PROTOCOL_VERSION, Role, Session
from testbed.wire import messages as m
from testbed.wire.claim import MAX_HOLDER_BYTES, MAX_ISSUER_BYTES, Claim, claim_of, note_of
from testbed.wire.session import SERIAL_CHUNK_BYTES

PRINTABLE = st.characters(exclude_categories=("C", "Z"), exclude_characters='"\\')


@given(
    st.integers(0, 2**63),
    st.text(PRINTABLE, max_size=MAX_HOLDER_BYTES // 4),
    st.text("0123456789abcdef", max_size=MAX_ISSUER_BYTES),
    st.integers(0, 10**7),
)
def test_a_claim_survives_its_note(token, holder, issuer, ttl_ms):
    claim = Claim(token, holder, issuer, ttl_ms * 1_000_000)
    assert claim_of(token, note_of(claim)) == claim


@pytest.mark.parametrize("character", ["ü", '"', "\\", "\0", "\n", "€"])
def test_the_longest_claim_fits_a_hello_on_a_serial_line(character):
    note = note_of(Claim(2**63, character * 500, "f" * 500, 10**15))
    session = Session(Role.HOST, chunk_bytes=SERIAL_CHUNK_BYTES)
    session.send(m.Hello(PROTOCOL_VERSION, 2**63, 7, "ab" * 32, 1 << 24, note))
    assert len(claim_of(1, note).holder) >= MAX_HOLDER_BYTES // 3


@pytest.mark.parametrize("note", ["", "hello", "[1]", '{"ttl_ms": "soon"}', '{"ttl_ms": -5}', "{", "7"])
def test_a_note_that_is_no_claim_claims_the_token_only(note):
    assert claim_of(5, note) == Claim(5)
