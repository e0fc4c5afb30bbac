"""What numbers mean on the chip: data types, rounding and saturation, the operator and activation tables, random bits,
and the packed MX formats. Pure functions on numpy arrays; nothing here knows of memories, instructions or time."""
