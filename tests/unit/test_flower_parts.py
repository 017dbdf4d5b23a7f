"""How an envelope stands in a message: whatever is not exactly that is none."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.flower import AT, MOST_PARTS, OF, PART, VALUE, content_of, environment, records
from protocols.messages import LARGEST


@given(st.permutations(range(3)), st.binary(max_size=40), st.integers(0, 3 * PART))
@settings(max_examples=12)
def test_an_envelope_comes_back_from_its_records_in_any_order(order: list[int], text: bytes, length: int) -> None:
    content = (text + bytes(length))[: 3 * PART]
    found = list(records(content).values())
    assert all(len(each[VALUE]) <= PART for each in found if isinstance(each[VALUE], bytes))
    shuffled = [found[at] for at in order if at < len(found)]
    assert content_of(shuffled) == content


def test_the_largest_envelope_has_as_many_parts_as_are_taken() -> None:
    assert len(records(bytes(LARGEST))) == MOST_PARTS


@pytest.mark.parametrize(
    "found",
    [
        [],
        [{}],
        [{VALUE: "text"}],
        [{VALUE: b"a", "more": 1}],
        [{"other": b"a"}],
        [{VALUE: b"a", AT: 0, OF: 1}],
        [{VALUE: b"a", AT: 0, OF: 2}],
        [{VALUE: b"a"}, {VALUE: b"b"}],
        [{VALUE: b"a", AT: 0, OF: 2}, {VALUE: b"b", AT: 0, OF: 2}],
        [{VALUE: b"a", AT: 0, OF: 2}, {VALUE: b"b", AT: 2, OF: 2}],
        [{VALUE: b"a", AT: 0, OF: 2}, {VALUE: b"b", AT: True, OF: 2}],
        [{VALUE: b"a", AT: 0, OF: 3}, {VALUE: b"b", AT: 1, OF: 3}],
        [{VALUE: b"a", AT: at, OF: MOST_PARTS + 1} for at in range(MOST_PARTS + 1)],
    ],
)
def test_what_is_not_ours_is_no_envelope(found: list[dict[str, Any]]) -> None:
    assert content_of(found) is None


def test_a_child_is_told_to_be_quiet_whatever_it_inherits() -> None:
    inherited = {"PATH": "/bin", "FLWR_TELEMETRY_ENABLED": "1", "https_proxy": "http://x", "HTTPS_PROXY": "http://x"}
    around = environment({**inherited, "SSL_CERT_FILE": "/x", "FLWR_DATABASE": "x"}, "/home/flwr")
    assert around["FLWR_TELEMETRY_ENABLED"] == "0"
    assert around["FLWR_DISABLE_UPDATE_CHECK"] == around["PYTHONNOUSERSITE"] == "1"
    assert (around["PATH"], around["FLWR_HOME"]) == ("/bin", "/home/flwr")
    assert not {"https_proxy", "HTTPS_PROXY", "SSL_CERT_FILE", "FLWR_DATABASE"} & around.keys()
