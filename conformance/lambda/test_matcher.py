"""The matcher is strict where the recordings are, and only there."""

from matcher import Matcher

ONE = "11111111-1111-1111-1111-111111111111"
TWO = "22222222-2222-2222-2222-222222222222"


def differences(expected, actual):
    return Matcher().differences(expected, actual)


def test_equal_placeholders_are_equal_values_and_numbered_ones_differ():
    assert not differences({"a": "<uuid:1>", "b": "<uuid:1>"}, {"a": ONE, "b": ONE})
    assert differences({"a": "<uuid:1>", "b": "<uuid:1>"}, {"a": ONE, "b": TWO})
    assert differences({"a": "<uuid:1>", "b": "<uuid:2>"}, {"a": ONE, "b": ONE})


def test_whole_answers_are_compared():
    assert differences({"a": 1}, {"a": 1, "b": 2})
    assert differences({"a": 1, "b": 2}, {"a": 1})
    assert differences([1], [1, 2])
    assert differences(0, False)


def test_placeholders_inside_texts():
    arn = "arn:<partition>:lambda:<region>:111111111111:function:<function-name:1>"
    assert not differences(arn, "arn:aws:lambda:us-east-1:111111111111:function:f-1")
    assert differences(arn, "arn:aws:lambda:us-east-1:222222222222:function:f-1")
    assert not differences("INFO\tdate\t<request-id>\tx", f"INFO\t2026-11-22T15:04:05.123Z\t{ONE}\tx")
    assert differences("<uuid:1>", "not a uuid")


def test_words_of_python_are_no_placeholders():
    assert not differences("line 1, in <module>", "line 1, in <module>")
    assert differences("line 1, in <module>", "line 1, in f")
