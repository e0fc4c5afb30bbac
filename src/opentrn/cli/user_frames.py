"""Cuts tracebacks down to the lines that the user wrote."""

from __future__ import annotations

from types import TracebackType

__all__ = ["keep_user_frames", "skip_to"]


def _frames(error: BaseException) -> list[TracebackType]:
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    return frames


def _relink(error: BaseException, frames: list[TracebackType]) -> None:
    following = None
    for frame in reversed(frames):
        frame.tb_next = following
        following = frame
    error.__traceback__ = following


def keep_user_frames(error: BaseException) -> None:
    """Drops opentrn's own frames from the traceback of `error` and of every exception it came from, in place."""
    # Imported here: this reaches numpy, and only a run that has failed needs it.
    from opentrn.program.site import OWN

    _relink(error, [f for f in _frames(error) if not f.tb_frame.f_code.co_filename.startswith(OWN)])
    for earlier in (error.__cause__, error.__context__):
        if earlier is not None:
            keep_user_frames(earlier)


def skip_to(script: str, error: BaseException) -> None:
    """Drops the frames outside of the first one in the file `script`; all of them when none is in it."""
    frames = _frames(error)
    entered = (place for place, frame in enumerate(frames) if frame.tb_frame.f_code.co_filename == script)
    _relink(error, frames[next(entered, len(frames)) :])
