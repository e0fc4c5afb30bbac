"""The main job: causal flash attention on activations made from real text, checked and explained."""

from __future__ import annotations

from opentrn.demo.job import main

__all__ = ["main"]
