"""What a chip is: numbers with unit, tier and source, one TOML file per chip."""

from opentrn.machine.chip import CHIP_NAMES, TIERS, Chip, Group, Quantity, Value, load_chip

__all__ = ["CHIP_NAMES", "TIERS", "Chip", "Group", "Quantity", "Value", "load_chip"]
