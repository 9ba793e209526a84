"""The topics of the page, a module each: what is computed, said, drawn and tabulated, put together."""
