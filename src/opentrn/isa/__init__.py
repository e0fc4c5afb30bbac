"""What an instruction is: one file per instruction, foldered by engine. `opentrn.isa.spec` is the common form."""
