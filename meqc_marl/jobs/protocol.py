"""What a job says while it runs, as data: one line of JSON for each message, between whatever else it prints.

A line is an object whose key ``meqc_marl`` names the kind of message; all other lines are no messages of ours:

- ``trials``: ``finished``, ``running`` and ``failed`` of ``total`` trials, and their ``env_steps`` of
  ``total_env_steps`` (0: they are not counted).
- ``steps``: ``env_steps`` of ``total_env_steps`` of one training run, with its ``scalars`` by TensorBoard's names.
- ``work``: ``done`` of ``total`` steps of another piece of work, by its ``label`` and ``unit``.
- ``said``: a ``text`` for people, such as a table.
- ``report``: the report is in the storage; ``files`` are its names there.
- ``failure``: why the job ends without having done all it should, in one ``sentence``; its last message.

Whoever started the job shows them: ``meqc-marl sweep`` on this machine, ``meqc-marl submit sweep`` from the log of a
cluster's job, in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

KEY = "meqc_marl"
LOGGED_EVERY_S = 10.0
"""Seconds between two messages in a cluster's log of how far the same work is."""
_BEGIN = f'{{"{KEY}":'


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TrialsProgress(_Message):
    """How far many trials are."""

    meqc_marl: Literal["trials"] = "trials"
    finished: int
    running: int
    failed: int
    total: int
    env_steps: int = 0
    total_env_steps: int = 0


class StepsProgress(_Message):
    """How far one training run is."""

    meqc_marl: Literal["steps"] = "steps"
    env_steps: int
    total_env_steps: int
    scalars: dict[str, float] = {}


class WorkProgress(_Message):
    """How far a piece of work is that is no training, such as the evaluation of a policy."""

    meqc_marl: Literal["work"] = "work"
    label: str
    unit: str
    done: int
    total: int


class Said(_Message):
    """For people."""

    meqc_marl: Literal["said"] = "said"
    text: str


class Report(_Message):
    """Files that the job has left in its storage for whoever gave the command."""

    meqc_marl: Literal["report"] = "report"
    files: tuple[str, ...]


class Failure(_Message):
    """Why the job ends without having done all."""

    meqc_marl: Literal["failure"] = "failure"
    sentence: str


AnyMessage = TrialsProgress | StepsProgress | WorkProgress | Said | Report | Failure
Message = Annotated[AnyMessage, Field(discriminator="meqc_marl")]
Tell = Callable[[AnyMessage], None]
"""Takes the messages of a job."""
_MESSAGE: TypeAdapter[AnyMessage] = TypeAdapter(Message)


def encode(message: AnyMessage) -> str:
    """A message as a line."""
    return message.model_dump_json()


def decode(line: str) -> AnyMessage | None:
    """The message in a line; None if it holds none, as what Ray and libraries print."""
    if not line.startswith(_BEGIN):
        return None
    try:
        return _MESSAGE.validate_json(line)
    except ValidationError:
        return None


def print_line(message: AnyMessage) -> None:
    """Tell a message on stdout."""
    print(encode(message), flush=True)


def sparing(tell: Tell, every_s: float = LOGGED_EVERY_S) -> Tell:
    """Pass on all messages but progress that tells nothing new within so many seconds: a log is kept, and read again.

    News are the first message of a kind, another number of trials that run or have ended, another piece of work, and
    the end of one.
    """
    told: dict[str, tuple[float, object]] = {}

    def pass_on(message: AnyMessage) -> None:
        if (news := _news(message)) is not None:
            at, before = told.get(message.meqc_marl, (-every_s, None))
            if news == before and time.monotonic() - at < every_s:
                return
            told[message.meqc_marl] = time.monotonic(), news
        tell(message)

    return pass_on


def _news(message: AnyMessage) -> object:
    """What of a message of progress must not be held back; None if it is none."""
    if isinstance(message, TrialsProgress):
        return message.finished, message.running, message.failed, message.total
    if isinstance(message, StepsProgress):
        return message.env_steps >= message.total_env_steps
    if isinstance(message, WorkProgress):
        return message.label, message.unit, message.done >= message.total
    return None
