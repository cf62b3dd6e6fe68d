"""Normalizers: what each computes, which cases are asked, what is true, what rounding allows, what can be wrong."""
