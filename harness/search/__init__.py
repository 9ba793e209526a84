"""One search: the contract of a method, the bilevel loop and its steps, diagnostics, derivation of the cell."""
